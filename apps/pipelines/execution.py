"""One run from start to end, whoever starts it: a Celery worker, a command, a test."""

from __future__ import annotations

import json
import logging
import time
from typing import Any

from apps.audit.actors import Actor
from apps.core.errors import DomainError
from apps.pipelines import services
from apps.pipelines.context import base_context
from apps.pipelines.jobs import JOBS
from apps.pipelines.models import JobRun
from apps.pipelines.runner import run_steps
from apps.pipelines.turns import turn

log = logging.getLogger("pipelines")
FLUSH_SECONDS = 0.5


class RunProgress:
    """Progress of a JobRun, written at most twice a second. It never goes back: Spark learns of a step's later stages only
    when the earlier are done, and what was half is then a third."""

    def __init__(self, run: JobRun, echo: Any = None) -> None:
        self._run, self._lines, self._told, self._echo = run, list[str](), 0.0, echo
        self._sentence, self._percent = "", 0

    def step(self, sentence: str, percent: int) -> None:
        self._percent = percent = max(self._percent, percent)
        first = sentence.partition(":")[0] != self._sentence.partition(":")[0]
        if first or time.monotonic() - self._told >= FLUSH_SECONDS:
            services.tell(run=self._run, sentence=sentence, percent=percent)
            self._told, self._sentence = time.monotonic(), sentence
            if self._echo:
                self._echo(f"{percent:3d} %  {sentence}")
            self.flush()

    def log(self, line: str) -> None:
        self._lines.append(line)
        if time.monotonic() - self._told >= FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        if self._lines:
            services.append_log(run=self._run, lines=self._lines)
            self._lines.clear()


def execute(*, by: Actor, run: JobRun, task_id: str = "", echo: Any = None) -> JobRun:
    """Run it unless somebody has it already. Never raises for what a step does: the run says why it failed."""
    if not services.begin(by=by, run=run, task_id=task_id):
        return run
    job = JOBS[run.job]
    progress = RunProgress(run, echo)
    try:
        context = base_context(run.trial_id) | run.arguments | {"job_run": str(run.pk)}
        known = set(context)
        with turn(job, progress):
            context = run_steps(job, context, progress)
        progress.flush()
        services.succeed(by=by, run=run, outcome=_plain({k: v for k, v in context.items() if k not in known}))
    except DomainError as error:
        progress.flush()
        services.fail(by=by, run=run, error=error.message, cure=error.cure)
    except Exception as error:
        log.exception("job failed", extra={"job": run.job, "run": str(run.pk)})
        progress.flush()
        services.fail(
            by=by,
            run=run,
            error=f"{job.label} met an error nobody foresaw: {type(error).__name__}.",
            cure=f"The log of the worker has the details under run {run.pk}. Run again after it is mended.",
        )
    return run


def _plain(value: dict[str, Any]) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(json.dumps(value, default=str))
    return plain
