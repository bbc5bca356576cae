"""What each visitor is answered, worked out from what the address declares; nothing here is asked of the running portal.

- a page of the portal: its view's ``action``, a row of ``accounts.permissions``
- the API: its view's ``required_scope``
- the admin: what each desk allows, with the permissions that the roles give (``accounts.backends.ADMIN``)
- a live connection: its consumer's ``action``

What declares nothing of this kind stands in OTHERS or ADMIN_PAGES below; an address found in none of them is an error.
"""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from django.contrib import admin
from rest_framework.permissions import AllowAny

from apps.accounts.backends import ADMIN
from apps.accounts.permissions import PERMISSIONS
from apps.accounts.roles import ROLES
from apps.portal.views.base import PUBLIC, SIGNED_IN
from clinical_portal.access.routes import Route
from clinical_portal.access.visitors import ELSEWHERE, EVERY, Visitor

#: What is answered: let in, sent to the sign-in page, or the status of the refusal (a live connection's closing code).
LET_IN, SIGN_IN, UNKNOWN, REFUSED, UNSEEN, NO_METHOD = "in", "sign-in", "401", "403", "404", "405"
SIGNED_OUT, NO_ACCESS = "4401", "4403"

#: Pages of our own in the admin -> the action their view asks for.
ADMIN_PAGES: dict[str, str] = {
    "accounts_user_deactivate": "manage_users",
    "accounts_user_reactivate": "manage_users",
    "accounts_user_first_password": "manage_users",
    "accounts_user_verify": "manage_users",
    "accounts_rolegrant_end": "manage_roles",
    "accounts_apikey_revoke": "manage_keys",
    "registry_modelversion_sign": "sign_model",
    "registry_modelversion_sign_silent": "sign_model",
    "registry_modelversion_reject": "reject_model",
    "registry_modelversion_retire": "retire_model",
    "registry_modelversion_roll_back": "roll_back_model",
}
#: Pages that show what another action guards: the record in the address is a patient's.
ALSO: dict[str, str] = {"portal:audit_of": "view_patient"}
#: Addresses of the API whose body, not the address, names a patient.
PATIENT_IN_BODY = frozenset({"api-predict", "api-predict-alias"})


#: Scopes under which something is started for a whole trial: not by a key that is limited to sites.
OF_THE_WHOLE_TRIAL = frozenset({"retrain"})


class Undeclared(Exception):
    """An address of which nobody said who may come in."""


def outcome(route: Route, method: str, visitor: Visitor) -> str:
    """What the visitor is answered. Raises Undeclared."""
    if route.door == "live":
        return _live(route, visitor)
    if route.door == "files" and not route.methods:
        return UNSEEN
    if method not in route.methods:
        return NO_METHOD
    if route.door == "files":
        return LET_IN
    if route.name in OTHERS:
        return OTHERS[route.name](visitor)
    return {"portal": _portal, "api": _api, "admin": _admin}[route.door](route, method, visitor)


def allows(visitor: Visitor, action: str) -> bool:
    """Whether one of the visitor's roles that count here may do it, somewhere in the trial."""
    permission = PERMISSIONS[action]
    return any(
        held.counts and held.role in permission.roles and (permission.scope != "platform" or held.trial == EVERY)
        for held in visitor.roles
    )


def of_a_site(route: Route) -> bool:
    """Whether the address leads to one patient, and so to a site."""
    if route.door == "api":
        return bool({"patient", "prediction"} & set(route.fields)) or route.name in PATIENT_IN_BODY
    action = getattr(route.kind, "action", "")
    return action in PERMISSIONS and PERMISSIONS[action].scope == "site" and set(route.fields) != {"trial"}


def _here(visitor: Visitor, action: str) -> bool:
    """The same, at the site of the patient in the address."""
    roles = PERMISSIONS[action].roles
    return any(held.counts and held.role in roles and held.site != ELSEWHERE for held in visitor.roles)


def _portal(route: Route, method: str, visitor: Visitor) -> str:  # noqa: ARG001 - the same for every method it takes
    action = getattr(route.kind, "action", "")
    if action == PUBLIC:
        return LET_IN
    if not visitor.signed_in:
        return SIGN_IN
    if action == SIGNED_IN:
        return LET_IN
    if action not in PERMISSIONS:
        raise Undeclared(f"{route.name}: its view must name an action of accounts.permissions.")
    if not allows(visitor, action) or not allows(visitor, ALSO.get(route.name, action)):
        return REFUSED
    return UNSEEN if of_a_site(route) and not _here(visitor, action) else LET_IN


def _api(route: Route, method: str, visitor: Visitor) -> str:
    kind = route.kind
    if kind is not None and AllowAny in kind.permission_classes:
        return LET_IN
    scope = getattr(kind, "required_scope", "")
    if not scope:
        raise Undeclared(f"{route.name}: its view must name a required_scope, or stand in OTHERS.")
    if not visitor.key or visitor.revoked:
        return UNKNOWN
    if scope not in visitor.scopes or (method == "POST" and scope in OF_THE_WHOLE_TRIAL and visitor.key_site):
        return REFUSED
    patient = of_a_site(route)
    if patient and visitor.key_site == ELSEWHERE:
        return UNSEEN
    return UNSEEN if (patient or route.fields) and visitor.key_trial == ELSEWHERE else LET_IN


