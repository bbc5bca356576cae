"""Electronic signatures: the password again, at the moment of signing (21 CFR 11.200(a)(1)).

A session alone signs nothing. Wrong passwords count towards the same lockout as wrong sign-ins.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from axes.handlers.proxy import AxesProxyHandler
from django.contrib.auth.signals import user_login_failed
from django.db import transaction
from django.http import HttpRequest

from apps.accounts.models import User
from apps.accounts.training import check_for_signing
from apps.audit.actors import Actor
from apps.audit.services import record
from apps.core import clock
from apps.core.errors import Forbidden, TooMany


@dataclass(frozen=True, slots=True)
class SigningProof:
    """That this person gave their password at this moment. Only ``verify_password`` makes one; it is not stored."""

    user: User
    printed_name: str
    username: str
    at: datetime


def verify_password(user: User, password: str, *, request: HttpRequest | None = None) -> SigningProof:
    """Check the password of the signed-in person and return the proof of it.

    ``request`` gives the address that lockout counts by; without one (a command) a local address stands in. Raises
    Forbidden for a wrong password, and for a person who cannot sign at all (deactivated, identity not verified, a
    password somebody else chose, training not current); TooMany while locked out. A refusal is recorded outside the
    caller's transaction where there is none, and inside it otherwise.
    """
    request = request or _local_request()
    fresh = User.objects.get(pk=user.pk)
    _able(fresh)
    credentials = {"username": fresh.username}
    if AxesProxyHandler.is_locked(request, credentials):
        raise TooMany(
            "Too many wrong passwords: signing is locked for a while.",
            cure="Try again in 15 minutes.",
            code="locked_out",
        )
    # Checked against the stored hash itself: no backend, and no hook of one, may let another answer pass.
    if not fresh.check_password(password):
        user_login_failed.send(sender=__name__, credentials=credentials, request=request)
        with transaction.atomic():
            record(
                by=Actor.person(fresh), action="accounts.signature_refused", obj=fresh, after={"why": "wrong password"}
            )
        raise Forbidden(
            "The password is wrong; nothing was signed.", cure="Enter your own password again.", code="wrong_password"
        )
    return SigningProof(user=fresh, printed_name=fresh.printed_name, username=fresh.username, at=clock.now())


def _able(user: User) -> None:
    if not user.is_active:
        raise Forbidden(f"{user} is deactivated and cannot sign.", code="deactivated")
    if user.identity_verified_at is None:
        raise Forbidden(
            f"The identity of {user} has not been verified.",
            cure="An administrator verifies it first.",
            code="identity",
        )
    if user.must_change_password:
        raise Forbidden(
            "Your password was chosen by somebody else.", cure="Choose your own, then sign.", code="password_not_own"
        )
    if not user.printed_name.strip():
        raise Forbidden("A signature needs your printed name.", cure="An administrator enters it.", code="printed_name")
    check_for_signing(user)


def _local_request() -> HttpRequest:
    request = HttpRequest()
    request.META.update({"REMOTE_ADDR": "127.0.0.1", "HTTP_USER_AGENT": "command line", "PATH_INFO": "/sign"})
    request.path = request.path_info = "/sign"
    return request
