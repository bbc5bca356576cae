"""The same question sent twice is answered once: (API key, idempotency key) holds a body's hash for 24 hours."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta

from django.db import transaction

from apps.accounts.models import ApiKey
from apps.core import clock
from apps.core.errors import Conflict, Invalid
from apps.predictions.models import IdempotentAnswer, Prediction

LIFETIME = timedelta(hours=24)
_KEY = re.compile(r"\A[\x21-\x7e]{1,128}\Z")
Identity = tuple[str, str]


def identity(header: str | None, key: ApiKey, body_sha256: str) -> Identity | None:
    """(caller and idempotency key, hash of the body), or None without the header. Invalid for an odd header."""
    if header is None:
        return None
    if not _KEY.match(header):
        raise Invalid("The Idempotency-Key is not 1 to 128 visible ASCII characters.", cure="Send a UUID.")
    return f"{key.prefix}:{header}", body_sha256


def once(who: Identity | None, ask: Callable[[], Prediction]) -> Prediction:
    """The answer given before to the same question, else a new one, kept. Conflict for another body."""
    if who is None:
        return ask()
    name, body = who
    now = clock.now()
    with transaction.atomic():
        IdempotentAnswer.objects.filter(name=name, created_at__lt=now - LIFETIME).delete()
        # The row is the lock: whoever comes second waits here until the first has its answer or has failed.
        row, _ = IdempotentAnswer.objects.select_for_update().get_or_create(
            name=name, defaults={"body_sha256": body, "created_at": now}
        )
        if row.body_sha256 != body:
            raise Conflict(
                "This Idempotency-Key was used with another body.",
                cure="Use a new key for a new question.",
                code="idempotency",
            )
        if row.prediction is not None:
            return row.prediction
        row.prediction = ask()
        row.save(update_fields=["prediction"])
        return row.prediction
