"""Writes of predictions: each with its audit event, in one transaction, many at a time."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime

from django.db import transaction

from apps.audit.actors import Actor
from apps.audit.models import AuditEvent
from apps.audit.services import Entry, record, record_many
from apps.core import clock
from apps.core.copying import insert_many
from apps.predictions.answering import Answer
from apps.predictions.models import NotReplayable, Prediction
from apps.predictions.replay import replay
from apps.predictions.serving import Serving
from apps.predictions.versions import tables_version
from ml.scoring import fingerprint

REPLAYED = "predictions.replayed"


def store(*, by: Actor | Sequence[Actor], answers: Sequence[Answer], serving: Serving, source: str) -> list[Prediction]:
    """Insert one Prediction an answer and one audit event each; all or none. Returns the rows in the same order.

    ``by`` is who asked: one actor for all, or one an answer.
    """
    now = clock.now()
    rows = [
        Prediction(
            trial_id=serving.trial_id,
            patient_id=answer.question.patient,
            as_of=datetime.fromtimestamp(answer.question.as_of, UTC),
            probability=answer.probability,
            logit=answer.logit,
            level=answer.level,
            reasons=list(answer.reasons),
            model_version_id=serving.model_version,
            silent=serving.silent,
            top_factors=answer.top_factors,
            contributions=answer.contributions,
            features=answer.features,
            features_sha256=answer.features_sha256,
            watermark=answer.question.watermark,
            profile_version_id=serving.profile_version,
            tables_version=tables_version(),
            fingerprint=fingerprint(),
            correlation_id=answer.question.correlation_id,
            source=source,
            created_at=now,
        )
        for answer in answers
    ]
    if not rows:
        return []
    actors = [by] * len(rows) if isinstance(by, Actor) else by
    with transaction.atomic():
        record_many(
            entries=[
                Entry(
                    by=actor,
                    action="predictions.predicted",
                    object_type="predictions.Prediction",
                    object_id=str(row.pk),
                    trial=row.trial_id,
                    after={
                        "patient": row.patient_id,
                        "as_of": row.as_of.isoformat(),
                        "probability": row.probability,
                        "level": row.level,
                        "model_version": serving.label,
                        "features_sha256": row.features_sha256,
                    },
                    correlation_id=row.correlation_id,
                )
                for row, actor in zip(rows, actors, strict=True)
            ],
        )
        insert_many(rows)
    return rows


def replay_one(*, by: Actor, prediction: Prediction, reason: str = "") -> AuditEvent:
    """Answer a past question again, and put the verdict on record. Its event of the trail is the verdict's only home.

    ``after`` of the event: verdict, details (a sentence a difference), proven, fingerprint, seconds.
    """
    began = time.perf_counter()
    (verdict,) = replay([prediction.pk])
    seconds = round(time.perf_counter() - began, 3)
    with transaction.atomic():
        return record(
            by=by,
            action=REPLAYED,
            obj=prediction,
            trial=prediction.trial_id,
            after={
                "verdict": verdict.verdict,
                "proven": verdict.proven,
                "details": list(verdict.details),
                "fingerprint": fingerprint(),
                "seconds": seconds,
            },
            reason=reason,
        )


def replays_of(prediction: Prediction) -> list[AuditEvent]:
    """The verdicts of all replays of a prediction, newest first."""
    return list(
        AuditEvent.objects.filter(
            object_type="predictions.Prediction", object_id=str(prediction.pk), action=REPLAYED
        ).order_by("-id")
    )


def mark_not_replayable(*, by: Actor, prediction: Prediction, reason: str) -> NotReplayable:
    """Say that a prediction rests on events that never reached bronze. The prediction itself is never changed."""
    with transaction.atomic():
        record(
            by=by,
            action="predictions.not_replayable",
            obj=prediction,
            trial=prediction.trial_id,
            after={"reason": reason},
        )
        return NotReplayable.objects.create(prediction=prediction, reason=reason)
