"""Sign-in by name and password; permissions from our one table. There is no superuser: nobody stands above the table."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.backends import ModelBackend

from apps.accounts.models import User
from apps.accounts.permissions import PERMISSIONS, grants
from apps.accounts.roles import ROLES

#: What Django's admin asks for -> the action of our table. What is not here, nobody may do in the admin.
ADMIN: dict[str, str] = {
    "accounts.view_user": "view_people",
    "accounts.add_user": "manage_users",
    "accounts.change_user": "manage_users",
    "accounts.view_rolegrant": "view_people",
    "accounts.add_rolegrant": "manage_roles",
    "accounts.change_rolegrant": "manage_roles",
    "accounts.view_apikey": "view_people",
    "accounts.add_apikey": "manage_keys",
    "accounts.change_apikey": "manage_keys",
    "audit.view_auditevent": "view_audit",
    "auditlog.view_logentry": "view_field_log",
    "patients.view_trial": "view_people",
    "patients.view_site": "view_people",
    "patients.change_site": "manage_sites",
    "patients.view_studyprofileversion": "view_models",
    "registry.view_modelversion": "view_models",
    "registry.view_modeltransition": "view_models",
    "registry.view_approval": "view_models",
    "django_celery_beat.view_periodictask": "view_jobs",
}


class HouseBackend(ModelBackend):
    """Django's sign-in, and the admin's permissions as the table gives them."""

    def get_all_permissions(self, user_obj: Any, obj: Any = None) -> set[str]:  # noqa: ARG002 - Django's signature
        if not isinstance(user_obj, User) or not user_obj.is_active:
            return set()
        # A page of the admin asks some dozens of times. The object is a request's own, so nothing outlives the request.
        known: set[str] | None = getattr(user_obj, "_desk_permissions", None)
        if known is None:
            held = grants(user_obj, None, any_trial=True)
            known = {name for name, action in ADMIN.items() if any(_suffices(grant, action) for grant in held)}
            user_obj._desk_permissions = known  # type: ignore[attr-defined]
        return known

    def has_perm(self, user_obj: Any, perm: str, obj: Any = None) -> bool:
        return perm in self.get_all_permissions(user_obj, obj)

    def has_module_perms(self, user_obj: Any, app_label: str) -> bool:
        return any(name.startswith(f"{app_label}.") for name in self.get_all_permissions(user_obj))

    def get_user_permissions(self, user_obj: Any, obj: Any = None) -> set[str]:  # noqa: ARG002
        return set()

    def get_group_permissions(self, user_obj: Any, obj: Any = None) -> set[str]:  # noqa: ARG002
        return set()


def _suffices(grant: Any, action: str) -> bool:
    permission = PERMISSIONS[action]
    return (
        ROLES[grant.role].staff
        and grant.role in permission.roles
        and (permission.scope != "platform" or grant.trial_id is None)
    )
