"""Writes of job runs: asked for, begun, on the way, ended. Every change of state is audited; progress is not."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.db.models import F, Value
from django.db.models.functions import Concat, Right

from apps.audit.actors import Actor
from apps.audit.services import record
from apps.core import clock, correlation
from apps.core.errors import Conflict, DomainError, Invalid
from apps.pipelines.jobs import JOBS
from apps.pipelines.models import JobRun

LOG_LIMIT = 200_000
"""Characters of log kept with a run; the oldest are dropped first."""


def request(
    *,
    by: Actor,
    job: str,
    trial_id: str | None = None,
    arguments: dict[str, Any] | None = None,
    retry_of: JobRun | None = None,
) -> JobRun:
    """Ask for a run; it waits for a worker. Invalid for an unknown job or a missing trial."""
    row = JOBS.get(job)
    if row is None:
        raise Invalid(f"There is no job named {job!r}.", cure=f"Choose one of {', '.join(JOBS)}.")
    if row.needs_trial and not trial_id:
        raise Invalid(f"{row.label} works on one trial, and none was named.", cure="Name the trial.")
    with transaction.atomic():
        run = JobRun(
            job=job,
            trial_id=trial_id,
            arguments=arguments or {},
            by=str(by),
            correlation_id=correlation.get(),
            retry_of=retry_of,
        )
        record(by=by, action="job.requested", obj=run, trial=trial_id, after={"job": job, "arguments": arguments or {}})
        run.save()
    return run


def begin(*, by: Actor, run: JobRun, task_id: str = "") -> bool:
    """Take a waiting run. False when somebody else has it already (a task delivered twice)."""
    with transaction.atomic():
        now = clock.now()
        taken = JobRun.objects.filter(pk=run.pk, state=JobRun.State.WAITING).update(
            state=JobRun.State.RUNNING, started_at=now, heartbeat_at=now, task_id=task_id
        )
        if taken:
            record(by=by, action="job.started", obj=run, trial=run.trial_id, after={"job": run.job})
    run.refresh_from_db()
    return bool(taken)


def tell(*, run: JobRun, sentence: str, percent: int) -> None:
    """Where the run is now; not audited."""
    JobRun.objects.filter(pk=run.pk, state=JobRun.State.RUNNING).update(
        step=sentence[:200], progress=max(0, min(99, percent)), heartbeat_at=clock.now()
    )


def append_log(*, run: JobRun, lines: list[str]) -> None:
    """Add lines to the run's log, keeping the last LOG_LIMIT characters."""
    text = "".join(f"{line}\n" for line in lines)
    JobRun.objects.filter(pk=run.pk).update(
        log=Right(Concat(F("log"), Value(text)), LOG_LIMIT), heartbeat_at=clock.now()
    )


def succeed(*, by: Actor, run: JobRun, outcome: dict[str, Any]) -> None:
    """The run did what it was asked."""
    _end(by=by, run=run, state=JobRun.State.SUCCEEDED, action="job.succeeded", progress=100, outcome=outcome)


def fail(*, by: Actor, run: JobRun, error: str, cure: str = "") -> None:
    """The run did not; `error` is a sentence for a person."""
    _end(by=by, run=run, state=JobRun.State.FAILED, action="job.failed", error=error, cure=cure)


def _end(*, by: Actor, run: JobRun, state: str, action: str, **values: Any) -> None:
    with transaction.atomic():
        changed = JobRun.objects.filter(pk=run.pk, state=JobRun.State.RUNNING).update(
            state=state, finished_at=clock.now(), **values
        )
        if not changed:
            raise Conflict(
                "This run is not running, so it cannot end.", cure="Reload the page to see its present state."
            )
        record(by=by, action=action, obj=run, trial=run.trial_id, after={"job": run.job, **values})
    run.refresh_from_db()


def retry(*, by: Actor, run: JobRun) -> JobRun:
    """Ask for a failed run once more, with the same arguments. Conflict unless it failed."""
    if run.state != JobRun.State.FAILED:
        raise Conflict(f"Only a failed run can be run again; this one is {run.get_state_display().lower()}.")
    return request(by=by, job=run.job, trial_id=run.trial_id, arguments=dict(run.arguments), retry_of=run)


def abandon_silent(*, by: Actor, older_than_seconds: int = 600) -> int:
    """Fail the runs whose worker has said nothing for so long (it was killed). Returns how many."""
    limit = clock.now().timestamp() - older_than_seconds
    silent = [
        run
        for run in JobRun.objects.filter(state=JobRun.State.RUNNING)
        if run.heartbeat_at is None or run.heartbeat_at.timestamp() < limit
    ]
    for run in silent:
        try:
            fail(by=by, run=run, error="The worker that ran it stopped without a word.", cure="Press Run again.")
        except DomainError:
            continue
    return len(silent)
