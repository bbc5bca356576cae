"""Runs the steps of a job, one after the other, and tells a `Progress` how far they are."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib import import_module
from typing import Any, Protocol

from django.conf import settings

from apps.core.errors import DomainError, Unavailable
from apps.pipelines import metrics
from apps.pipelines.jobs import Context, Job, Step
from ml.exits import TOO_LITTLE

LOG_TAIL = 40
SPARK_MODULE = "spark_jobs"


class Progress(Protocol):
    """Where a run writes how far it is (JobRun rows in production, a list in tests)."""

    def step(self, sentence: str, percent: int) -> None: ...
    def log(self, line: str) -> None: ...


class StepFailed(DomainError):
    """A step ended badly; the message ends with the last thing it said."""

    default_code = "step_failed"
    default_status = 500


class TooLittle(StepFailed):
    """There was not enough data for the step; `said` is the sentence of its program, with the number."""

    default_code = "too_little"

    def __init__(self, message: str, *, said: str, cure: str) -> None:
        super().__init__(message, cure=cure)
        self.said = said


def run_steps(job: Job, context: Context, progress: Progress) -> Context:
    """Run every step of `job`. Returns the context with all outputs; `not_done` lists the steps for
    which there was too little data. Raises StepFailed, or a step's own DomainError."""
    total = sum(step.weight for step in job.steps)
    done = 0
    for step in job.steps:
        progress.step(step.sentence, 100 * done // total)

        def report(what: str, part: int, of: int, step: Step = step, done: int = done) -> None:
            share = min(1.0, part / of) if of else 0.0
            progress.step(f"{step.sentence}: {what}", int(100 * (done + step.weight * share) / total))

        try:
            context |= _outputs(step, context, report, progress)
        except TooLittle as error:
            if not step.may_lack:
                raise
            context["not_done"] = [*context.get("not_done", ()), {"step": step.sentence, "because": error.said}]
            progress.log(f"Not done: {step.sentence}. {error.said}")
        done += step.weight
    return context


def _outputs(step: Step, context: Context, report: Any, progress: Progress) -> Context:
    """What the step gives; nothing where an earlier step, which it needs, was not done."""
    if any(name not in context for name in step.needs):
        progress.log(f"Not done: {step.sentence}, for what it needs was not done before.")
        return {}
    return _command(step, context, report, progress) if step.module else _call(step, context, report)


def _call(step: Step, context: Context, report: Any) -> Context:
    module, _, name = step.call.partition(":")
    outputs = getattr(import_module(module), name)(context, report)
    return dict(outputs or {})


def _argv(step: Step, context: Context) -> list[str]:
    argv = [sys.executable, "-u", "-m", step.module, *step.arguments]
    for name in step.options:
        value = context.get(name)
        if value not in (None, ""):
            argv += [f"--{name}", str(value)]
    return argv


def _command(step: Step, context: Context, report: Any, progress: Progress) -> Context:
    """Start the program; its stdout is JSON lines of progress and, last, of outcome; stderr goes to the log."""
    process = subprocess.Popen(
        _argv(step, context),
        cwd=settings.BASE_DIR,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    outcome: Context = {}
    tail: list[str] = []
    began = time.monotonic()
    try:
        for line in _lines(process):
            message = _message(line)
            if message is None:
                tail = [*tail, line][-LOG_TAIL:]
                progress.log(line)
            elif "outcome" in message:
                outcome |= message["outcome"]
            elif "step" in message:
                report(str(message["step"]), int(message.get("done", 0)), int(message.get("of", 0)))
            elif "error" in message:
                tail.append(str(message["error"]))
        code = process.wait()
    finally:
        _end(process)
    if step.module == SPARK_MODULE:
        metrics.spark_job_ended(step.name, time.monotonic() - began, succeeded=code == 0)
    if code != 0:
        said = next((line for line in reversed(tail) if line.strip()), "nothing")
        if code == TOO_LITTLE:
            raise TooLittle(f"{step.sentence}: {said[:400]}", said=said[:400], cure="Run it again once there is more.")
        raise StepFailed(
            f"{step.sentence}: the program ended with status {code}. It last said: {said[:400]}",
            cure="Read the log of this run, mend the cause and press Run again; nothing half-written is read by anyone.",
        )
    return outcome


def _lines(process: subprocess.Popen[str]) -> Iterator[str]:
    if process.stdout is None:
        raise Unavailable("The program has no output to follow.", cure="Start the run again.")
    for line in process.stdout:
        if stripped := line.rstrip():
            yield stripped


def _message(line: str) -> dict[str, Any] | None:
    if not line.startswith("{"):
        return None
    try:
        message = json.loads(line)
    except ValueError:
        return None
    return message if isinstance(message, dict) and message.keys() & {"step", "outcome", "error"} else None


def _end(process: subprocess.Popen[str]) -> None:
    """End the program and its children (Spark's Java), whatever became of us."""
    if process.stdout is not None:
        process.stdout.close()
    try:
        os.killpg(process.pid, signal.SIGTERM)
    except ProcessLookupError:
        return
    try:
        process.wait(timeout=15)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
