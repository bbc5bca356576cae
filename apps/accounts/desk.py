"""What our admin pages share: they read freely, and write only through services."""

from __future__ import annotations

import functools
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ObjectDoesNotExist, PermissionDenied
from django.db.models import Model, Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse

from apps.accounts.backends import ADMIN
from apps.accounts.permissions import may_somewhere, trials_where, visible_trials
from apps.core.errors import DomainError


class ReadOnlyAdmin(admin.ModelAdmin):
    """A table to look at.

    ``trial_path`` is the path to the trial's key: a person sees the rows of the trials in which they may, by the table of
    permissions, see this kind. ``of_no_trial``: rows without a trial are seen by whoever may see them for every trial.
    """

    trial_path: str | None = None
    of_no_trial = False

    def has_add_permission(self, request: HttpRequest) -> bool:  # noqa: ARG002 - Django's signature
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:  # noqa: ARG002
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:  # noqa: ARG002
        return False

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:  # noqa: ARG002
        return {}

    def _get_obj_does_not_exist_redirect(self, request: HttpRequest, opts: Any, object_id: str) -> HttpResponse:  # noqa: ARG002
        """Django would go to the front page with a message that repeats the identifier; not there is not there."""
        raise Http404

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows = super().get_queryset(request)
        if self.trial_path is None:
            return rows
        action = ADMIN[f"{self.opts.app_label}.view_{self.opts.model_name}"]
        seen = Q(**{f"{self.trial_path}__in": trials_where(request.user, action)})
        if self.of_no_trial and may_somewhere(request.user, action, trial=None):
            seen |= Q(**{f"{self.trial_path}__isnull": True})
        return rows.filter(seen)


class VisibleTrials(admin.RelatedFieldListFilter):
    """A list's filter by trial, which names only the trials the person has a role in."""

    def field_choices(self, field: Any, request: HttpRequest, model_admin: Any) -> Any:
        visible = set(visible_trials(request.user))
        return [choice for choice in super().field_choices(field, request, model_admin) if choice[0] in visible]


class ServiceAdmin(ReadOnlyAdmin):
    """A form whose saving is one service call: ``create`` or ``change`` returns the object the service made.

    What the service refuses is shown as its own sentence, and nothing is kept.
    """

    def create(self, request: HttpRequest, values: dict[str, Any]) -> Model:
        raise NotImplementedError

    def change(self, request: HttpRequest, obj: Any, values: dict[str, Any]) -> Model:
        raise NotImplementedError

    def has_add_permission(self, request: HttpRequest) -> bool:
        return admin.ModelAdmin.has_add_permission(self, request)

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return admin.ModelAdmin.has_change_permission(self, request, obj)

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        visible = visible_trials(request.user)
        narrow = {"trial": {"pk__in": visible}, "site": {"trial__in": visible}}
        if db_field.name in narrow:
            kwargs["queryset"] = db_field.related_model._default_manager.filter(**narrow[db_field.name])
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        made = self.change(request, obj, form.cleaned_data) if change else self.create(request, form.cleaned_data)
        obj.__dict__.update(made.__dict__)

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        try:
            return super().changeform_view(request, object_id, form_url, extra_context)
        except DomainError as error:
            messages.error(request, str(error))
            return HttpResponseRedirect(request.get_full_path())


def spoken(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """A page of our own in the admin: what a service refuses is answered as Django answers it, and nothing is a 500."""

    @functools.wraps(view)
    def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            return view(request, *args, **kwargs)
        except (ObjectDoesNotExist, ValueError) as error:
            raise Http404 from error
        except DomainError as error:
            if error.status == HTTPStatus.FORBIDDEN:
                raise PermissionDenied(str(error)) from error
            messages.error(request, str(error))
            return HttpResponseRedirect(reverse("admin:index"))

    return answer


class ReasonForm(forms.Form):
    """Why, in words: it is kept with the change."""

    reason = forms.CharField(
        max_length=500,
        widget=forms.Textarea(attrs={"rows": 3}),
        strip=True,
        help_text="Kept in the audit trail with your name.",
    )


def ask_reason(
    desk: admin.ModelAdmin,
    request: HttpRequest,
    obj: Any,
    *,
    title: str,
    sentence: str,
    act: Callable[[str], object],
) -> HttpResponse:
    """A page that asks why, and then acts."""
    form = ReasonForm(request.POST or None)
    return ask(
        desk, request, obj, form=form, title=title, sentence=sentence, act=lambda given: act(str(given["reason"]))
    )


def ask(
    desk: admin.ModelAdmin,
    request: HttpRequest,
    obj: Any,
    *,
    form: forms.Form,
    title: str,
    sentence: str,
    act: Callable[[dict[str, Any]], object],
) -> HttpResponse:
    """A page that asks something, and then acts; back on the object's page it says what was done or refused."""
    if request.method == "POST" and form.is_valid():
        try:
            act(form.cleaned_data)
            messages.success(request, f"{title}: done.")
        except DomainError as error:
            messages.error(request, str(error))
        return HttpResponseRedirect(
            reverse(f"admin:{obj._meta.app_label}_{obj._meta.model_name}_change", args=[obj.pk])
        )
    context = {
        **desk.admin_site.each_context(request),
        "title": title,
        "sentence": sentence,
        "form": form,
        "original": obj,
        "opts": obj._meta,
    }
    return TemplateResponse(request, "admin/reason.html", context)
