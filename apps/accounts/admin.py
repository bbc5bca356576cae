"""People, roles, keys and the trail in the admin. Every write is a service; a key's text is shown once."""

from __future__ import annotations

import json
from typing import Any

from axes.models import AccessAttempt, AccessFailureLog, AccessLog
from django.contrib import admin
from django.contrib.auth.models import Group
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.decorators import method_decorator
from django.utils.html import format_html
from django.views.decorators.debug import sensitive_post_parameters
from django_celery_beat.models import ClockedSchedule, CrontabSchedule, IntervalSchedule, SolarSchedule

from apps.accounts import keys, services
from apps.accounts.desk import ReadOnlyAdmin, ServiceAdmin, VisibleTrials, ask, ask_reason, spoken
from apps.accounts.forms import FirstPasswordForm, GrantForm, KeyForm, NewUserForm, UserForm
from apps.accounts.models import ApiKey, RoleGrant, User
from apps.accounts.permissions import check, trials_where
from apps.audit.models import AuditEvent
from apps.core.errors import DomainError

admin.site.unregister(Group)  # roles come from our table
for _hidden in (  # nobody may see these, so there is no address of theirs either
    *(ClockedSchedule, CrontabSchedule, IntervalSchedule, SolarSchedule),
    *(AccessAttempt, AccessFailureLog, AccessLog),
):
    if admin.site.is_registered(_hidden):
        admin.site.unregister(_hidden)


@admin.register(User)
class UserDesk(ServiceAdmin):
    """People: created with a first password, deactivated with a reason, never deleted."""

    list_display = ("username", "printed_name", "is_active", "verified", "demo", "last_login")
    list_filter = ("is_active", "demo")
    search_fields = ("username", "printed_name")
    change_form_template = "admin/accounts/user/change_form.html"

    @admin.display(boolean=True, description="Identity verified")
    def verified(self, user: User) -> bool:
        return user.identity_verified_at is not None

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:  # noqa: ARG002
        return NewUserForm if obj is None else UserForm

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:  # noqa: ARG002
        if obj is None:
            return ("username", "printed_name", "email", "password", "identity_verified")
        return (
            "username",
            "printed_name",
            "email",
            "is_active",
            "identity_verified_at",
            "identity_verified_by",
            "last_login",
        )

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        written = ("printed_name", "email") if self.has_change_permission(request) else ()
        return () if obj is None else tuple(name for name in self.get_fields(request, obj) if name not in written)

    def create(self, request: HttpRequest, values: dict[str, Any]) -> User:
        return services.create_user(by=_person(request), **values)

    def change(self, request: HttpRequest, obj: User, values: dict[str, Any]) -> User:
        return services.change_user(by=_person(request), user=obj, **values)

    def get_urls(self) -> list[URLPattern]:
        def view(page: Any) -> Any:
            return self.admin_site.admin_view(spoken(page))

        return [
            path("<path:pk>/deactivate/", view(self.deactivate), name="accounts_user_deactivate"),
            path("<path:pk>/reactivate/", view(self.reactivate), name="accounts_user_reactivate"),
            path("<path:pk>/first-password/", view(self.first_password), name="accounts_user_first_password"),
            path("<path:pk>/verify/", view(self.verify), name="accounts_user_verify"),
            *super().get_urls(),
        ]

    def deactivate(self, request: HttpRequest, pk: str) -> HttpResponse:
        """End a person's access."""
        user = self._found(request, pk)
        return ask_reason(
            self,
            request,
            user,
            title=f"Deactivate {user}",
            sentence="Sessions and API keys of this person are refused from the next request on.",
            act=lambda reason: services.deactivate_user(by=_person(request), user=user, reason=reason),
        )

    def reactivate(self, request: HttpRequest, pk: str) -> HttpResponse:
        """Give access again."""
        user = self._found(request, pk)
        return ask_reason(
            self,
            request,
            user,
            title=f"Reactivate {user}",
            sentence="This person can sign in again, with the roles they held.",
            act=lambda reason: services.reactivate_user(by=_person(request), user=user, reason=reason),
        )

    @method_decorator(sensitive_post_parameters("password"))
    def first_password(self, request: HttpRequest, pk: str) -> HttpResponse:
        """Set a first password for who has lost theirs; it opens a locked sign-in, too."""
        user = self._found(request, pk)
        return ask(
            self,
            request,
            user,
            form=FirstPasswordForm(request.POST or None),
            title=f"Set a first password for {user}",
            sentence="Their sessions end, a locked sign-in opens at once, and they choose their own when they sign in.",
            act=lambda given: services.reset_password(by=_person(request), user=user, password=given["password"]),
        )

    def verify(self, request: HttpRequest, pk: str) -> HttpResponse:
        """Note that the identity was verified."""
        user = self._found(request, pk)
        if request.method == "POST":
            _tell(self, request, lambda: services.verify_identity(by=_person(request), user=user), "Identity verified.")
        return HttpResponseRedirect(reverse("admin:accounts_user_change", args=[user.pk]))

    def _found(self, request: HttpRequest, pk: str) -> User:
        check(request.user, "manage_users", trial=None)
        return User.objects.get(pk=pk)