def _live(route: Route, visitor: Visitor) -> str:
    if not visitor.signed_in:
        return SIGNED_OUT
    action = route.view.consumer_class.action
    of_a_site = PERMISSIONS[action].scope == "site"
    return LET_IN if (_here(visitor, action) if of_a_site else allows(visitor, action)) else NO_ACCESS


# --- the admin --------------------------------------------------------------------------------------------------------
def _staff(visitor: Visitor) -> bool:
    return visitor.signed_in and any(ROLES[held.role].staff for held in visitor.roles)


def _desk_permissions(visitor: Visitor) -> set[str]:
    """What the house's backend gives: by any role that opens the admin, in whichever trial."""
    given = set()
    for name, action in ADMIN.items():
        permission = PERMISSIONS[action]
        for held in visitor.roles:
            platform = permission.scope != "platform" or held.trial == EVERY
            if ROLES[held.role].staff and held.role in permission.roles and platform:
                given.add(name)
    return given


def _admin(route: Route, method: str, visitor: Visitor) -> str:
    if not _staff(visitor):
        return SIGN_IN
    if not route.name.startswith("admin:"):
        return _unnamed(route)
    desk, page = _desk(route)
    given = _desk_permissions(visitor)
    user = SimpleNamespace(has_perm=given.__contains__)
    request: Any = SimpleNamespace(user=user, resolver_match=SimpleNamespace(url_name=route.short))
    looks = desk.has_view_or_change_permission(request)
    seen = _sees(desk, visitor)
    if page in ADMIN_PAGES:
        platform = PERMISSIONS[ADMIN_PAGES[page]].scope == "platform"
        if not platform and not seen:
            return UNSEEN
        return LET_IN if allows(visitor, ADMIN_PAGES[page]) else REFUSED
    if page == "history" and not seen:
        return UNSEEN
    if page == "add":
        return LET_IN if desk.has_add_permission(request) else REFUSED
    if page == "delete":
        return LET_IN if desk.has_delete_permission(request) else REFUSED
    if not (desk.has_change_permission(request) if page == "change" and method == "POST" else looks):
        return REFUSED
    return LET_IN if page == "changelist" or seen else UNSEEN


def _unnamed(route: Route) -> str:
    """Django's own: ``…/<object>/`` leads to the object's page, anything else under admin/ is not there."""
    return UNSEEN if route.pattern.endswith("(?P<url>.*)$") else LET_IN


def _desk(route: Route) -> tuple[Any, str]:
    for model, desk in admin.site._registry.items():
        prefix = f"{model._meta.app_label}_{model._meta.model_name}_"
        if route.short.startswith(prefix):
            page = route.short if route.short in ADMIN_PAGES else route.short.removeprefix(prefix)
            if page in ADMIN_PAGES or page in ("changelist", "add", "change", "delete", "history"):
                return desk, page
    raise Undeclared(f"{route.name}: add the action it asks for to ADMIN_PAGES in clinical_portal/access/rules.py.")


def _sees(desk: Any, visitor: Visitor) -> bool:
    """Whether rows of the trial of the address are among those the desk shows."""
    if not getattr(desk, "trial_path", None):
        return True
    return allows(visitor, ADMIN[f"{desk.opts.app_label}.view_{desk.opts.model_name}"])


def _for_staff(visitor: Visitor) -> str:
    return LET_IN if _staff(visitor) else SIGN_IN


def _staff_get(answer: str) -> Callable[[Visitor], str]:
    return lambda visitor: answer if _staff(visitor) else SIGN_IN


def _app_list(visitor: Visitor) -> str:
    """The list of one app, ``accounts``: not there for who may see nothing in it."""
    if not _staff(visitor):
        return SIGN_IN
    return LET_IN if any(name.startswith("accounts.") for name in _desk_permissions(visitor)) else UNSEEN


def _anybody(_: Visitor) -> str:
    return LET_IN


#: Addresses whose views declare nothing of ours.
OTHERS: dict[str, Callable[[Visitor], str]] = {
    "metrics": _anybody,  # figures without a patient; the front door does not publish it
    "openapi": _anybody,
    "api-docs": _anybody,
    "admin:index": _for_staff,
    "admin:jsi18n": _for_staff,
    "admin:logout": _anybody,
    "admin:password_change_done": _for_staff,
    "admin:app_list": _app_list,
    "admin:autocomplete": _staff_get(REFUSED),  # no desk offers one
    "admin:view_on_site": _staff_get(UNSEEN),  # no model has a page that the admin knows of
    "admin-password": _anybody,
    "admin-sign-in": lambda visitor: REFUSED if visitor.signed_in else LET_IN,  # and led to the portal's
}
