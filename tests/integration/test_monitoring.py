"""Monitoring: figures on mature labels, drift, triggers, and the one retraining they ask for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.db import DatabaseError, connection, transaction
from sklearn.metrics import roc_auc_score

from apps.accounts.models import User
from apps.audit.actors import Actor
from apps.audit.models import AuditEvent
from apps.core import clock
from apps.core.errors import Conflict, Forbidden
from apps.core.lake import lake as the_lake
from apps.monitoring import services, steps
from apps.monitoring.labels import facts_of, labels_of
from apps.monitoring.models import Check, ModelComparison, PerformanceReport, TriggerVerdict
from apps.monitoring.performance import first_due, measure, window
from apps.monitoring.sampling import draw, held_out, recent_vectors, reference_of
from apps.patients.models import AdverseEvent, Trial
from apps.pipelines import tasks
from apps.pipelines.models import JobRun
from apps.predictions import serving as loaded
from apps.predictions.models import Prediction
from apps.registry import comparisons
from ml.features import NAMES, canonical, from_bytes, vector_bytes
from ml.labels import REASONS, as_of_times
from ml.profile import StudyProfile
from tests.support import people, serving, watched
from tests.support.database import forget_audit
from tests.support.watched import NOW
from tests.unit.test_training import fill_lake

pytestmark = pytest.mark.usefixtures("pg", "valkey")
SHIFTED = (
    "heart_rate_mean_6h", "alt_latest", "spo2_mean_24h", "temperature_mean_24h", "potassium_latest", "sodium_latest",
)  # fmt: skip


@pytest.fixture(autouse=True)
def _lake(lake: str, settings: Any) -> Iterator[None]:
    settings.LAKE_URL = lake
    the_lake.cache_clear()
    loaded.forget()
    yield
    the_lake.cache_clear()
    loaded.forget()


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any) -> list[str]:
    """Identifiers of the runs that were handed to a worker."""
    found: list[str] = []
    monkeypatch.setattr(tasks.run, "delay", lambda *, run_id: found.append(run_id))
    return found


def look(at: datetime = NOW) -> dict[str, Any]:
    """One check of the trial DEMO at that time, as the job makes it."""
    with clock.fixed(at):
        return steps.check({"trial": "DEMO"}, lambda *_: None)


def quietly(*rows: Any) -> None:
    """Rows laid into tables with their triggers at rest."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        for row in rows:
            row.save(force_insert=True)
        cursor.execute("SET LOCAL session_replication_role = origin")


def verdict(name: str) -> TriggerVerdict:
    return TriggerVerdict.objects.filter(trigger=name).order_by("-id")[0]


# --- which predictions, which labels


def test_one_prediction_a_patient_day_at_the_moment_that_training_draws() -> None:
    of = watched.trial(patients=8)
    first, last = window(of.profile, int(NOW.timestamp()))
    found = draw(of.version, of.profile, first, last)
    names = tuple(sorted(one.pk for one in of.patients))
    who, when = as_of_times(of.profile, names, first, last)
    assert len(found.as_of) == len(who)
    assert found.without == 0
    day = 86_400
    for position, moment in zip(who.tolist(), when.tolist(), strict=True):
        times = [moment - moment % day + hours * 3600 for hours in (12, 23)]
        expected = next((time for time in times if time >= moment), times[-1])
        assert (names[position], expected) in set(zip(found.patients, found.as_of.tolist(), strict=True))