@admin.register(RoleGrant)
class GrantDesk(ServiceAdmin):
    """Roles: given and ended, never changed or deleted."""

    form = GrantForm
    trial_path = "trial"
    of_no_trial = True
    list_display = ("user", "role", "trial", "site", "created_at", "granted_by", "revoked_at")
    list_filter = ("role", ("trial", VisibleTrials))
    search_fields = ("user__username", "user__printed_name")
    fields = ("user", "role", "trial", "site")
    change_form_template = "admin/accounts/rolegrant/change_form.html"

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        return False

    def create(self, request: HttpRequest, values: dict[str, Any]) -> RoleGrant:
        return services.grant_role(by=_person(request), **values)

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(spoken(self.end))
        return [path("<path:pk>/end/", view, name="accounts_rolegrant_end"), *super().get_urls()]

    def end(self, request: HttpRequest, pk: str) -> HttpResponse:
        """End a role."""
        grant = self.get_queryset(request).select_related("user").get(pk=pk)
        check(request.user, "manage_roles", trial=grant.trial_id)
        return ask_reason(
            self,
            request,
            grant,
            title=f"End the role {grant.get_role_display()} of {grant.user}",
            sentence="It ends at once.",
            act=lambda reason: services.revoke_role(by=_person(request), grant=grant, reason=reason),
        )


@admin.register(ApiKey)
class KeyDesk(ServiceAdmin):
    """API keys: issued and revoked; the text is on the page that follows the issue and nowhere else."""

    form = KeyForm
    trial_path = "trial"
    list_display = ("name", "prefix", "trial", "owner", "expires_at", "revoked_at", "last_used_at")
    list_filter = (("trial", VisibleTrials),)
    search_fields = ("name", "prefix")
    change_form_template = "admin/accounts/apikey/change_form.html"
    shown = (
        "name",
        "prefix",
        "owner",
        "trial",
        "scopes",
        "sites",
        "issued_by",
        "expires_at",
        "revoked_at",
        "last_used_at",
    )

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:  # noqa: ARG002
        return ("name", "owner", "trial", "scopes", "sites", "days") if obj is None else self.shown

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        return False

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:  # noqa: ARG002
        key, text = keys.issue_key(by=_person(request), **form.values())
        obj.__dict__.update(key.__dict__)
        request._issued_text = text  # type: ignore[attr-defined] # never in a message: those lie in a cookie

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: Any = None) -> HttpResponse:  # noqa: ARG002
        context = {
            **self.admin_site.each_context(request),
            "title": f"The API key {obj.name}",
            "text": request._issued_text,  # type: ignore[attr-defined]
            "original": obj,
            "opts": obj._meta,
        }
        return TemplateResponse(
            request, "admin/accounts/apikey/issued.html", context, headers={"Cache-Control": "no-store"}
        )

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(spoken(self.revoke))
        return [path("<path:pk>/revoke/", view, name="accounts_apikey_revoke"), *super().get_urls()]

    def revoke(self, request: HttpRequest, pk: str) -> HttpResponse:
        """End a key."""
        key = self.get_queryset(request).select_related("owner").get(pk=pk)
        check(request.user, "manage_keys", trial=key.trial_id)
        return ask_reason(
            self,
            request,
            key,
            title=f"Revoke the key {key.name}",
            sentence="Its next request is refused.",
            act=lambda reason: keys.revoke_key(by=_person(request), key=key, reason=reason),
        )


@admin.register(AuditEvent)
class TrailDesk(ReadOnlyAdmin):
    """The trail, to read: of the trials where the person may, and of what belongs to none."""

    trial_path = "trial"
    list_display = ("at", "actor", "action", "object_type", "object_id", "trial", "reason")
    list_filter = ("actor_type", "object_type", "action")
    search_fields = ("actor", "object_id", "correlation_id")
    date_hierarchy = "at"
    show_full_result_count = False
    exclude = ("before", "after", "leaf_hash")
    readonly_fields = ("was", "became", "hash")

    def get_queryset(self, request: HttpRequest) -> Any:
        rows = admin.ModelAdmin.get_queryset(self, request)
        return rows.filter(trial__in=[*trials_where(request.user, "view_audit"), ""])

    @admin.display(description="Before")
    def was(self, event: AuditEvent) -> str:
        return _shown(event.before)

    @admin.display(description="After")
    def became(self, event: AuditEvent) -> str:
        return _shown(event.after)

    @admin.display(description="Leaf hash")
    def hash(self, event: AuditEvent) -> str:
        return bytes(event.leaf_hash).hex()


def _shown(value: Any) -> str:
    return (
        "-"
        if value is None
        else format_html("<pre>{}</pre>", json.dumps(value, indent=1, ensure_ascii=False, sort_keys=True))
    )


def _person(request: HttpRequest) -> User:
    assert isinstance(request.user, User)
    return request.user


def _tell(desk: ServiceAdmin, request: HttpRequest, act: Any, done: str) -> None:
    try:
        act()
        desk.message_user(request, done)
    except DomainError as error:
        desk.message_user(request, str(error), level="ERROR")
