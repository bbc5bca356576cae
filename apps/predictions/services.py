"""Writes of predictions: each with its audit event, in one transaction, many at a time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from django.db import transaction

from apps.audit.actors import Actor
from apps.audit.services import Entry, record, record_many
from apps.core import clock
from apps.core.copying import insert_many
from apps.predictions.answering import Answer
from apps.predictions.models import NotReplayable, Prediction
from apps.predictions.serving import Serving
from apps.predictions.versions import tables_version
from ml.scoring import fingerprint


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
