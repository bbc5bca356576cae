"""Imports in words: rows carried + rows refused = rows read, or it is said that they do not add up."""

from __future__ import annotations

from dataclasses import dataclass

from apps.core import clock
from apps.ingestion.models import ImportRun
from apps.portal.presenters import words
from apps.portal.presenters.runs import STATE_LOOKS, StateLook


@dataclass(frozen=True, slots=True)
class DomainRow:
    domain: str
    file: str
    read: str
    carried: str
    refused: str
    events: str
    adds_up: bool
    sha256: str


@dataclass(frozen=True, slots=True)
class ImportRow:
    id: str
    title: str
    state: StateLook
    progress: int
    step: str
    tone: str
    started: str
    took: str
    by: str
    error: str
    domains: list[DomainRow]
    account: str
    adds_up: bool


def run(row: ImportRun, where: words.ZoneInfo) -> ImportRow:
    """One import; needs its domains prefetched."""
    tone, icon, word = STATE_LOOKS[row.state]
    domains = [
        DomainRow(
            one.domain,
            one.file,
            f"{one.rows_read:,}",
            f"{one.rows_carried:,}",
            f"{one.rows_refused:,}",
            f"{one.events:,}",
            one.rows_carried + one.rows_refused == one.rows_read,
            one.sha256[:16],
        )
        for one in row.domains.all()
    ]
    read = sum(one.rows_read for one in row.domains.all())
    carried = sum(one.rows_carried for one in row.domains.all())
    refused = sum(one.rows_refused for one in row.domains.all())
    end = row.finished_at or (clock.now() if row.started_at else None)
    return ImportRow(
        id=str(row.pk),
        title=row.folder.rstrip("/").rpartition("/")[2] or row.folder,
        state=StateLook(tone, icon, word),
        progress=row.progress,
        step=row.step if row.state == "running" else "",
        tone={"failed": "bad", "succeeded": "good"}.get(row.state, ""),
        started=words.when(row.started_at or row.created_at, where, year=True),
        took=words.age((end - row.started_at).total_seconds()) if end and row.started_at else words.MISSING,
        by=row.by,
        error=row.error,
        domains=domains,
        account=f"{carried:,} rows carried by an event + {refused:,} refused under a named rule = {read:,} read"
        if domains
        else "No domain read yet",
        adds_up=carried + refused == read and all(one.adds_up for one in domains),
    )
