"""What cleaning set aside, mirrored from the lake into the portal's table."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow.parquet as pq
from django.db import transaction

from apps.core.lake import lake
from apps.ingestion.models import Quarantined

ROWS_A_TIME = 2000
IDENTITY = ("topic", "topic_id", "partition", "offset", "rule", "field")


def mirror(context: dict[str, Any], report: Callable[[str, int, int], None]) -> dict[str, Any]:
    """Make the table equal to the lake's quarantine: a record that a later run let pass leaves the table."""
    found: dict[tuple[Any, ...], dict[str, Any]] = {_identity(row): row for row in _rows()}
    with transaction.atomic():
        kept: set[tuple[Any, ...]] = set()
        gone: list[Any] = []
        for pk, *identity in Quarantined.objects.values_list("pk", *IDENTITY).iterator():
            (kept.add(tuple(identity)) if tuple(identity) in found else gone.append(pk))
        Quarantined.objects.filter(pk__in=gone).delete()
        new = [_record(row, context) for identity, row in sorted(found.items()) if identity not in kept]
        Quarantined.objects.bulk_create(new, batch_size=ROWS_A_TIME)
    report(f"{len(found)} set aside", 1, 1)
    return {"quarantined": len(found), "quarantined_new": len(new), "quarantined_released": len(gone)}


def _rows() -> Iterator[dict[str, Any]]:
    store = lake()
    for info in store.list("quarantine/"):
        if info.path.endswith(".parquet"):
            yield from pq.read_table(io.BytesIO(store.get(info.path))).to_pylist()


def _identity(row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(row[name] if row[name] is not None else "" for name in IDENTITY)


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
        run_id=context.get("job_run"),
    )
