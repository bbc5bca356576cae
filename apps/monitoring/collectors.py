"""The platform's state as metrics: read from the last checks, the consumers and the runs when the page is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count

from apps.core import clock
from apps.monitoring.models import Check, PerformanceReport
from apps.monitoring.operations import freshness
from apps.monitoring.selectors import ACTIVE
from apps.pipelines.jobs import JOBS
from apps.pipelines.models import JobRun

Value = tuple[str, dict[str, str], float]
FIGURES = {
    "model_auroc": "auroc",
    "model_calibration_error": "ece",
    "model_brier_score": "brier",
    "model_precision": "precision",
    "model_recall": "recall",
    "model_f1": "f1",
}
"""Metric → figure of the evaluation."""


def monitoring() -> Iterator[Value]:
    """What the last check of each trial found."""
    for found in Check.objects.order_by("trial_id", "-at", "-id").distinct("trial_id").select_related("model_version"):
        trial = {"trial": found.trial_id}
        yield "monitoring_last_check_timestamp_seconds", trial, found.at.timestamp()
        for verdict in found.verdicts.all():
            labels = {**trial, "trigger": verdict.trigger, "severity": verdict.severity}
            yield "monitoring_trigger_firing", labels, float(verdict.state == "firing")
        if (drifted := found.measures.get("features_drifted")) is not None:
            yield "features_drifted", trial, drifted
        for row in found.drift:
            yield from _feature(found.trial_id, row)
        if found.model_version is not None:
            newest = PerformanceReport.objects.filter(model_version=found.model_version).first()
            if newest is not None:
                yield from _report({**trial, "model_version": str(found.model_version)}, newest)


def _feature(trial_id: str, row: dict[str, Any]) -> Iterator[Value]:
    labels = {"trial": trial_id, "feature": row["feature"]}
    if row["judged"]:
        yield "feature_drift_ks", labels, row["distance"]
    yield "feature_missing_share", labels, row["missing_recent"]
    if row["outside_range"] is not None:
        yield "feature_outside_range_share", labels, row["outside_range"]


def _report(labels: dict[str, str], report: PerformanceReport) -> Iterator[Value]:
    yield "model_labels", labels, float(report.rows)
    yield "model_label_events", labels, float(report.events)
    asked = report.rows + report.indeterminate
    if asked:
        yield "model_indeterminate_share", labels, report.indeterminate / asked
    if not report.evaluation:
        return
    curve = report.evaluation["calibration_curve"]
    yield (
        "model_mean_probability",
        labels,
        sum(b["rows"] * b["predicted"] for b in curve) / sum(b["rows"] for b in curve),
    )
    for name, figure in FIGURES.items():
        if (value := report.evaluation["figures"][figure]["value"]) is not None:
            yield name, labels, value


def consumers() -> Iterator[Value]:
    """How far the consumers are."""
    for row in freshness():
        labels = {"group": row["group"], "topic": row["topic"]}
        if row["lag"] is not None:
            yield "consumer_lag", labels, float(row["lag"])
        if row["last_record_at"] is not None:
            yield (
                "data_last_record_timestamp_seconds",
                labels,
                datetime.fromisoformat(row["last_record_at"]).timestamp(),
            )


def jobs() -> Iterator[Value]:
    """Runs that wait or run, and those that failed in the last day."""
    active = dict(JobRun.objects.filter(state__in=ACTIVE).values_list("job").annotate(Count("id")))
    failed = dict(
        JobRun.objects.filter(state=JobRun.State.FAILED, finished_at__gt=clock.now() - timedelta(hours=24))
        .values_list("job")
        .annotate(Count("id"))
    )
    for job in JOBS:
        yield "job_runs_active", {"job": job}, float(active.get(job, 0))
        yield "job_runs_failed_24h", {"job": job}, float(failed.get(job, 0))


SOURCES = (monitoring, consumers, jobs)
