"""A study with too little in it is walked as far as it goes: the run ends well and says what was not done, and why."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from apps.core import lake as the_lake
from apps.ingestion.imports import course, services
from apps.patients.models import Patient
from apps.pipelines import services as pipelines
from apps.pipelines.execution import execute
from apps.pipelines.models import JobRun
from apps.portal.presenters import runs as present
from apps.predictions.models import Prediction
from apps.registry.models import ModelVersion
from clinical_portal.java import java_home
from ml.lake import Lake
from tests.support import random_trial
from tests.support.random_trial import rows_of, write

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("import_bronze", "valkey"), pytest.mark.timeout(600)]


@pytest.fixture
def platform(import_place: Lake, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The settings that the programs of a job are started with."""
    settings.MLFLOW_TRACKING_URI = ""
    settings.SPARK_MASTER_URL = "local[2]"
    home = java_home("", Path(settings.BASE_DIR) / "var")
    if home is not None:
        monkeypatch.setenv("JAVA_HOME", str(home))
    the_lake.lake.cache_clear()
    yield
    the_lake.lake.cache_clear()


@pytest.mark.usefixtures("platform")
def test_without_adverse_events_patients_have_pages_and_no_scores(tmp_path: Path) -> None:
    drawn = random_trial.Trial(seed=8, subjects=4, treatment=14, without=("ae", "vs"), study="POOR1")
    folder = write(tmp_path / "study", rows_of(drawn))
    asked = services.command_run(by=services.PROCESS, form="sdtm", source=str(folder), place=folder, trial_name="")
    done = course.carried_out(asked)
    assert any("(AE)" in remark for remark in done.run.remarks)
    run = pipelines.request(by=services.PROCESS, job=course.job_after("POOR1"), trial_id="POOR1")
    execute(by=services.PROCESS, run=run)
    assert run.state == JobRun.State.SUCCEEDED, (run.error, run.log)
    (not_done,) = run.outcome["not_done"]
    assert not_done["step"] == "The model is trained and evaluated"
    assert "0 rows with an event" in not_done["because"]
    assert "Traceback" not in run.log
    shown = present.run(run, present.words.ZoneInfo("UTC"), may_run=True)
    assert "0 rows with an event" in shown.not_done[0]
    assert Patient.objects.filter(trial="POOR1").count() == done.run.subjects
    assert not ModelVersion.objects.exists()
    assert not Prediction.objects.exists()
