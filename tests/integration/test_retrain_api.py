"""Retraining as another system asks for it, and the metrics page, with every row of the table really shown."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from prometheus_client.parser import text_string_to_metric_families

from apps.accounts.keys import issue_key
from apps.audit.models import AuditEvent
from apps.core import clock, metrics
from apps.core.lake import lake as the_lake
from apps.core.metric_table import METRICS, undeclared
from apps.ingestion.models import ConsumerState
from apps.monitoring import counting, services
from apps.monitoring.models import Counted, ModelComparison
from apps.pipelines import tasks
from apps.pipelines.jobs import JOBS
from apps.pipelines.models import JobRun
from apps.predictions import serving as loaded
from clinical_portal.env import BASE_DIR
from clinical_portal.servers import ports
from ml.comparison import Pair, compare
from tests.support import people, watched

pytestmark = pytest.mark.usefixtures("pg", "valkey")
PATH = "/api/v1/retrain"


@pytest.fixture(autouse=True)
def _lake(lake: str, settings: Any) -> Iterator[None]:
    settings.LAKE_URL = lake
    the_lake.cache_clear()
    loaded.forget()
    yield
    the_lake.cache_clear()
    loaded.forget()


@pytest.fixture
def trial() -> Any:
    return people.trial("DEMO")


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    found: list[str] = []
    monkeypatch.setattr(tasks.run, "delay", lambda *, run_id: found.append(run_id))
    return found


def key(trial: Any, *scopes: str, **options: Any) -> str:
    owner = people.person(f"owner-{'-'.join(scopes)}-{len(options)}", "administrator")
    _, secret = issue_key(
        by=people.SYSTEM, owner=owner, name="test", trial=trial, scopes=scopes or ("retrain",),
        expires_at=clock.now() + timedelta(days=30), **options,
    )  # fmt: skip
    return secret


def ask(secret: str, path: str = PATH, body: Any = None, method: str = "POST") -> Any:
    given = {} if body is None else {"data": json.dumps(body), "content_type": "application/json"}
    client = Client(raise_request_exception=False)
    return client.generic(method, path, **given, headers={"Authorization": f"Api-Key {secret}"})


# --- retraining


@pytest.mark.parametrize("path", [PATH, "/retrain"])
def test_a_retraining_is_accepted_with_its_address(
    trial: Any, started: list[str], django_capture_on_commit_callbacks: Any, path: str
) -> None:
    secret = key(trial)
    with django_capture_on_commit_callbacks(execute=True):
        answer = ask(secret, path, {"why": "New laboratory at two sites."})
    assert answer.status_code == 202, answer.content
    run = JobRun.objects.get()
    assert (run.job, run.arguments["reason"]) == ("pipeline", "manual")
    assert started == [str(run.pk)]
    assert answer["Location"] == f"{PATH}/{run.pk}"
    event = AuditEvent.objects.get(action="monitoring.retraining_requested")
    assert event.actor.startswith("key:")
    assert event.reason == "manual: New laboratory at two sites."
    state = ask(secret, answer["Location"], method="GET")
    assert state.status_code == 200
    assert (state.json()["state"], state.json()["candidate"], state.json()["comparison"]) == ("waiting", None, None)


def test_a_body_is_not_needed_and_a_second_request_is_told_which_run_is_meant(trial: Any, started: list[str]) -> None:
    secret = key(trial)
    assert ask(secret).status_code == 202
    again = ask(secret)
    assert again.status_code == 409
    run = JobRun.objects.get()
    assert (again.json()["run"], again.json()["url"]) == (str(run.pk), f"{PATH}/{run.pk}")
    assert again.json()["cure"]


def test_what_a_retraining_ended_in(trial: Any) -> None:
    secret = key(trial)
    candidate, serving = people.model(trial), people.model(trial)
    run = JobRun.objects.create(
        job="pipeline", trial=trial, state="succeeded", progress=100, by="key", arguments={"reason": "drift"},
        outcome={"version": str(candidate), "comparison": "A sentence.", "comparison_outcome": "not compared"},
    )  # fmt: skip
    told = ask(secret, f"{PATH}/{run.pk}", method="GET").json()
    assert told["reason"] == "drift"
    assert told["candidate"] == str(candidate)
    assert told["comparison"]["outcome"] == "not compared"
    import numpy as np

    label = np.array([1, 0] * 50)
    body = compare(Pair(np.arange(100), label, np.linspace(1, 0, 100), np.linspace(0, 1, 100)), bands=(0.5,), draws=50)
    body |= {"data_version": "d" * 64, "labels_known_by": 1}
    made = services.record_comparison(by=people.SYSTEM, candidate=candidate, serving=serving, body=body, run=run)
    told = ask(secret, f"{PATH}/{run.pk}", method="GET").json()["comparison"]
    assert (told["outcome"], told["sentence"], told["serving"]) == (made.outcome, made.sentence, str(serving))
    auroc = body["figures"]["auroc"]
    assert told["difference"] == auroc["gain"]
    assert (told["auroc_candidate"], told["auroc_serving"]) == (auroc["two"], auroc["one"])
    assert (told["rows"], told["patients"], told["events"], told["data_version"]) == (100, 100, 50, "d" * 64)
    assert told["simulated"] is False
    assert ModelComparison.objects.count() == 1


def test_who_may_not(trial: Any) -> None:
    assert Client().post(PATH).status_code == 401
    assert ask(key(trial, "predict")).status_code == 403
    people.site(trial, "S1")
    limited = ask(key(trial, "retrain", sites=("S1",)))
    assert limited.status_code == 403
    assert "limited to some sites" in limited.json()["detail"]
    other = people.trial("OTHER")
    run = JobRun.objects.create(job="pipeline", trial=other, by="x")
    cleaning = JobRun.objects.create(job="features", trial=trial, by="x")
    secret = key(trial, "retrain", "read")
    for strange in (run, cleaning):
        assert ask(secret, f"{PATH}/{strange.pk}", method="GET").status_code == 404
    assert ask(secret, body={"why": "x" * 301}).status_code == 422
    assert JobRun.objects.filter(job="pipeline", trial=trial).count() == 0


def test_the_whole_pipeline_ends_in_a_comparison() -> None:
    for job in ("pipeline", "train"):
        assert [step.name for step in JOBS[job].steps][-2:] == ["register", "compare"]
    assert JOBS["pipeline"].steps[0].name == "clean"


# --- counting


REPORT = {
    "days": [
        {
            "topic": "patient-vitals", "date": "2026-03-01",
            "messages": [{"trial": "DEMO", "site": "01", "count": 100}],
            "duplicates": [{"trial": "DEMO", "site": "01", "count": 4, "rate": 0.04}],
            "quarantine": [{"trial": "DEMO", "site": "01", "rule": "impossible|x", "field": "heart_rate", "count": 3, "rate": 0}],
            "flags": [{"trial": "DEMO", "site": "01", "rule": "implausible", "count": 5, "rate": 0},
                      {"trial": "DEMO", "site": "01", "rule": "filled_spo2", "count": 40, "rate": 0}],
        }
    ]
}  # fmt: skip


def value(name: str, **labels: str) -> float:
    """A sample of the page; 0 where it is not there."""
    for family in text_string_to_metric_families(metrics.page(state=True).decode()):
        for sample in family.samples:
            if sample.name == name and labels.items() <= sample.labels.items():
                return sample.value
    return 0.0


def test_a_day_that_is_written_again_adds_only_what_is_new() -> None:
    the_lake().put("quality/a.json", json.dumps(REPORT).encode())
    here = {"trial": "DEMO", "site": "01"}
    before = [
        value("data_records_processed_total", layer="silver", topic="patient-vitals"),
        value("data_invalid_records_total", rule="impossible|x", **here),
        value("data_duplicates_removed_total", **here),
    ]

    def grown() -> list[float]:
        after = [
            value("data_records_processed_total", layer="silver", topic="patient-vitals"),
            value("data_invalid_records_total", rule="impossible|x", **here),
            value("data_duplicates_removed_total", **here),
        ]
        return [b - a for a, b in zip(before, after, strict=True)]

    counting.cleaning(the_lake(), "quality/a.json")
    assert grown() == [100, 3, 4]
    assert value("data_quality_score", **here) == pytest.approx(0.92), (
        "3 set aside and 5 flagged of 100; filled is no fault"
    )
    counting.cleaning(the_lake(), "quality/a.json")
    assert grown() == [100, 3, 4]
    more = json.loads(json.dumps(REPORT))
    more["days"][0]["messages"][0]["count"] = 130
    more["days"][0]["quarantine"] = []
    the_lake().put("quality/b.json", json.dumps(more).encode())
    counting.cleaning(the_lake(), "quality/b.json")
    assert grown() == [130, 3, 4], "a rule that was mended takes nothing back"
    assert Counted.objects.count() == 3


# --- the page

STATE = {row.name for row in METRICS.values() if row.source}
EVERYWHERE = r"""
import json, sys, django
django.setup()
from apps.core import metrics
from apps.ingestion import metrics as ingestion
from apps.pipelines import metrics as pipelines
from apps.predictions import metrics as predictions
from apps.monitoring import counting
{body}
"""


def names_on(page: str) -> set[str]:
    return set(re.findall(r"^# TYPE (\S+) ", page, re.MULTILINE))


def test_every_metric_of_the_platforms_state_is_shown_and_none_undeclared(trial: Any) -> None:
    JobRun.objects.create(job="clean", state="failed", by="x", finished_at=clock.now())
    page = metrics.page(state=True).decode()
    assert undeclared(names_on(page)) == []
    assert {"job_runs_active", "job_runs_failed_24h", "metrics_source_up"} <= names_on(page)
    assert value("job_runs_failed_24h", job="clean") == 1.0


def test_the_state_of_a_watched_trial_is_shown_whole_and_names_no_patient() -> None:
    from apps.monitoring import steps

    of = watched.trial()
    watched.lag(12)
    with clock.fixed(watched.NOW):
        steps.check({"trial": "DEMO"}, lambda *_: None)
        page = metrics.page(state=True).decode()
        shown = names_on(page)
        assert STATE - shown == {"component_memory_bytes", "component_cpu_seconds"}, "no process announced itself here"
        assert undeclared(shown) == []
        assert value("model_auroc", trial="DEMO", model_version=str(of.version)) > 0.9
        assert value("consumer_lag", group="live", topic="patient-vitals") == 12.0
        assert value("monitoring_trigger_firing", trigger="auroc_critical") == 0.0
    for patient in of.patients:
        assert not re.search(rf'"[^"]*{patient.patient_id}"', page), "no label names a patient"
    assert "arm" not in {label for row in METRICS.values() for label in row.labels}
    assert 'feature="trial_arm"' not in page
    assert 'feature="study_dose_current"' not in page


def test_a_source_that_does_not_answer_leaves_the_page_standing(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> Any:
        raise RuntimeError("the table is gone")

    monkeypatch.setattr(metrics, "_sources", [*metrics._sources, broken])
    assert value("metrics_source_up", source="broken") == 0.0
    assert value("metrics_source_up", source="jobs") == 1.0


def test_processes_that_share_a_folder_are_one_page(tmp_path: Path) -> None:
    """Two processes count, one is killed; a third shows the sums, without the dead one's live gauges."""
    environment = {
        **os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path), "DJANGO_SETTINGS_MODULE": "clinical_portal.settings.test",
    }  # fmt: skip

    def program(body: str, component: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", EVERYWHERE.replace("{body}", body)], cwd=BASE_DIR, text=True,
            env={**environment, "COMPONENT": component}, stdout=subprocess.PIPE, stdin=subprocess.PIPE,
        )  # fmt: skip

    count = (
        "predictions.COUNT.labels(source='api', level='LOW').inc(3); predictions.LATENCY.labels(source='api').observe(0.02)\n"
        "predictions.ERRORS.labels(code='503').inc(); predictions.recent.add(True)\n"
        "predictions.LIVE_LAG.set(5); predictions.LIVE_DELAY.observe(1); predictions.LIVE_PREDICTIONS.inc()\n"
        "ingestion.MESSAGES.labels('t').inc(); ingestion.REFUSED.labels('t', 'r').inc(); ingestion.BATCHES.labels('t').inc()\n"
        "ingestion.ADOPTED.labels('t').inc(); ingestion.EPOCHS.labels('t').inc(); ingestion.LAG.labels('t', 0).set(2)\n"
        "ingestion.BATCH_AGE.observe(1); pipelines.spark_job_ended('clean', 12.0, succeeded=False)\n"
        "counting.PROCESSED.labels(layer='silver', topic='t').inc(); counting.DUPLICATES.labels(topic='t', trial='T', site='S').inc()\n"
        "counting.INVALID.labels(topic='t', trial='T', site='S', rule='r').inc(); counting.QUALITY.labels(trial='T', site='S').set(.9)\n"
        "print('ready', flush=True); sys.stdin.read()"
    )
    first, second = program(count, "api"), program(count, "live")
    port = ports.choose()
    shower = program(f"metrics.serve({port}, everywhere=False); print('ready', flush=True); sys.stdin.read()", "web")
    try:
        for one in (first, second, shower):
            assert one.stdout is not None
            assert one.stdout.readline() == "ready\n"

        def page() -> str:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20) as answer:
                return str(answer.read().decode())

        found = page()
        assert 'prediction_count_total{level="LOW",source="api"} 6.0' in found
        assert 'prediction_count{level="LOW",source="api"} 6.0' in found, "also under the name required"
        assert 'prediction_latency_count{source="api"} 2.0' in found
        assert re.search(r"^error_rate 1\.0$", found, re.MULTILINE)
        assert 'spark_job_duration_seconds_count{job="clean"} 2.0' in found
        assert 'component_memory_bytes{component="live"}' in found
        counted = {row.shown for row in METRICS.values() if not row.source} | {"prediction_count"}
        assert counted - names_on(found) == set(), "every row is really emitted"
        assert undeclared(names_on(found)) == []
        second.kill()
        second.wait(10)
        found = page()
        assert 'component="live"' not in found, "its live gauges are gone"
        assert 'prediction_count_total{level="LOW",source="api"} 6.0' in found, "its counts stay"
    finally:
        for one in (first, second, shower):
            one.kill()
            one.wait(10)


