"""The demonstration, prepared step by step before the portal starts: history, silver, features, model, signatures.

Each step is done once and remembered in `var/demo.json`; an interrupted preparation goes on with the step it was in. The
demo's people sign with their own passwords, like anybody; their signatures are marked as a demonstration's.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command

from apps.audit.actors import Actor
from apps.core.errors import DomainError
from apps.core.lake import lake
from apps.ingestion import simulate
from apps.ingestion.applier import Applier
from apps.ingestion.beside import bronze_beside
from apps.ingestion.rebuild import rebuild
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
    """One step: its name in the memory, what the terminal says, and the function."""

    name: str
    sentence: str
    do: Callable[[Say], None]


def remembered() -> set[str]:
    """The steps that are done."""
    try:
        return set(json.loads(_memory().read_text())["done"])
    except (OSError, ValueError, KeyError):
        return set()


def prepare(say: Say) -> None:
    """Do every step that is not done yet."""
    done = remembered()
    for number, step in enumerate(STEPS, 1):
        if step.name in done and step.name != "people":
            continue
        began = time.monotonic()
        say(f"step {number} of {len(STEPS)}: {step.sentence}")
        step.do(say)
        done.add(step.name)
        _memory().write_text(json.dumps({"done": sorted(done)}))
        if (took := time.monotonic() - began) > 1:
            say(f"  done in {took:.0f} s")


def _memory() -> Path:
    return Path(settings.VAR_DIR) / "demo.json"


def _people(_say: Say) -> None:
    people.seed(by=BY)


def _history(_say: Say) -> None:
    """Simulated patients through Kafka into bronze. What an interrupted try left is begun anew: the in-memory broker
    took with it what had not reached bronze."""
    shutil.rmtree(Path(settings.VAR_DIR) / "lake", ignore_errors=True)
    simulate.path().unlink(missing_ok=True)
    ensure_topics(settings.KAFKA_BOOTSTRAP_SERVERS)
    with bronze_beside("--records", "5000"):
        call_command("simulate")
    call_command("run_bronze", "--drain", "--records", "5000")


def _job(name: str, **arguments: Any) -> Callable[[Say], None]:
    def do(say: Say) -> None:
        said = ""

        def echo(line: str) -> None:
            nonlocal said
            if line != said:
                said = line
                say(f"  {line}")

        run = pipelines.request(by=BY, job=name, trial_id=settings.DEFAULT_TRIAL_ID, arguments=arguments)
        execute(by=BY, run=run, echo=echo)
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
    applier = Applier(lake=lake(), store=window_store(), default_trial=settings.DEFAULT_TRIAL_ID)
    told = 0.0

    def tell(line: str) -> None:
        nonlocal told
        if time.monotonic() - told > 5:
            told = time.monotonic()
            say(f"  {line}")

    rebuild(applier, tell)


STEPS = (
    Step("people", "a demo trial and its people", _people),
    Step("history", "60 days of simulated patients, through Kafka into bronze", _history),
    Step("silver", "bronze is cleaned into silver", _job("clean")),
    Step("features", "120 features for every patient-day, as they were known then", _job("features")),
    Step("model", "a model is trained, evaluated and registered", _train),
    Step("signatures", "two demo approvers sign (a demonstration, marked as such)", _sign),
    Step("windows", "patients' records and online windows from bronze", _windows),
    Step("days", "the past days' predictions", _job("predict_days", last_days=14)),
)


def welcome() -> str:
    """What the terminal shows once the portal answers: address, sign-ins, a key and a line to try it."""
    return people.welcome(web_port=settings.WEB_PORT)
