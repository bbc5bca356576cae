"""How far a consumer is, as rows a page can show. For display only."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import NamedTuple

from apps.core import clock
from apps.ingestion.models import ConsumerState


class Progress(NamedTuple):
    """One partition's state: the offset to be read next, and how many messages the broker has beyond it."""

    topic: str
    topic_id: str
    partition: int
    epoch: int
    next_offset: int
    lag: int | None
    last_record_ms: int | None
    alarm: str = ""


def save(group: str, rows: Iterable[Progress]) -> None:
    """Insert or update the rows of one consumer group, in one statement."""
    now = clock.now()
    ConsumerState.objects.bulk_create(
        [
            ConsumerState(
                group=group,
                topic=row.topic,
                topic_id=row.topic_id,
                partition=row.partition,
                epoch=row.epoch,
                next_offset=row.next_offset,
                lag=row.lag,
                last_record_at=None
                if row.last_record_ms is None
                else datetime.fromtimestamp(row.last_record_ms / 1000, UTC),
                alarm=row.alarm,
                updated_at=now,
            )
            for row in rows
        ],
        update_conflicts=True,
        unique_fields=["group", "topic", "topic_id", "partition"],
        update_fields=["epoch", "next_offset", "lag", "last_record_at", "alarm", "updated_at"],
    )
