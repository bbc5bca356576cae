"""Reading the trail: for one object, filtered by pages, and how far it is sealed and signed."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Min, Q, QuerySet

from apps.audit.leaf import leaf_of
from apps.audit.models import AuditCheckpoint, AuditEvent, AuditSequence
from apps.core import clock
from apps.core.ids import earliest

CHUNK = 1_000
LOOK_BACK = timedelta(days=2)


def of_object(object_type: str, object_id: object) -> list[AuditEvent]:
    """Everything done to one object, oldest first."""
    return list(AuditEvent.objects.filter(object_type=object_type, object_id=str(object_id)).order_by("id"))


def altered(event: AuditEvent) -> bool:
    """Whether the row no longer gives the hash that was recorded with it."""
    return leaf_of(event) != bytes(event.leaf_hash)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrailFilter:
    """Which events. ``trial`` None = of all trials and of the platform; texts match anywhere, without case."""

    trial: str | None
    actor: str = ""
    action: str = ""
    object_type: str = ""
    object_id: str = ""
    since: datetime | None = None
    until: datetime | None = None
    correlation_id: str = ""
    reason: str = ""

    def rows(self) -> QuerySet[AuditEvent]:
        """The events, newest first."""
        rows = AuditEvent.objects.select_related("sequence").order_by("-id")
        exact = {
            "trial": self.trial,
            "action": self.action,
            "object_type": self.object_type,
            "correlation_id": self.correlation_id,
        }
        rows = rows.filter(**{name: value for name, value in exact.items() if value})
        if self.actor:
            rows = rows.filter(actor__icontains=self.actor)
        if self.object_id:
            rows = rows.filter(object_id__icontains=self.object_id)
        if self.reason:
            rows = rows.filter(reason__icontains=self.reason)
        if self.since:
            rows = rows.filter(at__gte=self.since)
        if self.until:
            rows = rows.filter(at__lt=self.until)
        return rows


@dataclass(frozen=True, slots=True)
class Page:
    """Some events, newest first, and whether there are newer and older ones."""

    events: list[AuditEvent]
    newer: bool
    older: bool


def page(wanted: TrailFilter, size: int, *, before: uuid.UUID | None = None, after: uuid.UUID | None = None) -> Page:
    """A page by key: the events older than ``before``, or those just newer than ``after``, or the newest. What is
    recorded meanwhile shifts nothing, and the last page costs what the first does."""
    rows = wanted.rows()
    if after is not None:
        found = list(rows.filter(id__gt=after).order_by("id")[: size + 1])
        return Page(found[:size][::-1], newer=len(found) > size, older=True)
    if before is not None:
        rows = rows.filter(id__lt=before)
    found = list(rows[: size + 1])
    return Page(found[:size], newer=before is not None, older=len(found) > size)


def each(wanted: TrailFilter) -> Iterator[AuditEvent]:
    """All of them, newest first, a thousand at a time."""
    before: uuid.UUID | None = None
    while rows := page(wanted, CHUNK, before=before).events:
        yield from rows
        before = rows[-1].pk


def event(event_id: uuid.UUID, *, trial: str | None) -> AuditEvent | None:
    """One event with its place, if it is of the trial (None: any)."""
    rows = AuditEvent.objects.select_related("sequence").filter(pk=event_id)
    return (rows if trial is None else rows.filter(trial=trial)).first()


def newest_of(*actions: str, trial: str | None = None, count: int = 1) -> list[AuditEvent]:
    """The newest events of these actions; of one trial where it is given, those of the platform included."""
    rows = AuditEvent.objects.filter(action__in=actions).order_by("-id")
    return list((rows if trial is None else rows.filter(Q(trial=trial) | Q(trial="")))[:count])


@dataclass(frozen=True, slots=True)
class Waiting:
    """Events without a place: how many, and when the oldest was recorded."""

    count: int
    oldest: datetime | None


def unsealed(*, everything: bool = False) -> Waiting:
    """What waits for the sequencer. Of the last two days only, unless ``everything``: a page asks often."""
    rows: QuerySet[Any] = AuditEvent.objects.filter(sequence__isnull=True)
    if not everything:
        rows = rows.filter(id__gte=earliest(clock.now() - LOOK_BACK))
    found = rows.aggregate(count=Count("id"), oldest=Min("at"))
    return Waiting(found["count"], found["oldest"])


@dataclass(frozen=True, slots=True)
class Sealed:
    """How far the log is sealed and signed, as the database tells it."""

    size: int
    last_sealed: datetime | None
    checkpoint: AuditCheckpoint | None
    waiting: Waiting


def sealed() -> Sealed:
    """The state of the chain in the database."""
    last = AuditSequence.objects.order_by("-seq").first()
    return Sealed(
        0 if last is None else last.seq + 1,
        last.sequenced_at if last else None,
        AuditCheckpoint.objects.order_by("-id").first(),
        unsealed(),
    )
