"""Signing in and out, and what a locked-out person reads."""

from __future__ import annotations

from typing import Any, cast

from django import forms
from django.contrib import messages
from django.contrib.auth import logout, update_session_auth_hash
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.password_validation import password_validators_help_texts
from django.contrib.auth.views import LoginView
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse

from apps.accounts import services, training
from apps.accounts.models import User
from apps.core.errors import DomainError
from apps.portal.presenters import words
from apps.portal.views.base import PUBLIC, SIGNED_IN, PortalView


class SignInForm(AuthenticationForm):
    """Name and password; one sentence for every way in which they can be wrong."""

    error_messages = {
        "invalid_login": "This name and password do not belong together. Check both; capital letters count in the password.",
        "inactive": "This name and password do not belong together. Check both; capital letters count in the password.",
    }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, field in self.fields.items():
            if self.is_bound and self.errors:
                field.widget.attrs |= {"aria-invalid": "true", "aria-describedby": "sign-in-error"}
            field.widget.attrs["autocomplete"] = "username" if name == "username" else "current-password"


class SignIn(LoginView):
    """The sign-in page; goes back to where the person came from, within this site only."""

    action = PUBLIC
    http_method_names = ["get", "head", "post"]
    template_name = "portal/sign_in.html"
    authentication_form = SignInForm
    redirect_authenticated_user = True

    def form_valid(self, form: AuthenticationForm) -> HttpResponse:
        """In; whoever's training lapses soon, or has lapsed, is told so at once."""
        response = super().form_valid(form)
        warn_of_training(self.request)
        return response

    def form_invalid(self, form: AuthenticationForm) -> HttpResponse:
        response = super().form_invalid(form)
        response.status_code = 401
        return response

    def get_success_url(self) -> str:
        """Whoever still has the password an administrator gave them chooses their own first."""
        user = cast("User", self.request.user)
        return reverse("portal:password") if user.must_change_password else super().get_success_url()


def warn_of_training(request: HttpRequest) -> None:
    """A message for each course that one's roles ask for and that lapses soon, or bars signing already."""
    user = cast("User", request.user)
    standing = training.standing_of(user)
    for name in training.required_of(user):
        one = standing[name]
        if not one.counts:
            messages.warning(
                request, f"Your training “{one.course.title}” is not current: you cannot sign until it is renewed."
            )
        elif one.state == "ending":
            days = words.plural(one.days or 0, "day")
            messages.warning(request, f"Your training “{one.course.title}” ends in {days}; after that you cannot sign.")


class SignOut(PortalView):
    """Ends the session; by POST only, so that no link can do it."""

    action = PUBLIC
    http_method_names = ["post"]

    def post(self, request: HttpRequest) -> HttpResponse:
        logout(request)
        return redirect("portal:sign_in")


class PasswordForm(forms.Form):
    """The old password, and the new one twice."""

    old = forms.CharField(
        label="Old password", strip=False, widget=forms.PasswordInput(attrs={"autocomplete": "current-password"})
    )
    new = forms.CharField(
        label="New password", strip=False, widget=forms.PasswordInput(attrs={"autocomplete": "new-password"})
    )
    again = forms.CharField(
        label="New password, once more", strip=False, widget=forms.PasswordInput(attrs={"autocomplete": "new-password"})
    )

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        if given.get("new") != given.get("again"):
            raise forms.ValidationError("The two new passwords are not the same.")
        return given


class Password(PortalView):
    """Choose one's own password. Every other session of the person ends with it; this one goes on."""

    action = SIGNED_IN
    help_topic = "access"

    def get(self, request: HttpRequest) -> HttpResponse:
        return self._form(PasswordForm())

    def post(self, request: HttpRequest) -> HttpResponse:
        form = PasswordForm(request.POST)
        if not form.is_valid():
            return self._form(form, status=422)
        try:
            user = services.change_password(
                by=cast("User", request.user), old=form.cleaned_data["old"], new=form.cleaned_data["new"]
            )
        except DomainError as error:
            form.add_error(None, f"{error.message} {error.cure}".strip())
            return self._form(form, status=error.status)
        update_session_auth_hash(request, user)
        messages.success(request, "Your password is changed. Wherever else you were signed in, you no longer are.")
        return redirect("portal:home")

    def _form(self, form: PasswordForm, *, status: int = 200) -> HttpResponse:
        first = cast("User", self.request.user).must_change_password
        rules = password_validators_help_texts()
        return self.page("portal/password.html", {"form": form, "first": first, "rules": rules}, status=status)


class Help(PortalView):
    """How to read the pages."""

    action = SIGNED_IN

    def get(self, request: HttpRequest) -> HttpResponse:
        return self.page("portal/help.html", {})


def locked_out(
    request: HttpRequest, credentials: dict[str, Any] | None = None, *args: Any, **kwargs: Any
) -> HttpResponse:
    """What axes shows after five wrong passwords: how long it lasts and whom to ask."""
    return render(request, "portal/locked.html", {"minutes": 15}, status=429)
