"""Runs of jobs in words."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from apps.core import clock
from apps.pipelines.jobs import JOBS
from apps.pipelines.models import JobRun
from apps.portal.presenters import words

STATE_LOOKS = {
    "waiting": ("quiet", "clock", "Waiting"),
    "running": ("open", "turn", "Running"),
    "succeeded": ("good", "tick", "Succeeded"),
    "failed": ("bad", "cross", "Failed"),
    "cancelled": ("quiet", "cross", "Cancelled"),
}


@dataclass(frozen=True, slots=True)
class StateLook:
    tone: str
    icon: str
    word: str


@dataclass(frozen=True, slots=True)
class RunRow:
    """One run as listed and as shown."""

    id: str
    title: str
    sentence: str
    state: StateLook
    going: bool
    progress: int
    step: str
    tone: str
    started: str
    took: str
    by: str
    error: str
    cure: str
    log: str
    outcome: list[tuple[str, str]]
    arguments: list[tuple[str, str]]
    correlation_id: str
    retry_of: str
    may_retry: bool
    warnings: list[str] = field(default_factory=list)
    not_done: list[str] = field(default_factory=list)


def run(row: JobRun, where: words.ZoneInfo, *, may_run: bool) -> RunRow:
    """The run in words."""
    job = JOBS.get(row.job)
    tone, icon, word = STATE_LOOKS[row.state]
    begun = row.started_at or row.created_at
    end = row.finished_at or (clock.now() if row.started_at else None)
    took = words.age((end - row.started_at).total_seconds()) if end and row.started_at else words.MISSING
    return RunRow(
        id=str(row.pk),
        title=job.label if job else row.job.replace("_", " ").capitalize(),
        sentence=job.sentence if job else "",
        state=StateLook(tone, icon, word),
        going=row.state in ("waiting", "running"),
        progress=row.progress,
        step=row.step if row.state == "running" else "",
        tone={"failed": "bad", "succeeded": "good"}.get(row.state, ""),
        started=f"{words.when(begun, where, year=True)} {words.zone_words(begun, where)}",
        took=took,
        by=row.by,
        error=row.error,
        cure=row.cure,
        log=row.log,
        outcome=pairs({name: value for name, value in row.outcome.items() if name not in ("findings", "not_done")}),
        arguments=pairs(row.arguments),
        correlation_id=row.correlation_id,
        retry_of=str(row.retry_of_id or ""),
        may_retry=may_run and row.state == "failed",
        warnings=[str(sentence) for sentence in row.outcome.get("findings") or ()],
        not_done=[f"{one['step']}: not done. {one['because']}" for one in row.outcome.get("not_done") or ()],
    )


def pairs(values: dict[str, Any]) -> list[tuple[str, str]]:
    """A dictionary as rows of a fact list."""
    told = ((name.replace("_", " "), _said(value)) for name, value in values.items())
    return [(name, text if len(text) <= 400 else text[:400] + " …") for name, text in told]


def _said(value: Any) -> str:
    if value is None or value in ("", [], {}):
        return words.MISSING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return words.number(value)
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, dict):
        return ", ".join(
            f"{str(name).replace('_', ' ')} {f'({_said(one)})' if isinstance(one, dict | list) else _said(one)}"
            for name, one in value.items()
        )
    if isinstance(value, list):
        return "; ".join(_said(one) for one in value)
    return str(value)
