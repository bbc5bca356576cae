"""The report of an import as rows: domains, refused rows and changed records, fit for the database."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

from apps.ingestion.imports.manifest import Change
from apps.ingestion.imports.packages import Package
from apps.ingestion.models import ImportChange, ImportDomain, ImportRefusal, ImportRun

BATCH = 2_000
LONGEST = 200
CHANGES_SHOWN = 1_000
"""Changed records written down one by one; the counts hold all of them, and bronze every version."""


def write(run: ImportRun, package: Package, changes: Iterable[Change]) -> None:
    """Write the report of `run`. Call it inside the transaction that records its audit event."""
    ImportDomain.objects.bulk_create(
        ImportDomain(
            run=run, domain=text(one.domain, 64) or "?", file=text(one.file, 200), sha256=one.sha256, rows_read=one.read,
            rows_carried=one.carried, rows_refused=one.refused, events=one.events,
        )
        for one in package.accounts
    )  # fmt: skip
    for part in _parts(_refusals(run, package)):
        ImportRefusal.objects.bulk_create(part)
    shown = [change for change, _ in zip(changes, range(CHANGES_SHOWN), strict=False)]
    ImportChange.objects.bulk_create(
        [
            ImportChange(
                run=run, kind=one.kind, topic=one.topic, patient_id=text(one.patient_id, 64), record_id=text(one.record, 120),
                columns=plain({name: list(pair) for name, pair in one.columns.items()}),
            )
            for one in shown
        ],
        batch_size=BATCH,
    )  # fmt: skip


def _refusals(run: ImportRun, package: Package) -> Iterator[ImportRefusal]:
    for one in package.refusals:
        yield ImportRefusal(
            run=run, domain=text(one.domain, 64) or "?", row=text(one.row, 200), rule=one.rule, what=text(one.what, 400), why=one.why,
            cure=one.cure, values=plain(one.values), count=one.count,
        )  # fmt: skip


def _parts(rows: Iterator[ImportRefusal]) -> Iterator[list[ImportRefusal]]:
    part: list[ImportRefusal] = []
    for row in rows:
        part.append(row)
        if len(part) == BATCH:
            yield part
            part = []
    if part:
        yield part


def text(value: object, longest: int = LONGEST) -> str:
    """A text from a stranger's file as PostgreSQL and a page can hold it: no NUL, no half characters, not endless."""
    said = str(value).replace("\x00", "\N{SYMBOL FOR NULL}").encode("utf-8", "replace").decode("utf-8")
    return said if len(said) <= longest else said[: longest - 1] + "…"


def plain(value: Any) -> Any:
    """The same for what becomes JSON: a number that JSON cannot write is a text."""
    if isinstance(value, dict):
        return {text(name, 64): plain(item) for name, item in list(value.items())[:100]}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value[:100]]
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    return text(value)
