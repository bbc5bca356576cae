"""The operators' commands: each asks for a job or a decision through the services, and says what is missing."""

from __future__ import annotations

import getpass
import json
import re
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from apps.audit.models import AuditEvent
from apps.core.lake import lake as the_lake
from apps.pipelines import doors, execution
from apps.pipelines.models import JobRun
from apps.registry import effects, selectors
from apps.registry.models import Approval, ModelVersion
from clinical_portal.env import BASE_DIR
from ml.comparison import compare, place_of
from ml.lake import Lake
from tests.integration.test_registry import release
from tests.support import people
from tests.unit.test_comparison import BANDS, pair, told

pytestmark = pytest.mark.usefixtures("pg")


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(effects, "announce", lambda **_: None)


FEATURES = {"rows": 7, "days": 2, "computed_days": 1, "data_version": "d" * 64}


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any]]]:
    """What would have been run, instead of Spark and training."""
    seen: list[tuple[str, dict[str, Any]]] = []

    def run_steps(job: Any, context: dict[str, Any], progress: Any) -> dict[str, Any]:
        seen.append((job.name, dict(context)))
        progress.step("It is done", 50)
        return context | {"version": "m v1", "state": "staging", "test_auroc": 0.8123, **FEATURES}

    monkeypatch.setattr(execution, "run_steps", run_steps)
    monkeypatch.setattr(doors, "worker_listens", lambda: False)
    return seen


def say(*words: str) -> str:
    heard = StringIO()
    call_command(*words, stdout=heard)
    return heard.getvalue()


def test_training_takes_its_values_from_the_terminal_or_a_file(steps: list[Any], tmp_path: Path) -> None:
    people.trial("DEMO")
    said = say("train", "DEMO", "--epochs", "3", "--start-date", "2026-03-01")
    assert "50 %  It is done" in said
    assert "m v1 is staging: AUROC 0.812" in said
    name, context = steps[-1]
    assert (name, context["epochs"], context["start-date"]) == ("train", 3, "2026-03-01")
    assert "learning-rate" not in context, "what nobody chose stays the program's own"
    say("train", "DEMO", "--params", "params.yaml", "--epochs", "7", "--whole")
    name, context = steps[-1]
    assert (name, context["epochs"], context["learning-rate"], context["batch-size"]) == ("pipeline", 7, 0.001, 256)
    assert AuditEvent.objects.filter(action="job.requested", actor__endswith="operator").count() == 2
    with pytest.raises(CommandError, match="not a date"):
        say("train", "DEMO", "--end-date", "March")
    with pytest.raises(CommandError, match="no section train"):
        say("train", "DEMO", "--params", str(tmp_path / "none.yaml"))


def test_a_backfill_names_its_days(steps: list[Any]) -> None:
    people.trial("DEMO")
    said = say("backfill", "DEMO", "--from", "2026-03-01", "--to", "2026-03-04")
    assert "1 of 2 days computed again, 7 rows in all, data version" in said
    name, context = steps[-1]
    assert (name, context["from"], context["to"]) == ("backfill", "2026-03-01", "2026-03-04")
    with pytest.raises(CommandError, match="--to"):
        say("backfill", "DEMO", "--from", "2026-03-01")


def test_a_worker_that_listens_takes_the_run_and_is_followed(monkeypatch: pytest.MonkeyPatch, steps: list[Any]) -> None:
    people.trial("DEMO")
    monkeypatch.setattr(doors, "worker_listens", lambda: True)
    monkeypatch.setattr(doors, "PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(
        doors.tasks.run, "delay", lambda run_id: execution.execute(by=people.SYSTEM, run=JobRun.objects.get(pk=run_id))
    )
    assert "a worker takes it" in say("train", "DEMO")

    def fail(job: Any, context: Any, progress: Any) -> Any:
        raise ValueError("x")

    monkeypatch.setattr(execution, "run_steps", fail)
    with pytest.raises(CommandError, match="an error nobody foresaw"):
        say("train", "DEMO")


def test_deploy_says_what_is_missing_and_signs_for_one_person(monkeypatch: pytest.MonkeyPatch) -> None:
    trial = people.trial("DEMO")
    version = people.model(trial)
    for name in ("first", "second"):
        people.person(name, "model_approver")
    people.person("ml", "ml_engineer", at=trial)
    said = say("deploy", "DEMO", "1")
    assert "it lacks 2 signatures of two people" in said
    assert not Approval.objects.exists(), "looking signs nothing"
    monkeypatch.setattr("getpass.getpass", lambda prompt: people.PASSWORD)
    assert "it lacks one signature" in say("deploy", "DEMO", "1", "--as", "first")
    with pytest.raises(CommandError, match="signed already"):
        say("deploy", "DEMO", "1", "--as", "first")
    with pytest.raises(CommandError, match="You may not sign"):
        say("deploy", "DEMO", "1", "--as", "ml")
    assert ModelVersion.objects.get(pk=version.pk).state == "staging"
    assert "It serves; nothing is missing" in say("deploy", "DEMO", "1", "--as", "second")
    assert selectors.serving("DEMO").version == version  # type: ignore[union-attr]
    people.model(trial, metrics=people.BELOW)
    assert "below its gates" in say("deploy", "DEMO", "2")
    assert "For silent use it lacks 2 signatures" in say("deploy", "DEMO", "2", "--silent")
    with pytest.raises(CommandError, match="There are: 2, 1"):
        say("deploy", "DEMO", "9")
    with pytest.raises(CommandError, match="no person named nobody"):
        say("deploy", "DEMO", "1", "--as", "nobody")


