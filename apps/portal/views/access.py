"""Signing in and out, and what a locked-out person reads."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import logout
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.views import LoginView
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

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
    template_name = "portal/sign_in.html"
    authentication_form = SignInForm
    redirect_authenticated_user = True

    def form_invalid(self, form: AuthenticationForm) -> HttpResponse:
        response = super().form_invalid(form)
        response.status_code = 401
        return response


class SignOut(PortalView):
    """Ends the session; by POST only, so that no link can do it."""

    action = PUBLIC
    http_method_names = ["post"]

    def post(self, request: HttpRequest) -> HttpResponse:
        logout(request)
        return redirect("portal:sign_in")


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