def test_metrics_are_rows_or_cannot_be_made() -> None:
    with pytest.raises(KeyError):
        metrics.counter("invented")
    with pytest.raises(TypeError, match="is a counter"):
        metrics.gauge("prediction_count")
    with pytest.raises(TypeError, match="read when asked for"):
        metrics.gauge("model_auroc")


def test_the_names_required_are_rows() -> None:
    shown = {row.shown for row in METRICS.values()} | {"prediction_count"}
    assert {
        "prediction_latency", "prediction_count", "error_rate", "data_records_processed_total", "data_invalid_records_total",
        "data_duplicates_removed_total", "spark_job_duration_seconds", "data_quality_score",
    } <= shown  # fmt: skip


def test_the_page_over_http(trial: Any) -> None:
    ConsumerState.objects.create(group="g", topic="t", topic_id="old", partition=0, epoch=0, next_offset=1, lag=99)
    ConsumerState.objects.create(group="g", topic="t", topic_id="new", partition=0, epoch=1, next_offset=1, lag=4)
    answer = Client().get("/metrics")
    assert answer.status_code == 200
    assert answer["Content-Type"].startswith("text/plain")
    assert 'consumer_lag{group="g",topic="t"} 4.0' in answer.content.decode(), "an earlier life of the topic is over"
