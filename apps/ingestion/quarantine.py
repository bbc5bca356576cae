"""What cleaning set aside, mirrored from the lake into the portal's table; what it let in since, kept in the trail."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pyarrow.parquet as pq
from django.db import transaction

from apps.audit.actors import Actor
from apps.audit.services import Entry, record_many
from apps.core.lake import lake
from apps.ingestion.models import Quarantined

ROWS_A_TIME = 2000
ROWS_AN_EVENT = 200
IDENTITY = ("topic", "topic_id", "partition", "offset", "rule", "field")
RELEASED = "ingestion.quarantine_released"
CLEANING = Actor.process("cleaning")
_KEPT_OF = ("patient", "site_id", "event_time", *IDENTITY)


def mirror(context: dict[str, Any], report: Callable[[str, int, int], None]) -> dict[str, Any]:
    """Make the table equal to the lake's quarantine: a record that a later run let pass leaves the table.

    Each that leaves is named in the trail: *admitted*, or *under another rule* where its message is still set aside.
    """
    found: dict[tuple[Any, ...], dict[str, Any]] = {_identity(row): row for row in _rows()}
    aside = {identity[:4] for identity in found}
    with transaction.atomic():
        kept: set[tuple[Any, ...]] = set()
        gone: list[Quarantined] = []
        undated: list[Quarantined] = []
        for row in Quarantined.objects.iterator():
            identity = tuple(getattr(row, name) for name in IDENTITY)
            if identity not in found:
                gone.append(row)
                continue
            kept.add(identity)
            if row.event_time is None and (moment := _moment(found[identity])) is not None:
                row.event_time = moment
                undated.append(row)
        Quarantined.objects.filter(pk__in=[row.pk for row in gone]).delete()
        Quarantined.objects.bulk_update(undated, ["event_time"], batch_size=ROWS_A_TIME)
        new = [_record(row, context) for identity, row in sorted(found.items()) if identity not in kept]
        Quarantined.objects.bulk_create(new, batch_size=ROWS_A_TIME)
        record_many(entries=_released(gone, aside, str(context.get("job_run") or "")))
    report(f"{len(found)} set aside", 1, 1)
    return {"quarantined": len(found), "quarantined_new": len(new), "quarantined_released": len(gone)}


def _released(gone: list[Quarantined], aside: set[tuple[Any, ...]], run: str) -> list[Entry]:
    """Events of the trail that name what is no longer set aside, so many rows an event; values are not repeated."""
    by_trial: dict[str, list[dict[str, Any]]] = {}
    for row in gone:
        place = (row.topic, row.topic_id, row.partition, row.offset)
        named = {name: getattr(row, name) for name in _KEPT_OF}
        named["event_time"] = None if row.event_time is None else row.event_time.isoformat()
        by_trial.setdefault(row.trial_id, []).append(named | {"admitted": place not in aside})
    return [
        Entry(
            by=CLEANING,
            action=RELEASED,
            object_type="ingestion.Quarantined",
            object_id=run or "mirror",
            trial=trial,
            after={"run": run, "rows": rows[start : start + ROWS_AN_EVENT]},
        )
        for trial, rows in sorted(by_trial.items())
        for start in range(0, len(rows), ROWS_AN_EVENT)
    ]


def _rows() -> Iterator[dict[str, Any]]:
    store = lake()
    for info in store.list("quarantine/"):
        if info.path.endswith(".parquet"):
            yield from pq.read_table(io.BytesIO(store.get(info.path))).to_pylist()


def _identity(row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(row[name] if row[name] is not None else "" for name in IDENTITY)


def _moment(row: dict[str, Any]) -> datetime | None:
    return None if row["event_time"] is None else datetime.fromtimestamp(row["event_time"], UTC)


def _record(row: dict[str, Any], context: dict[str, Any]) -> Quarantined:
    trial, patient = row["trial_id"] or "", row["patient_id"] or ""
    return Quarantined(
        trial_id=trial,
        patient=f"{trial}/{patient}"[:130],
        site_id=(row["trial_site_id"] or "")[:64],
        topic=row["topic"],
        topic_id=row["topic_id"],
        partition=row["partition"],
        offset=row["offset"],
        rule=row["rule"][:80],
        field=(row["field"] or "")[:80],
        value=row["value"] or "",
        message=row["message"] or "",
        event_time=_moment(row),
        run_id=context.get("job_run"),
    )