@pytest.fixture
def compared(tmp_path: Path, settings: Any) -> dict[str, Any]:
    """A comparison as the job leaves it, of the versions 1 and 2."""
    settings.LAKE_URL = (tmp_path / "lake").as_uri()
    the_lake.cache_clear()
    trial = people.trial("DEMO")
    approvers = people.person("first", "model_approver"), people.person("second", "model_approver")
    release(people.model(trial), *approvers)
    people.model(trial)
    digests = {"one": "1" * 64, "two": "2" * 64}
    body = compare(pair(told(1.5), told(0.2)), bands=BANDS, draws=100) | {
        "trial_id": "DEMO",
        "simulated": True,
        "data_version": "d" * 64,
        "labels_known_by": 1_772_400_000,
        "left_out": {"patient-days of patients that one of them learned from": 12},
        "models": {side: {"name": f"m v{n}", "bundle_digest": digests[side]} for n, side in enumerate(digests, 1)},
    }
    yield body
    the_lake.cache_clear()


def kept(body: dict[str, Any], one: ModelVersion, two: ModelVersion) -> str:
    path = place_of("DEMO", str(one), str(two))
    Lake.from_url(the_lake().url).put(path, json.dumps(body).encode())
    return path


def test_a_comparison_is_printed_and_shown(
    compared: dict[str, Any], steps: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = sorted(ModelVersion.objects.all(), key=lambda version: version.version)
    path = kept(compared, one, two)
    monkeypatch.setattr(
        execution, "run_steps", lambda job, context, progress: steps.append(context) or context | {"comparison": path}
    )
    said = say("compare", "DEMO", "--two", "2")
    assert steps[-1]["one"] == one.bundle_path
    assert re.search(r"AUROC +0\.\d{3} +0\.\d{3} +\+0\.\d{3} \(\+0\.\d{3} to \+0\.\d{3}\)", said)
    assert "better by the 0.02" in said
    with pytest.raises(CommandError, match="cannot be compared with itself"):
        say("compare", "DEMO", "--one", "2", "--two", "2")

    client = Client()
    client.force_login(people.person("ml", "ml_engineer", at=one.trial))
    address = reverse("portal:model_compare", args=["DEMO"])
    page = client.get(address, {"a": "1", "b": "2"}).content.decode()
    for words in ("better by the 0.02", "Alert rates", "Where they disagree", "Sex: female", "Simulated data", "2026"):
        assert words in page
    assert "have not been compared" not in page
    assert client.get(address, {"a": "9"}).status_code == 404
    nothing = client.get(address, {"a": "2", "b": "1"}).content.decode()
    assert "Compare version 2 with 1" in nothing


def test_the_button_asks_for_the_job(
    compared: dict[str, Any], django_capture_on_commit_callbacks: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(doors.tasks.run, "delay", lambda run_id: asked.append(run_id) or None)
    trial = ModelVersion.objects.first().trial  # type: ignore[union-attr]
    client, reader = Client(), Client()
    client.force_login(people.person("ml", "ml_engineer", at=trial))
    reader.force_login(people.person("nurse", "coordinator", at=trial))
    address = reverse("portal:model_compare_now", args=["DEMO"])
    with django_capture_on_commit_callbacks(execute=True):
        answer = client.post(address, {"a": "1", "b": "2"})
    run = JobRun.objects.get(job="compare")
    assert answer.url == reverse("portal:run", args=["DEMO", run.pk])  # type: ignore[attr-defined]
    assert asked == [str(run.pk)]
    assert run.arguments["one-name"] == "adverse-event-predictor v1"
    assert client.post(address, {"a": "1", "b": "1"}).status_code == 422
    assert client.post(address, {"a": "x"}).status_code == 422
    assert reader.post(address, {"a": "1", "b": "2"}).status_code == 403
    page = reader.get(reverse("portal:model_compare", args=["DEMO"])).content.decode()
    assert "These two are being compared now" in page or "can start it" in page


def test_a_decision_without_a_terminal_is_refused_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    people.model(people.trial("DEMO"))
    people.person("first", "model_approver")

    def nobody(_prompt: str) -> str:
        raise EOFError

    monkeypatch.setattr(getpass, "getpass", nobody)
    for words in (("deploy", "DEMO", "1", "--silent"), ("rollback", "DEMO", "--reason", "try")):
        with pytest.raises(CommandError, match="Nobody entered a password"):
            say(*words, "--as", "first")


def test_history_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="There is no file or folder"):
        say("ingest", str(tmp_path / "nothing"))


@pytest.mark.parametrize(
    "name",
    ["train", "deploy", "rollback", "compare", "ingest", "quality", "backfill", "data", "data-pull", "data-push"],
)
def test_make_has_the_operators_doors(name: str) -> None:
    assert re.search(rf"^{name}:.*## \S", (BASE_DIR / "Makefile").read_text(), re.MULTILINE)