def test_the_labels_are_those_of_the_rules_of_training() -> None:
    """Censored, immature, retracted and late-recorded events count as in ml.labels; a second version does not double."""
    of = watched.trial(patients=4, event_share=0.0)
    noon = NOW - timedelta(days=6, hours=1)
    one, two, three, four = (patient.pk for patient in of.patients)
    quietly(
        watched.event(of.trial, one, noon + timedelta(hours=3), 1),
        watched.event(of.trial, two, noon + timedelta(hours=3), 2, known=timedelta(days=5, hours=20)),
        watched.event(of.trial, three, noon + timedelta(hours=3), 3),
        watched.disposition(of.trial, four, noon, 4),
    )
    ended = watched.event(of.trial, three, noon + timedelta(hours=3), 3, known=timedelta(days=2), retracted=True)
    ended.offset = 9
    quietly(ended)
    assert len(facts_of("DEMO")) == 4 + 4 + 1
    names, times = [one, two, three, four], np.full(4, int(noon.timestamp()))

    def at(moment: datetime) -> tuple[list[int], list[str]]:
        found = labels_of("DEMO", names, times, of.profile, known_by=int(moment.timestamp()))
        return found.label.tolist(), [("", "not enrolled", "censored", "immature")[code] for code in found.reason]

    assert at(NOW - timedelta(days=1)) == ([1, 0, 0, -1], ["", "", "", "censored"]), "as known the day before"
    assert at(NOW)[0][:3] == [1, 1, 0], "what was recorded late is known now"
    assert at(noon + timedelta(days=3))[1] == ["immature", "immature", "immature", "censored"]


def test_days_before_the_first_dose_do_not_count_where_the_studys_risk_begins_with_it() -> None:
    """As in training: a missed dose is none, who was never treated never counts, and with no dose at all everybody does."""
    of = watched.trial(patients=4, event_share=0.0)
    at_risk = replace(of.profile, risk_from_first_dose=True)
    noon = NOW - timedelta(days=8)
    names = [patient.pk for patient in of.patients]
    times = np.full(4, int(noon.timestamp()))

    def reasons(profile: StudyProfile, chosen: slice = slice(None)) -> list[str]:
        found = labels_of("DEMO", names[chosen], times[chosen], profile, known_by=int(NOW.timestamp()))
        return [REASONS[code] for code in found.reason]

    assert reasons(at_risk) == [""] * 4, "nobody has a dose: nobody knows when risk began"
    quietly(
        watched.dose(of.trial, names[0], noon - timedelta(hours=1), 1),
        watched.dose(of.trial, names[1], noon - timedelta(hours=1), 2, outcome="missed"),
        watched.dose(of.trial, names[1], noon + timedelta(hours=1), 3),
        watched.arm(of.trial, names[2], noon - timedelta(days=9), 4, treated=False),
        watched.arm(of.trial, names[3], noon - timedelta(days=9), 5, treated=True),
    )
    assert reasons(at_risk) == ["", "not treated", "not treated", ""]
    assert reasons(at_risk, slice(2, 3)) == ["not treated"], "also where only the untreated are asked about"
    assert reasons(of.profile) == [""] * 4


def test_shuffled_labels_are_not_told_apart_and_the_truth_is() -> None:
    """The whole path from tables to the figure: with the same predictions and onsets of other patients, AUROC is that of
    a coin; nothing of the outcome leaks through the drawing of rows or the labels."""
    of = watched.trial()
    true = measure(of.version, of.profile, reference_of(of.version), NOW).evaluation["figures"]["auroc"]
    assert true["value"] > 0.9
    names = [patient.pk for patient in of.patients]
    turned = dict(zip(names, np.random.default_rng(7).permutation(names).tolist(), strict=True))
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        for row in AdverseEvent.objects.filter(trial=of.trial):
            AdverseEvent.objects.filter(pk=row.pk).update(patient_id=turned[row.patient_id])
        cursor.execute("SET LOCAL session_replication_role = origin")
    shuffled = measure(of.version, of.profile, reference_of(of.version), NOW)
    assert shuffled.events >= 30
    auroc = shuffled.evaluation["figures"]["auroc"]
    assert auroc["low"] < 0.5 < auroc["high"]
    assert abs(auroc["value"] - 0.5) < 0.1


def test_a_day_the_model_may_have_learned_from_is_not_held_against_it() -> None:
    of = watched.trial(patients=5, trained=NOW - timedelta(days=6))
    reference = reference_of(of.version)
    first, last = window(of.profile, int(NOW.timestamp()))
    drawn = draw(of.version, of.profile, first, last)
    spared = held_out(drawn, of.version, reference)
    limit = int((NOW - timedelta(days=6)).timestamp())
    for name, time, counts in zip(drawn.patients, drawn.as_of.tolist(), spared.tolist(), strict=True):
        assert counts == (time > limit or name in {"DEMO/P3", "DEMO/P4"}), "P1, P2 were trained on; P5 in no part"
    assert spared.any()
    assert not spared.all()


