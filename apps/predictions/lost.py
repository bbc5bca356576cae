"""After a broker was lost: which predictions rest on events that never reached bronze."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

import structlog

from apps.audit.actors import Actor
from apps.core import clock
from apps.predictions import services
from apps.predictions.models import Prediction
from ml.contracts import TOPICS
from ml.lake import Lake
from ml.lake.claims import chains, next_offset
from ml.lake.epochs import epochs

log = structlog.get_logger(__name__)

LOOK_BACK = timedelta(hours=24)
"""Bronze claims what it reads within 30 seconds; a prediction a day old rests on claims unless bronze stood still."""


def claimed_ends(lake: Lake) -> dict[tuple[str, str, int], int]:
    """(topic, topic id, partition) → last claimed offset, of every life of a topic but the present one."""
    found = {}
    for topic in TOPICS:
        order = epochs(lake, topic)
        newest = max(order.values(), default=-1)
        for chain in chains(lake, topic):
            if order.get(chain.topic_id, newest) < newest:
                found[chain.topic, chain.topic_id, chain.partition] = (next_offset(lake, chain) or 0) - 1
    return found


def beyond(watermark: Mapping[str, list[object]], ends: Mapping[tuple[str, str, int], int]) -> str:
    """Why a prediction with this watermark cannot be replayed, or ""."""
    for name, (topic_id, partition, offset) in watermark.items():
        topic = name.partition("@")[0]
        end = ends.get((topic, str(topic_id), int(str(partition))))
        if end is not None and int(str(offset)) > end:
            return (
                f"It saw {topic} partition {partition} up to offset {offset}; the broker was lost when bronze held it "
                f"up to {end}."
            )
    return ""


def mark_lost(*, by: Actor, lake: Lake) -> int:
    """Mark the predictions of the last day that saw more than bronze holds; how many there were."""
    ends = claimed_ends(lake)
    if not ends:
        return 0
    recent = Prediction.objects.filter(created_at__gte=clock.now() - LOOK_BACK, not_replayable__isnull=True)
    count = 0
    for prediction in recent.only("pk", "trial_id", "watermark").iterator(chunk_size=1000):
        if reason := beyond(prediction.watermark, ends):
            services.mark_not_replayable(by=by, prediction=prediction, reason=reason)
            count += 1
    if count:
        log.error("predictions_not_replayable", count=count)
    return count
