"""Writes of ingestion that somebody answers for."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

import orjson
from django.db import transaction

from apps.audit.actors import Actor
from apps.audit.services import record
from apps.core import clock
from apps.core.errors import Conflict, Invalid
from apps.core.models import OutboxMessage
from apps.ingestion.models import DeadLetter
from apps.ingestion.producer import patient_key
from apps.ingestion.refused import version_of
from apps.pipelines import services as pipelines
from apps.pipelines.models import JobRun
from ml.contracts import PRODUCERS, Refused, validate


def replay_dead_letter(
    *, by: Actor, letter: DeadLetter, default_trial: str, reason: str = "", trial: str | None = None
) -> OutboxMessage:
    """Send a dead letter again, as it was, because the contract has been mended. It goes through the outbox.

    ``trial``: who replays may do so in this trial only (None = in any). Raises Conflict if the letter was replayed
    before, if it still breaks the contract (with the first rule it breaks), or if it turns out to be of another trial.
    """
    with transaction.atomic():
        letter = DeadLetter.objects.select_for_update().get(pk=letter.pk)
        if letter.replayed_at is not None:
            raise Conflict(
                f"This message was replayed on {letter.replayed_at:%d %b %Y %H:%M} UTC by {letter.replayed_by}.",
                code="replayed_before",
            )
        raw = bytes(letter.raw)
        outcome = validate(letter.topic, raw, version_of(letter))
        if isinstance(outcome, Refused):
            raise Conflict(
                f"The message still breaks its contract: {outcome.reasons[0].message}",
                cure="Mend its source, which then sends a new message.",
                code="still_refused",
            )
        value = outcome.value
        named = str(value.get("trial_id") or default_trial)
        if trial is not None and named != trial:
            raise Conflict(
                f"The message is of trial {named}, not of {trial}.",
                cure="Replay it from that trial's page.",
                code="other_trial",
            )
        producer = letter.headers.get("producer")
        message = OutboxMessage.objects.create(
            topic=letter.topic,
            key=patient_key(named, value["patient_id"]),
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
            trial=named,
            before={"replayed_at": None},
            after={"replayed_at": letter.replayed_at.isoformat(), "outbox": str(message.pk)},
            reason=reason,
            correlation_id=letter.correlation_id,
        )
        letter.save(update_fields=["replayed_at", "replayed_by"])
    return message


class Replayed(NamedTuple):
    """What became of several letters: sent, and of each other one the sentence why not."""

    sent: list[OutboxMessage]
    left: dict[str, str]


def replay_dead_letters(
    *, by: Actor, letters: Iterable[DeadLetter], default_trial: str, reason: str = "", trial: str | None = None
) -> Replayed:
    """Send several dead letters again, each in a transaction of its own: one that may not go holds up no other."""
    done = Replayed([], {})
    for letter in letters:
        try:
            done.sent.append(
                replay_dead_letter(by=by, letter=letter, default_trial=default_trial, reason=reason, trial=trial)
            )
        except Conflict as error:
            done.left[str(letter.pk)] = error.message
    return done


def ask_clean_again(*, by: Actor, trial_id: str, days: Mapping[str, Collection[str]], reason: str) -> JobRun:
    """Ask for the partitions of these days (topic -> YYYY-MM-DD, UTC) to be cleaned again, quarantine and all.

    Invalid where no day is named.
    """
    if not any(days.values()):
        raise Invalid("There is no day to clean again.", cure="Choose rows that carry a time.", code="no_days")
    text = ";".join(f"{topic}={','.join(sorted(days[topic]))}" for topic in sorted(days) if days[topic])
    return pipelines.request(
        by=by,
        job="clean_again",
        trial_id=trial_id,
        arguments={"again": text, "why": reason} if reason else {"again": text},
    )


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