# --- the report


def test_the_figures_of_seven_days_are_right_and_known_then() -> None:
    of = watched.trial()
    found = measure(of.version, of.profile, reference_of(of.version), NOW)
    first, last = window(of.profile, int(NOW.timestamp()))
    assert last - first == 7 * 86_400 - 1
    assert last == int((NOW - timedelta(days=4)).timestamp()), "horizon 24 h and 3 days of maturity before now"
    drawn = draw(of.version, of.profile, first, last)
    drawn = drawn.take(drawn.as_of <= last)
    onsets = {(who, int(onset.replace(microsecond=0).timestamp())) for who, onset in of.events}
    label = [
        any(who == name and time < onset <= time + 86_400 for who, onset in onsets)
        for name, time in zip(drawn.patients, drawn.as_of.tolist(), strict=True)
    ]
    assert found.events == sum(label) >= 10
    assert found.rows == len(label) > 400
    assert found.left_out == {"immature": found.left_out["immature"]}
    figures = found.evaluation["figures"]
    assert figures["auroc"]["value"] == pytest.approx(roc_auc_score(label, drawn.probability))
    assert figures["auroc"]["low"] < figures["auroc"]["value"] < figures["auroc"]["high"]
    assert {"ece", "calibration_slope", "calibration_intercept", "brier", "precision", "recall", "f1"} <= set(figures)
    assert sum(found.evaluation["distribution"]["with_event"]) == found.events
    assert found.evaluation["simulated"] is True
    assert not found.retrospective
    # an event that becomes known only tomorrow changes nothing of today
    quietly(watched.event(of.trial, drawn.patients[0], datetime.fromtimestamp(int(drawn.as_of[0]) + 60, NOW.tzinfo), 999,
                          known=timedelta(days=30)))  # fmt: skip
    assert measure(of.version, of.profile, reference_of(of.version), NOW) == found


def test_too_few_events_give_a_sentence_and_no_number() -> None:
    of = watched.trial(patients=10, event_share=0.03)
    found = measure(of.version, of.profile, reference_of(of.version), NOW)
    assert found.evaluation == {}
    assert found.reason.startswith(f"not enough events: {found.events} of the 10")
    look()
    assert verdict("auroc_critical").state == "not judged"
    assert "not enough events" in verdict("auroc_critical").sentence


def test_labels_too_young_say_when_the_first_figure_is_due() -> None:
    of = watched.trial(patients=5, maturity=60)
    found = measure(of.version, of.profile, reference_of(of.version), NOW)
    assert (found.rows, found.evaluation) == (0, {})
    first = Prediction.objects.order_by("as_of")[0].as_of
    assert first_due(of.version, of.profile, reference_of(of.version)) == first + timedelta(days=61)


def test_indeterminate_answers_are_counted_and_leave_the_figures() -> None:
    of = watched.trial()
    before = measure(of.version, of.profile, reference_of(of.version), NOW)
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(
            "UPDATE predictions_prediction SET probability = NULL, level = 'INDETERMINATE' WHERE patient_id = 'DEMO/P9'"
        )
    found = measure(of.version, of.profile, reference_of(of.version), NOW)
    assert 6 <= found.indeterminate <= 8
    assert found.rows + found.indeterminate == before.rows


def test_days_from_before_the_training_are_shown_and_fire_nothing(started: list[str]) -> None:
    """A figure of the past cannot say that something has changed: retraining on it would go in circles."""
    of = watched.trial(skill=0.0, trained=NOW - timedelta(days=4, hours=12), held_out=60)
    found = measure(of.version, of.profile, reference_of(of.version), NOW)
    assert found.retrospective
    assert found.evaluation["figures"]["auroc"]["value"] < 0.75
    look()
    assert verdict("auroc_critical").state == "not judged"
    assert "before this version served" in verdict("auroc_critical").sentence
    assert JobRun.objects.count() == 0


