"""Writes about people and their roles: keyword-only, by somebody, recorded. Training has ``training``."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from importlib import import_module
from typing import Any

from axes.utils import reset
from django.conf import settings
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from apps.accounts import names, selectors, training
from apps.accounts.models import RoleGrant, User
from apps.accounts.permissions import check
from apps.accounts.roles import ROLES
from apps.audit.actors import Actor
from apps.audit.services import record, snapshot
from apps.core import clock
from apps.core.errors import Conflict, Forbidden, Invalid

FIELDS = ("username", "printed_name", "email", "is_active", "is_staff", "must_change_password", "identity_verified_at")


def create_user(
    *,
    by: User | Actor,
    username: str,
    printed_name: str,
    password: str,
    email: str = "",
    identity_verified: bool = False,
    own_password: bool = False,
    demo: bool = False,
) -> User:
    """Create a person with a first password (to be changed before they sign, unless ``own_password``).

    Raises Forbidden, Conflict where the name, however it is written, has ever been somebody's, Invalid for an unfit
    name or password.
    """
    actor = _actor(by, "manage_users", None)
    user = User(username=names.normalise(username), printed_name=printed_name.strip(), email=email, demo=demo)
    if not user.printed_name:
        raise Invalid("A person needs a printed name: it stands beside their signature.", code="printed_name")
    _fit(password, user)
    user.set_password(password)
    user.must_change_password = not own_password
    if identity_verified:
        user.identity_verified_at, user.identity_verified_by = clock.now(), actor.name
    try:
        with transaction.atomic():
            user.save(force_insert=True)
            record(by=actor, action="accounts.user_created", obj=user, after=snapshot(user, fields=FIELDS))
    except IntegrityError as error:
        raise Conflict(
            f"The name {user.username} is, or was, somebody's; names are never used twice.",
            cure="Choose another name.",
            code="username_taken",
        ) from error
    return user


def change_user(*, by: User | Actor, user: User, printed_name: str, email: str) -> User:
    """Change how a person is written; signatures already given keep the old name. Raises Forbidden, Invalid."""
    if not printed_name.strip():
        raise Invalid("A person needs a printed name: it stands beside their signature.", code="printed_name")
    return _change(
        by, user, "accounts.user_changed", "manage_users", printed_name=printed_name.strip(), email=email.strip()
    )


def verify_identity(*, by: User | Actor, user: User) -> User:
    """Note that the person's identity was verified, which lets them sign. Nobody verifies their own."""
    actor = _actor(by, "manage_users", None)
    if actor.name == user.username:
        raise Forbidden("Nobody verifies their own identity.", code="own_identity")
    return _change(
        by,
        user,
        "accounts.identity_verified",
        "manage_users",
        identity_verified_at=clock.now(),
        identity_verified_by=actor.name,
    )


def deactivate_user(*, by: User | Actor, user: User, reason: str) -> User:
    """End a person's access now: sessions and keys of theirs are refused from the next request on."""
    if isinstance(by, User) and by.pk == user.pk:
        raise Forbidden("Nobody deactivates themselves.", cure="Ask another administrator.", code="own_account")
    return _change(by, user, "accounts.user_deactivated", "manage_users", reason=reason, is_active=False)


def reactivate_user(*, by: User | Actor, user: User, reason: str) -> User:
    """Give a deactivated person access again."""
    return _change(by, user, "accounts.user_reactivated", "manage_users", reason=reason, is_active=True)


def keep_account(*, by: User | Actor, user: User, reason: str) -> User:
    """Note that an account nobody used was reviewed and may stay. Nobody reviews their own."""
    actor = _actor(by, "manage_users", None)
    if actor.name == user.username:
        raise Forbidden("Nobody reviews their own account.", cure="Ask another administrator.", code="own_account")
    return _change(
        by,
        user,
        "accounts.account_kept",
        "manage_users",
        reason=reason,
        reviewed_at=clock.now(),
        reviewed_by=actor.name,
    )


