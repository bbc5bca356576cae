"""Writes of ingestion that somebody answers for."""

from __future__ import annotations

import orjson
from django.db import transaction

from apps.audit.actors import Actor
from apps.audit.services import record
from apps.core import clock
from apps.core.errors import Conflict
from apps.core.models import OutboxMessage
from apps.ingestion.models import DeadLetter
from apps.ingestion.producer import patient_key
from ml.contracts import PRODUCERS, Refused, validate
from ml.contracts.events import SCHEMA_VERSION


def replay_dead_letter(*, by: Actor, letter: DeadLetter, default_trial: str, reason: str = "") -> OutboxMessage:
    """Send a dead letter again, as it was, because the contract has been mended. It goes through the outbox.

    Raises Conflict if it was replayed before, or if it still breaks the contract (with the first rule it breaks).
    """
    with transaction.atomic():
        letter = DeadLetter.objects.select_for_update().get(pk=letter.pk)
        if letter.replayed_at is not None:
            raise Conflict(
                f"This message was replayed on {letter.replayed_at:%d %b %Y %H:%M} UTC by {letter.replayed_by}.",
                code="replayed_before",
            )
        raw = bytes(letter.raw)
        outcome = validate(letter.topic, raw, letter.headers.get("schema_version") or SCHEMA_VERSION)
        if isinstance(outcome, Refused):
            raise Conflict(
                f"The message still breaks its contract: {outcome.reasons[0].message}",
                cure="Mend its source, which then sends a new message.",
                code="still_refused",
            )
        value = outcome.value
        producer = letter.headers.get("producer")
        message = OutboxMessage.objects.create(
            topic=letter.topic,
            key=patient_key(value.get("trial_id") or default_trial, value["patient_id"]),
            value=orjson.loads(raw),
            headers={
                "correlation_id": letter.correlation_id,
                **({"producer": producer} if producer in PRODUCERS else {}),
            },
        )
        letter.replayed_at, letter.replayed_by = clock.now(), by.name
        record(
            by=by,
            action="ingestion.dead_letter_replayed",
            obj=letter,
            trial=str(value.get("trial_id") or default_trial),
            before={"replayed_at": None},
            after={"replayed_at": letter.replayed_at.isoformat(), "outbox": str(message.pk)},
            reason=reason,
            correlation_id=letter.correlation_id,
        )
        letter.save(update_fields=["replayed_at", "replayed_by"])
    return message


def note_epoch(*, by: Actor, topic: str, topic_id: str, number: int) -> None:
    """Put on record that a topic was made anew: its offsets begin again, and what was not claimed is lost."""
    with transaction.atomic():
        record(
            by=by,
            action="ingestion.epoch_opened",
            object_type="ingestion.Epoch",
            object_id=f"{topic}/{number}",
            after={"topic": topic, "topic_id": topic_id, "epoch": number},
        )