def test_days_since_the_training_are_judged_alone_once_they_are_enough(started: list[str]) -> None:
    of = watched.trial(trained=NOW - timedelta(days=8), held_out=60)
    found = measure(of.version, of.profile, reference_of(of.version), NOW)
    assert not found.retrospective
    assert found.left_out["before this version served"] > 100
    assert found.events >= 10
    look()
    assert verdict("auroc_critical").state == "quiet"


# --- a check


def test_a_check_keeps_report_drift_verdicts_and_its_audit_event(started: list[str]) -> None:
    of = watched.trial()
    watched.lag(7)
    outcome = look()
    found = Check.objects.get()
    assert outcome["check"] == str(found.pk)
    assert found.model_version == of.version
    assert found.simulated
    reports = list(PerformanceReport.objects.order_by("as_of"))
    assert len(reports) == 8, "seven midnights that had none, and now"
    assert reports[-1].as_of == NOW
    assert found.measures["auroc"] == reports[-1].evaluation["figures"]["auroc"]["value"] > 0.9
    assert len(found.drift) > 90
    assert found.measures["features_drifted"] == 0
    assert (found.drift_window["days"], found.drift_window["patients"]) == (7, 60), "one day has too few vectors"
    states = {row.trigger: row.state for row in found.verdicts.all()}
    assert states["auroc_critical"] == states["drift"] == states["lag"] == "quiet"
    assert states["errors"] == states["latency"] == "not judged", "no API shares its counters here"
    assert states["invalid"] == "not judged"
    assert AuditEvent.objects.filter(action="monitoring.checked", object_id=str(found.pk), trial="DEMO").count() == 1
    look(NOW + timedelta(hours=6))
    assert PerformanceReport.objects.count() == 9, "what was reported once is not reported again"
    assert started == []


def test_what_was_found_is_never_changed() -> None:
    watched.trial(patients=5)
    look()
    for table in ("check", "performancereport", "triggerverdict"):
        for statement in (f"UPDATE monitoring_{table} SET id = id", f"DELETE FROM monitoring_{table}"):
            with (
                pytest.raises(DatabaseError, match="written once"),
                transaction.atomic(),
                connection.cursor() as cursor,
            ):
                cursor.execute(statement)
    forget_audit()
    with pytest.raises(DatabaseError, match="no audit event"), transaction.atomic():
        Check(trial_id="DEMO", by="x", simulated=True).save(force_insert=True)


def test_without_a_model_a_check_says_so() -> None:
    people.trial("DEMO")
    look()
    assert Check.objects.get().model_version is None
    assert "no model serves" in verdict("auroc_critical").sentence
    assert "no model serves" in verdict("drift").sentence


def test_a_version_of_before_samples_were_kept_is_not_called_free_of_drift() -> None:
    of = watched.trial(patients=5)
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute("UPDATE registry_modelversion SET metrics = metrics - 'reference'")
    look()
    assert verdict("drift").state == "not judged"
    assert "no sample of its training was kept" in verdict("drift").sentence
    of.version.refresh_from_db()
    path = f"{of.version.bundle_path}/split.json"
    the_lake().put(path, the_lake().get(path) + b" ")
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE registry_modelversion SET metrics = jsonb_set(metrics, '{reference}', '{\"split.json\": \"0\"}')"
        )
    look(NOW + timedelta(hours=6))
    assert "is not what was kept" in verdict("drift").sentence


def test_the_hours_of_the_day_are_not_taken_for_drift(started: list[str]) -> None:
    """Each patient's vectors rise by two standard deviations from noon to evening; looked at in the evening, the newest
    of all would have moved, the sample drawn over all hours has not."""
    of = watched.trial(patients=120)
    evening = NOW.replace(hour=23, minute=30)
    column = NAMES.index("heart_rate_mean_6h")
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        for one in Prediction.objects.filter(as_of__gt=NOW - timedelta(days=3)):
            values = from_bytes(bytes(one.features)).astype(np.float64)
            values[column] += 2.0 * (one.as_of.hour == 23)
            Prediction.objects.filter(pk=one.pk).update(features=vector_bytes(canonical(values)))
        cursor.execute("SET LOCAL session_replication_role = origin")
    vectors, people_seen = recent_vectors("DEMO", of.profile, evening, 1)
    assert people_seen > 100
    high = float((vectors[:, column] > 1.5).mean())
    assert 0.1 < high < 0.75, "vectors of noon and of the evening, as their moments were drawn"


