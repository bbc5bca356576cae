"""Sign-ins leave a trace: who came in, who went out, who was refused."""

from __future__ import annotations

from typing import Any

from axes.signals import user_locked_out
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.db import transaction
from django.dispatch import receiver

from apps.accounts import names
from apps.accounts.models import User
from apps.audit.actors import Actor
from apps.audit.services import record

GATE = Actor.process("sign-in")


@receiver(user_logged_in, dispatch_uid="audit_signed_in")
def signed_in(*, user: User, **_: Any) -> None:
    """Fails the sign-in where it cannot be recorded."""
    with transaction.atomic():
        record(by=Actor.person(user), action="accounts.signed_in", obj=user)


@receiver(user_logged_out, dispatch_uid="audit_signed_out")
def signed_out(*, user: User | None, **_: Any) -> None:
    if user is not None and user.is_active:
        with transaction.atomic():
            record(by=Actor.person(user), action="accounts.signed_out", obj=user)


@receiver(user_login_failed, dispatch_uid="audit_sign_in_failed")
def sign_in_failed(*, credentials: dict[str, Any], **_: Any) -> None:
    _of_name("accounts.sign_in_failed", str(credentials.get("username", "")))


@receiver(user_locked_out, dispatch_uid="audit_locked_out")
def locked_out(*, username: str | None = None, **_: Any) -> None:
    _of_name("accounts.locked_out", username or "")


def _of_name(action: str, username: str) -> None:
    # A name that is nobody's is not written down: people type passwords into the wrong field.
    user = User.objects.filter(username_key=names.key(username)).first()
    with transaction.atomic():
        record(by=GATE, action=action, object_type="accounts.User", object_id=user.pk if user else "unknown")
