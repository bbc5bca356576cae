"""Imports in words: rows carried + rows refused = rows read, or it is said that they do not add up."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.urls import reverse

from apps.core import clock
from apps.ingestion.imports import services
from apps.ingestion.imports.places import Found
from apps.ingestion.models import ImportChange, ImportRun
from apps.portal.presenters import words
from apps.portal.presenters.runs import STATE_LOOKS, StateLook
from ml.contracts import EVENTS

LOOKS = {**STATE_LOOKS, "draft": ("open", "half", "Needs its columns"), "discarded": ("quiet", "cross", "Discarded")}
GOING = ("waiting", "running")
UNREADABLE = "unreadable_file"
TOPIC_WORDS = {name: one.table.replace("_", " ") for name, one in EVENTS.items()}


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
    unreadable: bool = False


@dataclass(frozen=True, slots=True)
class Links:
    """Addresses of one import, inside its trial or outside of all."""

    list: str
    new: str
    page: str
    part: str
    columns: str
    go: str
    again: str
    discard: str
    csv: str
    json: str
    job: str


@dataclass(frozen=True, slots=True)
class ImportRow:
    """One check or import as listed and as shown. ``counts``: what changes, as (words, number) pairs."""

    id: str
    kind: str
    title: str
    study: str
    trial: str
    form: str
    origin: str
    state: StateLook
    is_check: bool
    going: bool
    draft: bool
    done: bool
    silent: bool
    progress: int
    step: str
    tone: str
    started: str
    took: str
    by: str
    error: str
    cure: str
    domains: list[DomainRow]
    account: str
    adds_up: bool
    unit: str
    counts: list[tuple[str, str, str]]
    changes_something: bool
    remarks: list[str]
    may_go: bool
    may_again: bool
    may_discard: bool
    followed_by: str
    links: Links
    unreadable: list[str]
    """A sentence for each file that cannot be read."""


def links(row: ImportRun | None, trial: str) -> Links:
    """The addresses; outside of all trials where `trial` is empty."""
    base = [trial] if trial else []
    kind = "" if trial else "new_"

    def to(name: str, *rest: object) -> str:
        return reverse(f"portal:{kind}{name}", args=[*base, *rest])

    def of(name: str) -> str:
        return to(name, row.pk) if row is not None else ""

    job = row is not None and row.job_id and row.trial_id
    return Links(
        list=to("imports"),
        new=to("import_new"),
        page=of("import"),
        part=of("import_part"),
        columns=of("import_columns"),
        go=of("import_go"),
        again=of("import_again"),
        discard=of("import_discard"),
        csv=of("import_csv"),
        json=of("import_json"),
        job=reverse("portal:run", args=[row.trial_id, row.job_id]) if row is not None and job else "",
    )


def run(row: ImportRun, where: words.ZoneInfo, *, trial: str = "", may: bool = False) -> ImportRow:
    """One import; needs its domains prefetched. ``may``: whether the viewer may start and discard imports here."""
    tone, icon, word = LOOKS[row.state]
    unread = list(row.refusals.filter(rule=UNREADABLE).values_list("domain", "what"))
    broken = {domain for domain, _ in unread}
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
            one.domain in broken,
        )
        for one in row.domains.all()
    ]
    read = sum(one.rows_read for one in row.domains.all())
    carried = sum(one.rows_carried for one in row.domains.all())
    refused = sum(one.rows_refused for one in row.domains.all())
    begun = row.started_at or row.created_at
    end = row.finished_at or (clock.now() if row.started_at else None)
    there = bool(row.place) and Path(row.place).exists()
    silent = services.is_silent(row)
    following = row.imports.order_by("-created_at").first() if row.kind == "check" else None
    unit = "values" if row.form == "table" else "rows"
    check = row.kind == "check"
    counts = [
        ("new", f"{row.new:,}", "recorded for the first time"),
        ("corrected", f"{row.corrected:,}", "say something else than before"),
        ("retracted", f"{row.retracted:,}", "are no longer in the files"),
        ("unchanged", f"{row.unchanged:,}", "say what they said before"),
    ]
    return ImportRow(
        id=str(row.pk),
        kind=row.get_kind_display(),
        title=row.source.rstrip("/").rpartition("/")[2] or row.source,
        study=row.title,
        trial=row.trial_name,
        form=row.get_form_display(),
        origin=row.get_origin_display(),
        state=StateLook(tone, icon, word),
        is_check=check,
        going=row.state in GOING and not silent,
        draft=row.state == "draft",
        done=row.state == "succeeded",
        silent=silent,
        progress=row.progress,
        step=row.step if row.state == "running" else "",
        tone={"failed": "bad", "succeeded": "good"}.get(row.state, ""),
        started=f"{words.when(begun, where, year=True)} {words.zone_words(begun, where)}",
        took=words.age((end - row.started_at).total_seconds()) if end and row.started_at else words.MISSING,
        by=row.by,
        error=row.error,
        cure=row.cure,
        domains=domains,
        account=f"{carried:,} {unit} carried by an event + {refused:,} refused under a named rule = {read:,} read"
        + (f"; {words.plural(len(unread), 'file')} cannot be read" if unread else "")
        if domains
        else ("Not read yet" if row.state in (*GOING, "draft") else "Nothing was read"),
        adds_up=carried + refused == read and all(one.adds_up for one in domains),
        unit=unit,
        counts=counts,
        changes_something=bool(row.new or row.corrected or row.retracted),
        remarks=row.remarks,
        may_go=may and check and row.state == "succeeded" and there and following is None,
        may_again=may and there and (row.state == "failed" or silent),
        may_discard=may
        and there
        and row.origin == "sent"
        and (row.state in ("draft", "failed", "succeeded") or silent),
        followed_by=links(following, following.trial_id or trial).page if following is not None else "",
        links=links(row, trial),
        unreadable=[what for _, what in unread],
    )


@dataclass(frozen=True, slots=True)
class ChangeRow:
    kind: str
    what: str
    patient: str
    record: str
    columns: list[tuple[str, str, str]]


def change(row: ImportChange) -> ChangeRow:
    """A changed record: its columns with the value before and after."""
    columns = [(name.replace("_", " "), _said(pair[0]), _said(pair[1])) for name, pair in row.columns.items()]
    return ChangeRow(row.kind, TOPIC_WORDS.get(row.topic, row.topic), row.patient_id, row.record_id, columns)


def _said(value: Any) -> str:
    if value is None:
        return words.MISSING
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)


@dataclass(frozen=True, slots=True)
class Choice:
    """Something under the folder for imports, as offered."""

    name: str
    shown: str
    note: str


def choices(found: list[Found], where: words.ZoneInfo) -> list[Choice]:
    """What can be chosen, with how many files, how large and how old."""
    offered = []
    for one in found:
        modified = words.when(datetime.fromtimestamp(one.modified, UTC), where, year=True)
        note = f"{words.plural(one.files, 'file')}, {size(one.size)}, {modified}"
        offered.append(Choice(one.name, "the folder itself" if one.name == "." else one.name, note))
    return offered


def size(count: int) -> str:
    """Bytes in words."""
    for unit, step in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= step:
            return f"{count / step:.1f} {unit}"
    return f"{count} bytes"