def change_password(*, by: User, old: str, new: str) -> User:
    """A person chooses their own password. Raises Forbidden for a wrong old one, Invalid for an unfit new one."""
    with transaction.atomic():
        user = User.objects.select_for_update().get(pk=by.pk)
        if not user.check_password(old):
            raise Forbidden("The old password is wrong.", cure="Enter it again.", code="wrong_password")
        if old == new:
            raise Invalid("The new password is the old one.", cure="Choose another.", code="password")
        _fit(new, user)
        user.set_password(new)
        user.must_change_password = False
        record(by=Actor.person(user), action="accounts.password_changed", obj=user)
        user.save(update_fields=["password", "must_change_password"])
    return user


def reset_password(*, by: User | Actor, user: User, password: str) -> User:
    """Set a first password for somebody else, and open their sign-in if wrong tries had locked it: until they choose
    their own, they cannot sign."""
    actor = _actor(by, "manage_users", None)
    if actor.name == user.username:
        raise Forbidden("Change your own password instead of resetting it.", code="own_password")
    _fit(password, user)
    with transaction.atomic():
        user = User.objects.select_for_update().get(pk=user.pk)
        user.set_password(password)
        user.must_change_password = True
        record(by=actor, action="accounts.password_reset", obj=user)
        user.save(update_fields=["password", "must_change_password"])
        reset(username=names.key(user.username))  # wrong tries with the old password no longer count
    return user


def close_sessions(*, by: User, user: User, handles: Collection[str]) -> int:
    """End these of a person's sessions (``selectors.open_sessions``), from their next request on; how many there were.
    One's own, or with the permission to keep accounts anybody's."""
    if by.pk != user.pk:
        check(by, "manage_users", trial=None)
    ending = [one for one in selectors.open_sessions(user) if one.handle in handles]
    store = import_module(settings.SESSION_ENGINE).SessionStore
    with transaction.atomic():
        for one in ending:
            record(by=Actor.person(by), action="accounts.session_closed", obj=user, after={"session": one.handle})
            store(one.key).delete()
    return len(ending)


def grant_role(
    *, by: User | Actor, user: User, role: str, trial: Any = None, site: Any = None, ends_at: datetime | None = None
) -> RoleGrant:
    """Give a role, for a trial, one site of it, or (where the role allows it) every trial; until ``ends_at`` or its end.

    Raises Forbidden (also for one's own roles), Invalid for a role, scope or end that is none, Conflict if held already,
    if the site is closed, or if the person has no current training record for the role (21 CFR 11.10(i)).
    """
    known = ROLES.get(role)
    if known is None:
        raise Invalid(f"There is no role {role}.", cure=f"Choose among {', '.join(ROLES)}.", code="role")
    if trial is None and not known.every_trial:
        raise Invalid(f"The role {known.label} is given for one trial.", cure="Name the trial.", code="role_scope")
    if site is not None and not known.by_site:
        raise Invalid(f"The role {known.label} is not given by site.", cure="Leave the site out.", code="role_scope")
    if site is not None and site.trial_id != getattr(trial, "pk", trial):
        raise Invalid(f"{site} is no site of that trial.", cure="Choose one of its sites.", code="role_scope")
    if ends_at is not None and ends_at <= clock.now():
        raise Invalid("A role cannot end before it begins.", cure="Choose a day to come, or none.", code="ends_at")
    actor = _actor(by, "manage_roles", trial)
    _not_own(actor, user)
    if not user.is_active:
        raise Conflict(f"{user} is deactivated.", cure="Reactivate the account first.", code="deactivated")
    if site is not None and site.closed_at is not None:
        raise Conflict(f"Site {site.site_id} is closed.", cure="Reopen it first.", code="site_closed")
    training.check_for_role(user, role)
    grant = RoleGrant(
        user=user,
        role=role,
        trial_id=getattr(trial, "pk", trial),
        site_id=getattr(site, "pk", None),
        granted_by=actor.name,
        ends_at=ends_at,
    )
    try:
        with transaction.atomic():
            _close_run_out(actor, grant)
            record(by=actor, action="accounts.role_granted", obj=grant, after=_grant(grant))
            grant.save(force_insert=True)
            _sync_staff(user)
    except IntegrityError as error:
        raise Conflict(f"{user} holds this role there already.", code="role_held") from error
    return grant


