"""What the operators' commands share: ask for a job, and follow it on the terminal until it has ended."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from celery import current_app
from django.core.management.base import CommandError

from apps.audit.actors import Actor
from apps.core.errors import DomainError
from apps.pipelines import services, tasks
from apps.pipelines.execution import execute
from apps.pipelines.models import JobRun

OPERATOR = Actor.process("operator")
PAUSE_SECONDS = 0.5
PATIENCE_SECONDS = 1.5
"""How long a worker may take to say that it is there."""
ENDED = (JobRun.State.SUCCEEDED, JobRun.State.FAILED, JobRun.State.CANCELLED)

Say = Callable[[str], Any]


def run_job(
    say: Say, job: str, *, trial: str | None, arguments: dict[str, Any] | None = None, here: bool = False
) -> JobRun:
    """Ask for a run and follow it: by a worker where one listens, else here. CommandError where it fails.

    `arguments` that are None are left out.
    """
    chosen = {name: value for name, value in (arguments or {}).items() if value is not None}
    try:
        run = services.request(by=OPERATOR, job=job, trial_id=trial, arguments=chosen)
    except DomainError as error:
        raise CommandError(str(error)) from error
    if here or not worker_listens():
        execute(by=OPERATOR, run=run, echo=say)
    else:
        say(f"Asked for; a worker takes it. Run {run.pk}")
        tasks.run.delay(run_id=str(run.pk))
        run = follow(say, run)
    if run.state != JobRun.State.SUCCEEDED:
        raise CommandError(f"{run.error} {run.cure}".strip() or f"The run was {run.get_state_display().lower()}.")
    for warning in run.outcome.get("findings", ()):
        say(f"WARNING  {warning}")
    return run


def follow(say: Say, run: JobRun) -> JobRun:
    """Repeat the run's progress until it has ended. Ctrl-C stops following, not the run."""
    said = ""
    try:
        while run.state not in ENDED:
            line = f"{run.progress:3d} %  {run.step or run.get_state_display()}"
            if line != said:
                say(line)
                said = line
            time.sleep(PAUSE_SECONDS)
            run.refresh_from_db()
    except KeyboardInterrupt as error:
        raise CommandError(f"Not followed any longer; the run goes on, see run {run.pk} in the portal.") from error
    return run


def worker_listens() -> bool:
    """Whether a worker answers that takes this queue's work."""
    try:
        queues = current_app.control.inspect(timeout=PATIENCE_SECONDS).active_queues() or {}
    except Exception:  # noqa: BLE001 - no broker, of whatever kind, is no worker
        return False
    return any(queue["name"] == "pipelines" for found in queues.values() for queue in found)
