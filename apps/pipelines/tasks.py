"""The one task through which every job runs, and the one that notices runs whose worker died."""

from __future__ import annotations

from typing import Any

from apps.audit.actors import Actor
from apps.core.tasks import task
from apps.patients import selectors as patients
from apps.pipelines import services
from apps.pipelines.execution import execute
from apps.pipelines.jobs import JOBS
from apps.pipelines.models import JobRun

WORKER = Actor.process("worker")
BEAT = Actor.process("beat")


@task(name="pipelines.run", queue="pipelines", time_limit=3 * 3600)
def run(*, run_id: str) -> None:
    """Execute a run that was asked for."""
    execute(by=WORKER, run=JobRun.objects.get(pk=run_id))


@task(name="pipelines.run_job", queue="pipelines", time_limit=3 * 3600)
def run_job(*, job: str, arguments: dict[str, Any] | None = None) -> None:
    """Ask for a scheduled job and run it: once, or once for each live trial where the job works on one."""
    services.abandon_silent(by=BEAT)
    trials = patients.live_trial_ids() if JOBS[job].needs_trial else [None]
    for trial_id in trials:
        execute(by=WORKER, run=services.request(by=BEAT, job=job, trial_id=trial_id, arguments=arguments or {}))