# --- triggers and retraining


def test_a_model_that_knows_nothing_is_trained_anew_once(
    started: list[str], django_capture_on_commit_callbacks: Any
) -> None:
    watched.trial(skill=0.0)
    with django_capture_on_commit_callbacks(execute=True):
        outcome = look()
    assert verdict("auroc_critical").state == "firing"
    run = JobRun.objects.get(job="pipeline")
    assert started == [str(run.pk)] == [outcome["retraining"]]
    assert (run.arguments["reason"], run.arguments["check"]) == ("performance", outcome["check"])
    event = AuditEvent.objects.get(action="monitoring.retraining_requested")
    assert event.reason.startswith("performance: AUROC of 7 days, critical")
    with django_capture_on_commit_callbacks(execute=True):
        assert look(NOW + timedelta(hours=6))["retraining"] == ""
    assert len(started) == 1, "one waits already"
    JobRun.objects.update(state="failed", created_at=NOW)
    with django_capture_on_commit_callbacks(execute=True):
        assert look(NOW + timedelta(hours=12))["retraining"] == "", "within a day of the last request"
        assert look(NOW + timedelta(hours=25))["retraining"] != "", "a day later it may ask again"


def test_a_low_figure_retrains_in_the_second_check_running_and_pressing_twice_is_one_check(started: list[str]) -> None:
    watched.trial(skill=0.9, seed=3)
    look()
    value = Check.objects.get().measures["auroc"]
    assert 0.75 <= value < 0.80, f"the story needs a figure between the limits, this is {value}"
    assert (verdict("auroc_low").state, verdict("auroc_low_twice").state) == ("firing", "quiet")
    look(NOW + timedelta(minutes=2))
    assert verdict("auroc_low_twice").state == "quiet"
    assert JobRun.objects.count() == 0
    look(NOW + timedelta(hours=4))
    assert verdict("auroc_low_twice").state == "firing"
    assert JobRun.objects.get().arguments["reason"] == "performance"


@pytest.mark.parametrize(("count", "warns", "retrains"), [(3, False, False), (4, True, False), (6, True, True)])
def test_drift_warns_above_three_features_and_retrains_above_five(
    started: list[str], count: int, warns: bool, retrains: bool
) -> None:
    watched.trial(shift=2.0, shifted=SHIFTED[:count])
    look()
    found = Check.objects.get()
    assert found.measures["features_drifted"] == count
    assert {row["feature"] for row in found.drift[:count]} == set(SHIFTED[:count])
    assert (verdict("drift").state == "firing") == warns
    assert (verdict("drift_many").state == "firing") == retrains
    assert [run.arguments["reason"] for run in JobRun.objects.all()] == (["drift"] if retrains else [])


def test_a_consumer_far_behind_and_failed_spark_jobs_warn() -> None:
    of = watched.trial(patients=5)
    watched.lag(10_001)
    JobRun.objects.create(job="clean", state="failed", by="x", finished_at=NOW - timedelta(hours=1))
    JobRun.objects.create(job="clean", state="failed", by="x", finished_at=NOW - timedelta(hours=25))
    JobRun.objects.create(job="predict_days", trial=of.trial, state="failed", by="x", finished_at=NOW)
    look()
    assert (verdict("lag").state, verdict("lag").value) == ("firing", 10_001)
    assert (verdict("spark_failed").state, verdict("spark_failed").value) == ("firing", 1)


