"""The report of a check or an import as a file: CSV for a spreadsheet, JSON for a program."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from apps.core import spreadsheet
from apps.ingestion.models import ImportRun

COLUMNS = ("domain", "row", "rule", "what", "why", "what would mend it", "rows", "values")
CHUNK = 1_000


def as_csv(run: ImportRun) -> Iterator[str]:
    """Every refused row, one a line."""
    yield spreadsheet.BYTE_ORDER_MARK
    yield from spreadsheet.lines(COLUMNS, _refused(run))


def _refused(run: ImportRun) -> Iterator[tuple[object, ...]]:
    for one in run.refusals.order_by("domain", "id").iterator(chunk_size=CHUNK):
        values = json.dumps(one.values, ensure_ascii=False, sort_keys=True) if one.values else ""
        yield one.domain, one.row, one.rule, one.what, one.why, one.cure, one.count, values


def as_json(run: ImportRun) -> Iterator[str]:
    """Everything the page shows, as one JSON object, row by row."""
    unread: dict[str, list[str]] = {}
    for domain, what in run.refusals.filter(rule="unreadable_file").values_list("domain", "what"):
        unread.setdefault(domain, []).append(what)
    head: dict[str, Any] = {
        "import": str(run.pk),
        "kind": run.kind,
        "trial": run.trial_name,
        "state": run.state,
        "package_sha256": run.package_sha256,
        "finished_at": run.finished_at.isoformat() if run.finished_at else None,
        "records": {"new": run.new, "corrected": run.corrected, "retracted": run.retracted, "unchanged": run.unchanged},
        "remarks": run.remarks,
        "domains": [
            {"domain": one.domain, "file": one.file, "sha256": one.sha256, "read": one.rows_read, "carried": one.rows_carried,
             "refused": one.rows_refused, "events": one.events, "unreadable": unread.get(one.domain, [])}
            for one in run.domains.all()
        ],
    }  # fmt: skip
    yield json.dumps(head, ensure_ascii=False)[:-1]
    changes = (
        {
            "kind": one.kind,
            "topic": one.topic,
            "patient": one.patient_id,
            "record": one.record_id,
            "columns": one.columns,
        }
        for one in run.changes.iterator(chunk_size=CHUNK)
    )
    refusals = (
        {"domain": one.domain, "row": one.row, "rule": one.rule, "what": one.what, "why": one.why, "cure": one.cure, "rows": one.count,
         "values": one.values}
        for one in run.refusals.order_by("domain", "id").iterator(chunk_size=CHUNK)
    )  # fmt: skip
    for name, rows in (("changes", changes), ("refused", refusals)):
        yield f', "{name}": ['
        for number, row in enumerate(rows):
            yield (",\n" if number else "\n") + json.dumps(row, ensure_ascii=False)
        yield "]"
    yield "}\n"