def revoke_role(*, by: User | Actor, grant: RoleGrant, reason: str) -> RoleGrant:
    """End a role now. Raises Forbidden, Conflict if it has ended, Invalid without a reason."""
    actor = _actor(by, "manage_roles", grant.trial_id)
    with transaction.atomic():
        grant = RoleGrant.objects.select_for_update().select_related("user").get(pk=grant.pk)
        if grant.revoked_at is not None:
            raise Conflict("This role has ended already.", code="role_ended")
        _not_own(actor, grant.user)
        before = _grant(grant)
        grant.revoked_at, grant.revoked_by = clock.now(), actor.name
        record(by=actor, action="accounts.role_revoked", obj=grant, before=before, after=_grant(grant), reason=reason)
        grant.save(update_fields=["revoked_at", "revoked_by"])
        _sync_staff(grant.user)
    return grant


def _change(by: User | Actor, user: User, action: str, permission: str, *, reason: str = "", **values: Any) -> User:
    actor = _actor(by, permission, None)
    with transaction.atomic():
        user = User.objects.select_for_update().get(pk=user.pk)
        before = snapshot(user, fields=FIELDS)
        for name, value in values.items():
            setattr(user, name, value)
        after = snapshot(user, fields=FIELDS)
        record(by=actor, action=action, obj=user, before=before, after=after, reason=reason)
        user.save(update_fields=list(values))
    return user


def _sync_staff(user: User) -> None:
    """Whether the admin opens follows from the roles held; the flag is only Django's way to ask."""
    held = RoleGrant.objects.in_force().filter(user=user).values_list("role", flat=True)
    User.objects.filter(pk=user.pk).update(is_staff=any(ROLES[role].staff for role in held))


def _close_run_out(actor: Actor, grant: RoleGrant) -> None:
    """An equal grant that its date has ended is closed, so that the new one can stand in its place."""
    equal = {"user": grant.user, "role": grant.role, "trial_id": grant.trial_id, "site_id": grant.site_id}
    old = (
        RoleGrant.objects.select_for_update().filter(**equal, revoked_at__isnull=True, ends_at__lte=clock.now()).first()
    )
    if old is not None:
        before = _grant(old)
        old.revoked_at, old.revoked_by = old.ends_at, actor.name
        reason = "Its date had ended it."
        record(by=actor, action="accounts.role_revoked", obj=old, before=before, after=_grant(old), reason=reason)
        old.save(update_fields=["revoked_at", "revoked_by"])


def _fit(password: str, user: User) -> None:
    try:
        validate_password(password, user)
    except ValidationError as error:
        raise Invalid(
            " ".join(error.messages), cure="Choose a longer, less common password.", code="password"
        ) from error


def _not_own(actor: Actor, user: User) -> None:
    if actor.type == "person" and actor.name == user.username:
        raise Forbidden("Nobody grants or ends their own roles.", cure="Ask another administrator.", code="own_role")


def _grant(grant: RoleGrant) -> dict[str, Any]:
    return {
        "user": grant.user.username,
        "role": grant.role,
        "trial": grant.trial_id,
        "site": grant.site_id,
        "ends_at": grant.ends_at,
        "revoked_at": grant.revoked_at,
    }


def _actor(by: User | Actor, permission: str, trial: Any) -> Actor:
    if isinstance(by, Actor):
        if by.type != "process":
            raise Forbidden("Only a person or a system process may do this.", code="not_permitted")
        return by
    check(by, permission, trial=trial)
    return Actor.person(by)
