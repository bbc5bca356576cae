"""Monitoring's part in jobs, called by name."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import structlog
from django.db import transaction

from apps.audit.actors import Actor
from apps.core import clock
from apps.core.errors import Conflict
from apps.core.lake import lake
from apps.monitoring import counting, selectors, services
from apps.monitoring.models import Check, PerformanceReport
from apps.monitoring.operations import freshness, operations
from apps.monitoring.performance import Performance, measure, missing_days
from apps.monitoring.sampling import recent_vectors, reference_of
from apps.monitoring.triggers import Judged, judge, retraining
from apps.patients import selectors as patients
from apps.pipelines import tasks
from apps.pipelines.models import JobRun
from apps.predictions.serving import load_bundle
from apps.registry import selectors as registry
from apps.registry.models import ModelVersion
from ml.drift import FeatureDrift, Reference, drift_table, drifted
from ml.drift.table import FEWEST
from ml.features import NAMES
from ml.lake import LakeError
from ml.profile import StudyProfile
from ml.scoring import BundleError

Report = Callable[[str, int, int], None]
log = structlog.get_logger(__name__)
MONITOR = Actor.process("monitor")
DAYS_BACK = 7
"""Midnights before a check that get their report now, if they have none yet."""
DRIFT_DAYS = (1, 7)
"""Drift is judged on the last day; where that holds too few vectors, on the last seven."""


def check(context: dict[str, Any], report: Report) -> dict[str, Any]:
    """Inputs: trial, job_run. Looks at model, data and platform, and asks for retraining where a trigger says so.
    Outputs: check, auroc, features_drifted, firing, retraining (the run it asked for, or "")."""
    trial_id = str(context["trial"])
    profile = patients.profile(trial_id)
    at = clock.now()
    study_now = at if profile.replay_time is None else datetime.fromtimestamp(profile.replay_time, UTC)
    serving = registry.serving(trial_id)
    version = serving.version if serving is not None else None
    run = selectors.run_of(context.get("job_run"))
    before = selectors.last_check(trial_id)
    report("errors, delay and lag of the running platform", 0, 3)
    numbers = operations(trial_id, at, before.counters if before is not None else {})
    reports: list[Performance] = []
    table: list[FeatureDrift] = []
    window: dict[str, Any] = {}
    if version is None:
        for name in ("auroc", "features_drifted"):
            numbers.none(name, "no model serves this trial")
    else:
        reference, altered = _reference(version)
        report("figures on mature labels", 1, 3)
        reports = _reports(version, profile, reference, study_now)
        newest = reports[-1] if reports and reports[-1].as_of == study_now else None
        auroc = _auroc(newest)
        numbers.values["auroc"] = auroc
        numbers.why["auroc"] = _why_no_auroc(newest)
        report("recent data against the training sample", 2, 3)
        table, window, why = _drift(version, profile, reference, altered, study_now)
        numbers.values["features_drifted"] = float(len(drifted(table))) if any(r.judged for r in table) else None
        numbers.why["features_drifted"] = why
    earlier = [one.measures for one in selectors.checks_before(trial_id, version.pk, at)] if version is not None else []
    judged = judge(numbers.values, numbers.why, earlier)
    with transaction.atomic():
        found = services.record_check(
            by=MONITOR,
            trial_id=trial_id,
            at=at,
            simulated=profile.simulated,
            version=version,
            drift=[row.to_json() for row in table],
            drift_window=window,
            freshness=freshness(),
            measures=numbers.values,
            counters=numbers.counters,
            reports=reports,
            judged=judged,
            run=run,
        )
        asked = _retrain(found, judged)
    return {
        "check": str(found.pk),
        "auroc": numbers.values["auroc"],
        "features_drifted": numbers.values["features_drifted"],
        "firing": [one.trigger.title for one in judged if one.state == "firing"],
        "retraining": str(asked.pk) if asked is not None else "",
    }


def _reference(version: ModelVersion) -> tuple[Reference | None, str]:
    try:
        return reference_of(
            version
        ), "no sample of its training was kept with this version; the next training keeps one"
    except (ValueError, LakeError) as error:
        return None, str(error).rstrip(".")


def _reports(
    version: ModelVersion, profile: StudyProfile, reference: Reference | None, now: datetime
) -> list[Performance]:
    """The report of now, and those of past midnights that have none."""
    done = set(PerformanceReport.objects.filter(model_version=version).values_list("as_of", flat=True))
    moments = [*missing_days(profile, now, done, DAYS_BACK), *([] if now in done else [now])]
    return [measure(version, profile, reference, moment) for moment in moments]


def _why_no_auroc(report: Performance | None) -> str:
    if report is None:
        return "this moment was judged already"
    return (
        report.reason or "the figure is of days before this version served, and says nothing of what has changed since"
    )


def _auroc(report: Performance | None) -> float | None:
    """The figure that triggers judge: of days since the version was trained."""
    if report is None or not report.evaluation or report.retrospective:
        return None
    value: float | None = report.evaluation["figures"]["auroc"]["value"]
    return value


def _drift(
    version: ModelVersion, profile: StudyProfile, reference: Reference | None, altered: str, now: datetime
) -> tuple[list[FeatureDrift], dict[str, Any], str]:
    """The table, which vectors it is of, and why nothing was judged where nothing was."""
    if reference is None:
        return [], {}, altered
    try:
        bundle = load_bundle(version)
    except (BundleError, LakeError) as error:
        return [], {}, str(error).rstrip(".")
    for days in DRIFT_DAYS:
        vectors, people = recent_vectors(version.trial_id, profile, now, days)
        if len(vectors) >= FEWEST:
            break
    window = {"days": days, "rows": len(vectors), "patients": people, "training_rows": len(reference.sample)}
    table = drift_table(tuple(NAMES), reference.sample, vectors, bundle.scaler)
    return table, window, f"{len(vectors)} recent vectors; {FEWEST} are needed on either side"


def _retrain(found: Check, judged: list[Judged]) -> JobRun | None:
    """Ask for the pipeline where a trigger says so; that one runs already, or ran lately, is no fault of the check."""
    reason, why = retraining(judged)
    if not reason:
        return None
    try:
        with transaction.atomic():
            run = services.request_retraining(by=MONITOR, trial_id=found.trial_id, reason=reason, why=why, check=found)
    except Conflict as error:
        log.info("retraining_not_asked_for", trial=found.trial_id, reason=reason, why=error.message)
        return None
    transaction.on_commit(lambda: tasks.run.delay(run_id=str(run.pk)))
    return run


def compare_with_serving(context: dict[str, Any], report: Report) -> dict[str, Any]:
    """Inputs: trial, version_id, job_run. The new candidate against the version that serves, as the job *compare* compares
    any two versions. Outputs: comparison, comparison_outcome."""
    candidate = ModelVersion.objects.get(pk=context["version_id"])
    serving = registry.serving(candidate.trial_id)
    if serving is None or serving.version.pk == candidate.pk:
        sentence = "Nothing serves this trial yet: there is nothing to compare with."
        report(sentence, 1, 1)
        return {"comparison": sentence, "comparison_outcome": "nothing to compare with"}
    try:
        body = _compared(candidate, serving.version, report)
    except (BundleError, LakeError, ValueError) as error:
        sentence = f"Not compared: {error}"
        report(sentence, 1, 1)
        return {"comparison": sentence, "comparison_outcome": "not compared"}
    run = selectors.run_of(context.get("job_run"))
    found = services.record_comparison(by=MONITOR, candidate=candidate, serving=serving.version, body=body, run=run)
    report(found.sentence, 1, 1)
    return {"comparison": found.sentence, "comparison_outcome": found.outcome}


def _compared(candidate: ModelVersion, serving: ModelVersion, report: Report) -> dict[str, Any]:
    from ml.comparison.versions import Version, compare_versions  # reads Parquet, no torch; only the worker needs it

    for version in (serving, candidate):
        reference_of(version)  # a split that was altered says nothing of who was held out
    one, two = (Version(str(version), version.bundle_path) for version in (serving, candidate))
    profile = patients.profile(candidate.trial_id)
    return compare_versions(lake(), profile, one, two, tell=lambda *, step, done, of: report(step, done, of))


def count_cleaning(context: dict[str, Any], report: Report) -> dict[str, Any]:
    """Inputs: report (path of the cleaning's quality report, absent where nothing was new). Counts it for /metrics."""
    path = context.get("report")
    if path:
        counting.cleaning(lake(), str(path))
    report("counted for the metrics", 1, 1)
    return {}


def count_features(context: dict[str, Any], report: Report) -> dict[str, Any]:
    """Inputs: trial, rows (of the feature store). Counts what is new for /metrics."""
    counting.features(str(context["trial"]), int(context.get("rows") or 0))
    report("counted for the metrics", 1, 1)
    return {}
