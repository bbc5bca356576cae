"""The sealed order: one sequencer gives every committed event its place, 0, 1, 2 … without a gap.

Writers never wait for one another: they insert events only. The order is decided afterwards, here, under a lock that
one process holds at a time; an event that commits late simply comes later.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from django.db import connection, transaction

from apps.audit import tree
from apps.audit.models import AuditEvent, AuditSequence
from apps.core import clock
from apps.core.copying import insert_many
from apps.core.ids import earliest, made_at

LOCK = 0x5EA1
BATCH = 5_000
#: How long after its identifier was made an event may still commit and be found by the quick pass.
LONGEST_TRANSACTION = timedelta(minutes=30)


def sequence(*, everything: bool = False) -> int:
    """Give up to ``BATCH`` committed events their places; returns how many.

    Another sequencer at work means 0. The quick pass looks only at events whose identifier is younger than that of the
    last sealed one less ``LONGEST_TRANSACTION``; ``everything`` looks at all, and is run once a day.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL synchronous_commit = on")  # what is signed next must not be lost by a crash
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [LOCK])
        if not cursor.fetchone()[0]:
            return 0
        last = AuditSequence.objects.order_by("-seq").values("seq", "event_id").first()
        waiting = AuditEvent.objects.filter(sequence__isnull=True).order_by("id")
        if last is not None and not everything:
            waiting = waiting.filter(id__gte=earliest(made_at(last["event_id"]) - LONGEST_TRANSACTION))
        first = 0 if last is None else last["seq"] + 1
        now = clock.now()
        rows = [
            AuditSequence(seq=first + place, event_id=event_id, leaf_hash=leaf, sequenced_at=now)
            for place, (event_id, leaf) in enumerate(waiting.values_list("id", "leaf_hash")[:BATCH])
        ]
        insert_many(rows)
        return len(rows)


def leaves(*, start: int = 0) -> Iterator[bytes]:
    """The sealed leaf hashes from place ``start`` on, in their order."""
    rows = AuditSequence.objects.filter(seq__gte=start).order_by("seq").values_list("leaf_hash", flat=True)
    for leaf in rows.iterator(chunk_size=BATCH):
        yield bytes(leaf)


def root() -> tuple[int, bytes]:
    """The size of the sealed log and its Merkle root (RFC 6962)."""
    sealed = tree.CompactRange()
    for leaf in leaves():
        sealed.append(leaf)
    return sealed.size, sealed.root()
