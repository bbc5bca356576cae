"""Job runs: asked for, run step by step, ended with an outcome or a sentence why not, run again."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from django.db import connections

from apps.audit.actors import Actor
from apps.audit.models import AuditEvent
from apps.core.errors import Conflict, DomainError, Invalid
from apps.pipelines import execution, jobs, services
from apps.pipelines.jobs import Job, Step
from apps.pipelines.models import JobRun
from apps.pipelines.runner import StepFailed, run_steps
from apps.pipelines.turns import turn

pytestmark = pytest.mark.usefixtures("pg")
BY = Actor.process("tests")


class Heard:
    def __init__(self) -> None:
        self.steps: list[tuple[str, int]] = []
        self.lines: list[str] = []

    def step(self, sentence: str, percent: int) -> None:
        self.steps.append((sentence, percent))

    def log(self, line: str) -> None:
        self.lines.append(line)


def add_one(context: dict[str, Any], report: Any) -> dict[str, Any]:
    report("half", 1, 2)
    return {"number": context["number"] + 1}


def refuse(context: dict[str, Any], report: Any) -> dict[str, Any]:
    raise Invalid("The number is odd.", cure="Choose an even one.")


def stumble(context: dict[str, Any], report: Any) -> dict[str, Any]:
    raise KeyError("patient 17")


ADD = Step("add", "One is added", call="tests.integration.test_pipelines:add_one")


@pytest.fixture
def programme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A program that tells progress, says a line, and ends as its option says."""
    (tmp_path / "programme_of_a_test.py").write_text(
        "import sys\n"
        'print(\'{"step": "reading", "done": 1, "of": 4}\')\n'
        "print('a line for the log')\n"
        "if '--fail' in sys.argv:\n"
        "    sys.exit('the disk is full')\n"
        'print(\'{"outcome": {"rows": 7}}\')\n'
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return "programme_of_a_test"


def test_outputs_of_a_step_are_inputs_of_the_next() -> None:
    heard = Heard()
    context = run_steps(Job("j", "J", "", (ADD, ADD)), {"number": 1}, heard)
    assert context["number"] == 3
    assert [percent for _, percent in heard.steps] == [0, 25, 50, 75]


def test_a_program_tells_progress_log_and_outcome(programme: str) -> None:
    heard = Heard()
    context = run_steps(Job("j", "J", "", (Step("p", "It runs", module=programme),)), {}, heard)
    assert context == {"rows": 7}
    assert ("It runs: reading", 25) in heard.steps
    assert heard.lines == ["a line for the log"]


def test_a_program_that_fails_is_quoted(programme: str) -> None:
    with pytest.raises(StepFailed, match="the disk is full"):
        run_steps(
            Job("j", "J", "", (Step("p", "It runs", module=programme, options=("fail",)),)), {"fail": "yes"}, Heard()
        )


def test_progress_never_goes_back_though_a_program_learns_that_more_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execution, "FLUSH_SECONDS", 0.0)
    said: list[str] = []
    run = services.request(by=BY, job="clean", arguments={})
    services.begin(by=BY, run=run)
    progress = execution.RunProgress(run, said.append)
    for percent in (0, 41, 13, 55):
        progress.step("Features: computing", percent)
    assert said == [f"{percent:3d} %  Features: computing" for percent in (0, 41, 41, 55)]
    run.refresh_from_db()
    assert run.progress == 55


def test_a_run_goes_from_waiting_to_success_with_its_trail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(jobs.JOBS, "add", Job("add", "Add", "", (ADD,), needs_trial=False))
    run = services.request(by=BY, job="add", arguments={"number": 41})
    assert run.state == JobRun.State.WAITING
    execution.execute(by=BY, run=run)
    run.refresh_from_db()
    assert (run.state, run.progress, run.arguments["number"]) == (JobRun.State.SUCCEEDED, 100, 41)
    actions = list(AuditEvent.objects.filter(object_id=str(run.pk)).order_by("id").values_list("action", flat=True))
    assert actions == ["job.requested", "job.started", "job.succeeded"]


@pytest.mark.parametrize(
    ("step", "error", "cure"), [("refuse", "The number is odd.", "Choose an even one."), ("stumble", "KeyError", "log")]
)
def test_a_failed_run_says_why_and_can_be_run_again(
    monkeypatch: pytest.MonkeyPatch, step: str, error: str, cure: str
) -> None:
    job = Job(
        "bad",
        "Bad",
        "",
        (Step("s", "It is tried", call=f"tests.integration.test_pipelines:{step}"),),
        needs_trial=False,
    )
    monkeypatch.setitem(jobs.JOBS, "bad", job)
    run = execution.execute(by=BY, run=services.request(by=BY, job="bad"))
    assert run.state == JobRun.State.FAILED
    assert error in run.error
    assert cure in run.cure
    assert "patient 17" not in run.error
    again = services.retry(by=BY, run=run)
    assert (again.state, again.retry_of) == (JobRun.State.WAITING, run)


def test_a_task_delivered_twice_runs_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(jobs.JOBS, "add", Job("add", "Add", "", (ADD,), needs_trial=False))
    run = services.request(by=BY, job="add", arguments={"number": 1})
    assert services.begin(by=BY, run=run)
    assert not services.begin(by=BY, run=JobRun.objects.get(pk=run.pk))


def test_what_cannot_be_asked_for() -> None:
    with pytest.raises(Invalid, match="no job named"):
        services.request(by=BY, job="dance")
    with pytest.raises(Invalid, match="works on one trial"):
        services.request(by=BY, job="train")
    run = JobRun(job="clean", by="x", state=JobRun.State.RUNNING)
    with pytest.raises(Conflict):
        services.retry(by=BY, run=run)


def test_a_silent_worker_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(jobs.JOBS, "add", Job("add", "Add", "", (ADD,), needs_trial=False))
    run = services.request(by=BY, job="add")
    services.begin(by=BY, run=run)
    assert services.abandon_silent(by=BY) == 0
    assert services.abandon_silent(by=BY, older_than_seconds=-1) == 1
    run.refresh_from_db()
    assert run.state == JobRun.State.FAILED


def test_jobs_that_write_the_lake_take_turns(programme: str) -> None:
    """Another session holds the turn: the run says that it waits, and goes on when the other is done."""
    job = Job("writes", "Writes", "", (Step("p", "It runs", module=programme),))
    held, free = threading.Event(), threading.Event()

    def hold() -> None:
        with turn(job, Heard()):
            held.set()
            free.wait(30)
        connections.close_all()

    other = threading.Thread(target=hold)
    other.start()
    held.wait(30)
    heard = Heard()
    threading.Timer(0.5, free.set).start()
    with turn(job, heard):
        other.join(30)
    assert [sentence for sentence, _ in heard.steps] == ["Waiting for another job that writes the lake"]
    reads = Job("reads", "Reads", "", (ADD,))
    with turn(job, heard), turn(reads, heard):
        assert len(heard.steps) == 1


def test_every_step_names_something_that_exists() -> None:
    """A job that names a module or function that is not there would fail at 3 a.m."""
    from importlib import import_module
    from importlib.util import find_spec

    for job in jobs.JOBS.values():
        for step in job.steps:
            if step.module:
                assert find_spec(step.module) is not None, step.module
            else:
                module, _, name = step.call.partition(":")
                assert callable(getattr(import_module(module), name)), step.call
    assert sys.executable


def test_errors_of_steps_are_domain_errors() -> None:
    assert issubclass(StepFailed, DomainError)