def test_who_may_ask_for_retraining_and_only_one_at_a_time() -> None:
    trial: Trial = people.trial("DEMO")
    coordinator: User = people.person("cora", "coordinator", at=trial)
    engineer: User = people.person("meg", "ml_engineer", at=trial)
    with pytest.raises(Forbidden):
        services.request_retraining(by=coordinator, trial_id="DEMO", reason="manual", why="so")
    with pytest.raises(Forbidden):
        services.request_retraining(by=Actor("key:x", "key"), trial_id="DEMO", reason="manual", why="so")
    run = services.request_retraining(by=engineer, trial_id="DEMO", reason="manual", why="New sites.")
    with pytest.raises(Conflict, match="already") as refused:
        services.request_retraining(by=engineer, trial_id="DEMO", reason="manual", why="Again.")
    assert refused.value.extra["run"] == str(run.pk)
    JobRun.objects.filter(pk=run.pk).update(state="succeeded")
    JobRun.objects.create(job="train", trial=trial, state="running", by="beat")
    with pytest.raises(Conflict):
        services.request_retraining(by=engineer, trial_id="DEMO", reason="manual", why="While the weekly one runs.")


# --- the candidate against what serves


def test_where_nothing_serves_there_is_nothing_to_compare_with() -> None:
    made = people.trial("T", simulated=True)
    version = people.model(made)
    outcome = steps.compare_with_serving({"version_id": str(version.pk)}, lambda *_: None)
    assert outcome["comparison_outcome"] == "nothing to compare with"
    assert ModelComparison.objects.count() == 0


def test_a_candidate_is_compared_with_what_serves_on_patients_neither_learned_from(tmp_path: Path) -> None:
    """The rows are those of the feature store; which patients count follows from the two splits that were kept."""
    made = people.trial("T", simulated=True)
    fill_lake(tmp_path / "lake")
    parts = {"train": range(40), "validation": range(40, 50), "test": range(50, 80)}
    served = serving.release(made, seed=1)
    watched.keep(served, {"train": range(30), "validation": range(30, 60), "test": range(60, 80)})
    candidate = watched.candidate(made, seed=2)
    watched.keep(candidate, parts)
    outcome = steps.compare_with_serving({"version_id": str(candidate.pk)}, lambda *_: None)
    found = ModelComparison.objects.get()
    assert (found.candidate, found.serving) == (candidate, served)
    assert found.body["patients"] == 20, "50 to 59 are of the candidate's test part, and trained the other"
    assert outcome["comparison_outcome"] == found.outcome != "not judged"
    gain = found.body["figures"]["auroc"]["gain"]
    assert gain["low"] <= gain["value"] <= gain["high"]
    assert comparisons.kept(served, candidate) == found.body, "the page that compares two versions shows the same"
    assert AuditEvent.objects.filter(action="monitoring.models_compared", object_id=str(found.pk)).exists()
    served.refresh_from_db()
    assert served.state == "production", "a comparison promotes nobody"


def test_nothing_is_compared_on_a_split_that_was_altered_or_is_not_there(tmp_path: Path) -> None:
    made = people.trial("T", simulated=True)
    fill_lake(tmp_path / "lake")
    served = serving.release(made, seed=1)
    watched.keep(served, {"train": range(30), "validation": range(30, 60), "test": range(60, 80)})
    candidate = watched.candidate(made, seed=2)
    outcome = steps.compare_with_serving({"version_id": str(candidate.pk)}, lambda *_: None)
    assert "does not say which patients it was trained on" in outcome["comparison"]
    watched.keep(candidate, {"train": range(40), "validation": range(40, 50), "test": range(50, 80)})
    path = f"{candidate.bundle_path}/split.json"
    the_lake().put(path, the_lake().get(path).replace(b"T/001", b"T/079"))
    outcome = steps.compare_with_serving({"version_id": str(candidate.pk)}, lambda *_: None)
    assert "is not what was kept when the model was trained" in outcome["comparison"]
    assert outcome["comparison_outcome"] == "not compared"
    assert ModelComparison.objects.count() == 0


def test_events_of_other_trials_do_not_matter() -> None:
    of = watched.trial(patients=5, event_share=0.0)
    other = people.trial("OTHER")
    people.patient(other, "P1")
    quietly(watched.event(other, "OTHER/P1", NOW - timedelta(days=6), 1))
    assert AdverseEvent.objects.count() == 1
    found = measure(of.version, of.profile, reference_of(of.version), NOW)
    assert found.events == 0
