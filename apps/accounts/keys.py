"""API keys: issue, revoke, recognise. A key is shown once; the database keeps the SHA-256 of its secret.

A key reads ``crk_<prefix>_<secret>``: 48 bits of prefix to find the row, 256 bits of secret. SHA-256 without salt is
enough for a secret of that length (it cannot be guessed), and fast enough for every request.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from apps.accounts.models import ApiKey, User
from apps.accounts.permissions import check, site_key
from apps.audit.actors import Actor
from apps.audit.services import record
from apps.core import clock
from apps.core.errors import Conflict, Forbidden, Invalid, Unauthenticated

#: What a key may be for.
SCOPES: dict[str, str] = {
    "predict": "ask for predictions",
    "read": "read patients, predictions and their lineage",
    "replay": "replay a past prediction, and put the verdict on record",
    "retrain": "start a retraining",
    "unblinded": "be given what reveals the treatment arm",
}
LONGEST = timedelta(days=366)
TOUCH_EVERY = timedelta(minutes=1)
_FORM = re.compile(r"\Acrk_([0-9a-f]{12})_([A-Za-z0-9_-]{43})\Z")
_SHAPE = "Send Authorization: Api-Key crk_…, or X-API-Key: crk_…."


def issue_key(
    *,
    by: User | Actor,
    owner: User,
    name: str,
    trial: Any,
    scopes: Collection[str],
    expires_at: datetime,
    sites: Collection[str] = (),
) -> tuple[ApiKey, str]:
    """Issue a key for one trial, and return it with its text, which is shown this once and kept nowhere.

    ``sites`` are bare site identifiers, empty for all. Raises Forbidden, and Invalid for an unknown scope, an expiry in
    the past or beyond 366 days, or an owner who is deactivated.
    """
    actor = _author(by, trial)
    if unknown := sorted(set(scopes) - set(SCOPES)):
        raise Invalid(
            f"There is no scope {', '.join(unknown)}.", cure=f"Choose among {', '.join(SCOPES)}.", code="scope"
        )
    if not scopes:
        raise Invalid("A key needs at least one scope.", cure=f"Choose among {', '.join(SCOPES)}.", code="scope")
    if not name.strip():
        raise Invalid("A key needs a name.", cure="Say which system will use it.", code="name")
    if not clock.now() < expires_at <= clock.now() + LONGEST:
        raise Invalid("A key expires between now and 366 days from now.", cure="Choose another date.", code="expiry")
    if not owner.is_active:
        raise Invalid(f"{owner} is deactivated and cannot own a key.", code="owner")
    prefix, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
    key = ApiKey(
        name=name.strip(),
        prefix=prefix,
        secret_sha256=_digest(secret),
        scopes=sorted(set(scopes)),
        trial_id=str(getattr(trial, "pk", trial)),
        sites=sorted(set(sites)),
        owner=owner,
        issued_by=actor.name,
        expires_at=expires_at,
    )
    with transaction.atomic():
        record(by=actor, action="accounts.key_issued", obj=key, after=_public(key))
        key.save(force_insert=True)
    return key, f"crk_{prefix}_{secret}"


def revoke_key(*, by: User | Actor, key: ApiKey, reason: str) -> ApiKey:
    """End a key now; its next request is refused. Raises Forbidden, Conflict if it is revoked already."""
    with transaction.atomic():
        key = ApiKey.objects.select_for_update().get(pk=key.pk)
        actor = _author(by, key.trial_id)
        if key.revoked_at is not None:
            raise Conflict(f"The key {key.name} is revoked already.", code="revoked")
        before = _public(key)
        key.revoked_at, key.revoked_by = clock.now(), actor.name
        record(by=actor, action="accounts.key_revoked", obj=key, before=before, after=_public(key), reason=reason)
        key.save(update_fields=["revoked_at", "revoked_by"])
    return key


def authenticate_key(header: str) -> ApiKey:
    """The live key behind ``Api-Key crk_…`` or a bare ``crk_…``. Raises Unauthenticated: the words say whether it has
    ended only to who holds the secret."""
    text = header.strip()
    scheme, _, rest = text.partition(" ")
    if scheme.lower() == "api-key":
        text = rest.strip()
    matched = _FORM.match(text)
    if matched is None:
        raise Unauthenticated("This is not an API key.", cure=_SHAPE, code="key_malformed")
    key = ApiKey.objects.select_related("owner").filter(prefix=matched[1]).first()
    # A comparison is made even where no row was found, so that time tells nothing about prefixes.
    if not hmac.compare_digest(_digest(matched[2]), key.secret_sha256 if key else "0" * 64) or key is None:
        raise Unauthenticated("This API key is not known.", cure="Check it, or ask for a new one.", code="key_unknown")
    now = clock.now()
    if key.revoked_at is not None:
        raise Unauthenticated(
            "This API key was revoked.", cure="Ask an administrator for a new one.", code="key_revoked"
        )
    if key.expires_at <= now:
        raise Unauthenticated(
            "This API key has expired.", cure="Ask an administrator for a new one.", code="key_expired"
        )
    if not key.owner.is_active:
        raise Unauthenticated(
            "The owner of this API key is deactivated.", cure="Ask for a new key.", code="key_revoked"
        )
    if key.last_used_at is None or now - key.last_used_at >= TOUCH_EVERY:
        ApiKey.objects.filter(pk=key.pk).update(last_used_at=now)
        key.last_used_at = now
    return key


def require_scope(key: ApiKey, scope: str) -> None:
    """Raise Forbidden unless the key was issued for ``scope``."""
    if scope not in key.scopes:
        raise Forbidden(
            f"This API key is not meant to {SCOPES[scope]}.",
            cure=f"Ask for a key with the scope {scope}.",
            code="scope",
        )


def may_see_site(key: ApiKey, site: object) -> bool:
    """Whether the key reaches patients of that site (a Site, its key or bare identifier; None = without a site)."""
    return not key.sites or site_key(key.trial_id, site) in {site_key(key.trial_id, one) for one in key.sites}


def _author(by: User | Actor, trial: Any) -> Actor:
    if isinstance(by, Actor):
        if by.type != "process":
            raise Forbidden("Only a person or a system process issues or revokes keys.", code="not_permitted")
        return by
    check(by, "manage_keys", trial=trial)
    return Actor.person(by)


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _public(key: ApiKey) -> dict[str, Any]:
    """What the trail keeps of a key: never its secret nor the hash of it."""
    return {
        "name": key.name,
        "prefix": key.prefix,
        "scopes": list(key.scopes),
        "sites": list(key.sites),
        "owner": key.owner.username,
        "expires_at": key.expires_at,
        "revoked_at": key.revoked_at,
    }
