"""The demonstration, prepared step by step before the portal starts: history, silver, features, model, signatures.

Each step is done once and remembered in `var/demo.json`; an interrupted preparation goes on with the steps it was in. The
windows need bronze alone, so they are filled while Spark and the training, which leave a core idle half of the time, go
from silver to the signatures. The demo's people sign with their own passwords, like anybody; their signatures are marked
as a demonstration's.
"""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.db import connections

from apps.audit.actors import Actor
from apps.core.errors import DomainError
from apps.core.lake import lake
from apps.core.telling import Told, Turns
from apps.ingestion import simulate
from apps.ingestion.applier import Applier
from apps.ingestion.beside import bronze_beside
from apps.ingestion.rebuild import bring_up
from apps.ingestion.topics import ensure_topics
from apps.ingestion.window import window_store
from apps.pipelines import services as pipelines
from apps.pipelines.execution import execute
from apps.pipelines.models import JobRun
from apps.registry import demo as people
from apps.registry import selectors as registry
from apps.registry.models import ModelVersion

BY = Actor.process("demo")
Say = Callable[[str], None]


class Failed(DomainError):
    """A step of the preparation could not be done."""

    default_code = "demo_failed"
    default_status = 500


@dataclass(frozen=True)
class Step:
    """One step: its name in the memory, what the terminal says, and the function. One that is done `every` time is quick
    where nothing changed; one `beside` the others needs nothing of those behind it and ends before the portal starts."""

    name: str
    sentence: str
    do: Callable[[Say], None]
    every: bool = False
    beside: bool = False


class Memory:
    """Which steps are done: a file, written by the threads that do them."""

    def __init__(self) -> None:
        self._path = Path(settings.VAR_DIR) / "demo.json"
        self._lock = threading.Lock()

    def done(self) -> set[str]:
        """The names of the steps that are done."""
        try:
            return set(json.loads(self._path.read_text())["done"])
        except (OSError, ValueError, KeyError):
            return set()

    def add(self, name: str) -> None:
        with self._lock:
            draft = self._path.with_suffix(".draft")
            draft.write_text(json.dumps({"done": sorted(self.done() | {name})}))
            draft.replace(self._path)


def prepare(say: Say, steps: Sequence[Step]) -> None:
    """Do those of the steps that are not done yet, in their order, those marked so beside the ones behind them."""
    memory = Memory()
    done = memory.done()
    todo = [step for step in steps if step.every or step.name not in done]
    if all(step.every for step in todo):
        say = _nothing  # a second start has nothing to tell
    with ThreadPoolExecutor(max(1, len(todo))) as pool:
        beside = []
        for number, step in enumerate(todo, 1):
            say(f"step {number} of {len(todo)}: {step.sentence}")
            if step.beside:
                beside.append(pool.submit(_do_beside, step, memory, say))
            else:
                _do(step, memory, say)
            for other in beside:
                if other.done():
                    other.result()
        for other in beside:
            other.result()


def _do(step: Step, memory: Memory, say: Say) -> None:
    began = time.monotonic()
    step.do(say)
    memory.add(step.name)
    if (took := time.monotonic() - began) > 1:
        say(f"  {step.name}: done in {took:.0f} s")


def _do_beside(step: Step, memory: Memory, say: Say) -> None:
    try:
        _do(step, memory, say)
    finally:
        connections.close_all()


def _nothing(_line: str) -> None:
    return


def _people(_say: Say) -> None:
    people.seed(by=BY)


def _history(say: Say) -> None:
    """Simulated patients through Kafka into bronze. What an interrupted try left is begun anew: the in-memory broker
    took with it what had not reached bronze."""
    shutil.rmtree(Path(settings.VAR_DIR) / "lake", ignore_errors=True)
    simulate.path().unlink(missing_ok=True)
    ensure_topics(settings.KAFKA_BOOTSTRAP_SERVERS)
    with bronze_beside("--records", "5000"):
        call_command("simulate", stdout=Told(say))
    call_command("run_bronze", "--drain", "--records", "5000")


def _job(name: str, **arguments: Any) -> Callable[[Say], None]:
    def do(say: Say) -> None:
        turns = Turns(say)
        run = pipelines.request(by=BY, job=name, trial_id=settings.DEFAULT_TRIAL_ID, arguments=arguments)
        execute(by=BY, run=run, echo=turns)
        if run.state != JobRun.State.SUCCEEDED:
            raise Failed(run.error, cure=run.cure)

    return do


def _train(say: Say) -> None:
    hazard = simulate.path().with_name(f"hazard-{settings.DEFAULT_TRIAL_ID}.parquet")
    _job("train", hazard=str(hazard) if hazard.exists() else "")(say)


def _sign(say: Say) -> None:
    if registry.serving(settings.DEFAULT_TRIAL_ID) is not None:
        return
    version = ModelVersion.objects.filter(trial_id=settings.DEFAULT_TRIAL_ID).order_by("-version").first()
    if version is None:
        raise Failed("There is no model version to sign for.", cure="Run the training again: delete var/demo.json.")
    silent = version.state == ModelVersion.State.CANDIDATE
    for line in people.sign_release(version=version, as_silent=silent):
        say(f"  {line}")


def _windows(say: Say) -> None:
    turns = Turns(say)
    applier = Applier(lake=lake(), store=window_store(), default_trial=settings.DEFAULT_TRIAL_ID)
    bring_up(applier, lambda _, done, of: turns(f"{100 * done // max(1, of):3d} %  {done:,} messages of bronze read"))


STEPS = (
    Step("people", "a demo trial and its people", _people, every=True),
    Step("history", "the past months of simulated patients, through Kafka into bronze", _history),
    Step("windows", "patients' records and online windows from bronze (beside the next steps)", _windows, beside=True),
    Step("silver", "bronze is cleaned into silver", _job("clean")),
    Step("features", "120 features for every patient-day, as they were known then", _job("features")),
    Step("model", "a model is trained, evaluated and registered", _train),
    Step("signatures", "two demo approvers sign (a demonstration, marked as such)", _sign),
    Step("days", "the past days' predictions", _job("predict_days", last_days=14)),
    Step("look", "a first look whether the model is right", _job("monitor")),
)


def welcome() -> str:
    """What the terminal shows once the portal answers: address, sign-ins, a key and a line to try it."""
    return people.welcome(web_port=settings.WEB_PORT)
