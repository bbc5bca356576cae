"""The table of dead letters: a picture of the dead objects in bronze, made anew from them wherever it lacks something."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import structlog
from django.db import DatabaseError, close_old_connections, transaction

from apps.audit.actors import Actor
from apps.audit.services import record
from apps.core import clock
from apps.ingestion.models import ConsumerState, DeadLetter
from ml.lake import Lake
from ml.lake.bronze import read_claimed, read_dead
from ml.lake.claims import Claim
from ml.lake.epochs import epochs

log = structlog.get_logger(__name__)

GROUP = "dead-letters"
BRONZE = Actor.process("bronze")


def _row(letter: dict[str, Any], received_at: datetime) -> DeadLetter:
    headers = letter["headers"]
    name = f"{letter['topic']}-{letter['partition']}-{letter['offset']}"
    key = letter["key"]
    return DeadLetter(
        topic=letter["topic"],
        topic_id=letter["topic_id"],
        partition=letter["partition"],
        offset=letter["offset"],
        timestamp=letter["timestamp"],
        key=None if key is None else str(key).encode(),
        headers=headers,
        reasons=letter["reasons"],
        raw=letter["raw"] or b"",
        correlation_id=str(headers.get("correlation_id") or name)[:64],
        received_at=received_at,
    )


def project(lake: Lake, claim: Claim, *, epoch: int = 0) -> None:
    """Put a claim's dead letters into the table, and remember that they are there. Doing it twice changes nothing."""
    rows = [_row(letter, datetime.fromisoformat(claim.created)) for letter in read_dead(lake, claim)]
    with transaction.atomic():
        there = set(
            DeadLetter.objects.filter(
                topic=claim.topic,
                topic_id=claim.topic_id,
                partition=claim.partition,
                offset__in=[row.offset for row in rows],
            ).values_list("offset", flat=True)
        )
        if new := [row for row in rows if row.offset not in there]:
            record(
                by=BRONZE,
                action="ingestion.dead_letters_kept",
                object_type="ingestion.DeadLetter",
                object_id=f"{claim.topic}/{claim.partition}/{claim.start}",
                after={"topic_id": claim.topic_id, "object": claim.dead_object, "offsets": [row.offset for row in new]},
            )
            DeadLetter.objects.bulk_create(new, ignore_conflicts=True, batch_size=500)
        ConsumerState.objects.update_or_create(
            group=GROUP,
            topic=claim.topic,
            topic_id=claim.topic_id,
            partition=claim.partition,
            defaults={
                "epoch": epoch,
                "next_offset": claim.end + 1,
                "last_record_at": datetime.fromtimestamp(claim.last_timestamp / 1000, UTC),
                "updated_at": clock.now(),
            },
        )


class Projector:
    """Called with every new claim. What the database would not take is tried again with the next one."""

    def __init__(self, lake: Lake) -> None:
        self.lake = lake
        self.waiting: list[Claim] = []
        self._epochs: dict[str, dict[str, int]] = {}

    def _epoch(self, claim: Claim) -> int:
        known = self._epochs.get(claim.topic, {})
        if claim.topic_id not in known:
            known = self._epochs[claim.topic] = epochs(self.lake, claim.topic)
        return known.get(claim.topic_id, 0)

    def catch_up(self, topics: tuple[str, ...]) -> None:
        """Project the claims behind what the table holds: those of a process that was killed after claiming."""
        for topic in topics:
            since = {
                (state.topic_id, state.partition): state.next_offset - 1
                for state in ConsumerState.objects.filter(group=GROUP, topic=topic)
            }
            for batch in read_claimed(self.lake, topic, since):
                if batch.claim.dead:
                    project(self.lake, batch.claim, epoch=batch.epoch)

    def __call__(self, claim: Claim) -> None:
        if claim.dead:
            self.waiting.append(claim)
        self.work_off()

    def work_off(self) -> None:
        """Project what waits; leave it waiting while the database is away."""
        while self.waiting:
            try:
                project(self.lake, self.waiting[0], epoch=self._epoch(self.waiting[0]))
            except DatabaseError as error:
                log.error("dead_letters_wait", waiting=len(self.waiting), error=str(error))
                close_old_connections()
                return
            self.waiting.pop(0)
