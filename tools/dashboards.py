"""Grafana's dashboards, printed from a table of panels into deploy/grafana/dashboards.

``python -m tools.dashboards`` writes them, ``--check`` says which differ. One place to change a query, and one to test it.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parents[1] / "deploy" / "grafana" / "dashboards"
WIDTH, HEIGHT, ACROSS = 12, 8, 24


@dataclass(frozen=True, slots=True)
class Panel:
    """One chart: its title, its queries (legend, PromQL), and the unit Grafana prints."""

    title: str
    queries: tuple[tuple[str, str], ...]
    unit: str = "short"
    kind: str = "timeseries"


def _quantiles(metric: str) -> tuple[tuple[str, str], ...]:
    return tuple(
        (f"p{share}", f"histogram_quantile(0.{share}, sum by (le) (rate({metric}_bucket[5m])))")
        for share in (50, 95, 99)
    )


_MEAN_OF_A_JOB = "sum by (job) (rate(spark_job_duration_seconds_sum[6h])) / sum by (job) (rate(spark_job_duration_seconds_count[6h]))"

#: file name -> (title, panels)
DASHBOARDS: dict[str, tuple[str, tuple[Panel, ...]]] = {
    "data-pipeline": (
        "Data pipeline",
        (
            Panel("Messages read", (("{{topic}}", "sum by (topic) (rate(ingestion_messages_total[5m]))"),), "cps"),
            Panel("Lag", (("{{group}} {{topic}}", "sum by (group, topic) (consumer_lag)"),)),
            Panel("Age of a batch when it is claimed", _quantiles("ingestion_batch_age_seconds"), "s"),
            Panel("Records by layer", (("{{layer}}", "sum by (layer) (rate(data_records_processed_total[15m]))"),), "cps"),
            Panel("Duration of Spark jobs", (("{{job}}", _MEAN_OF_A_JOB),), "s"),
            Panel("Runs failed in 24 h", (("{{job}}", "job_runs_failed_24h"),), kind="stat"),
            Panel("Runs that wait or run", (("{{job}}", "job_runs_active"),), kind="stat"),
            Panel("Since the newest record", (("{{group}} {{topic}}", "time() - data_last_record_timestamp_seconds"),), "s"),
        ),
    ),
    "model-performance": (
        "Model performance",
        (
            Panel("AUROC, labels of 7 days", (("{{trial}} v{{model_version}}", "model_auroc"),), "none"),
            Panel("Calibration error", (("{{trial}} v{{model_version}}", "model_calibration_error"),), "percentunit"),
            Panel("Precision, recall at 0.5", (("precision {{trial}}", "model_precision"), ("recall {{trial}}", "model_recall")), "none"),
            Panel("F1 at 0.5", (("{{trial}}", "model_f1"),), "none"),
            Panel("Events among the labels", (("{{trial}}", "model_label_events"),)),
            Panel("Brier score", (("{{trial}} v{{model_version}}", "model_brier_score"),), "none"),
            Panel("Triggers", (("{{trial}} {{trigger}}", "monitoring_trigger_firing"),), kind="stat"),
        ),
    ),
    "data-quality": (
        "Data quality",
        (
            Panel("Quality score by site", (("{{trial}} {{site}}", "data_quality_score"),), "percentunit"),
            Panel("Records that broke a rule", (("{{rule}} {{site}}", "sum by (rule, site) (increase(data_invalid_records_total[1h]))"),)),
            Panel("Refused before bronze", (("{{topic}} {{rule}}", "sum by (topic, rule) (increase(ingestion_refused_total[1h]))"),)),
            Panel("Duplicates removed", (("{{site}}", "sum by (site) (increase(data_duplicates_removed_total[1h]))"),)),
            Panel("Drift: distance to the training sample", (("{{feature}}", "topk(10, feature_drift_ks)"),), "none"),
            Panel("Missing values", (("{{feature}}", "topk(10, feature_missing_share)"),), "percentunit"),
            Panel("Outside the range of training", (("{{feature}}", "topk(10, feature_outside_range_share)"),), "percentunit"),
        ),
    ),
    "system-health": (
        "System health",
        (
            Panel("Services that answer", (("{{job}}", "up"),), kind="stat"),
            Panel("Processes", (("{{component}}", "sum by (component) (component_up)"),), kind="stat"),
            Panel("Memory", (("{{component}}", "component_memory_bytes"),), "bytes"),
            Panel("Processor", (("{{component}}", "rate(component_cpu_seconds[5m])"),), "none"),
            Panel("Share of failed questions", (("worst process", "max(error_rate)"),), "percentunit"),
            Panel("Faults of the API", (("{{code}}", "sum by (code) (rate(prediction_errors_total[5m]))"),), "cps"),
        ),
    ),
    "predictions": (
        "Predictions",
        (
            Panel("Predictions", (("{{source}} {{level}}", "sum by (source, level) (rate(prediction_count_total[5m]))"),), "cps"),
            Panel("Latency of the API", _quantiles("prediction_latency"), "s"),
            Panel("From event to stored score", _quantiles("live_prediction_delay_seconds"), "s"),
            Panel("Mean probability, 7 days", (("{{trial}}", "model_mean_probability"),), "percentunit"),
            Panel("Indeterminate", (("{{trial}}", "model_indeterminate_share"),), "percentunit"),
        ),
    ),
}  # fmt: skip


def render(name: str) -> str:
    """The dashboard of that file name as Grafana's JSON."""
    title, panels = DASHBOARDS[name]
    body: dict[str, Any] = {
        "uid": name,
        "title": title,
        "timezone": "utc",
        "schemaVersion": 41,
        "editable": False,
        "refresh": "30s",
        "time": {"from": "now-24h", "to": "now"},
        "panels": [_panel(number, panel) for number, panel in enumerate(panels)],
    }
    return json.dumps(body, indent=1) + "\n"


def _panel(number: int, panel: Panel) -> dict[str, Any]:
    return {
        "id": number + 1,
        "type": panel.kind,
        "title": panel.title,
        "datasource": {"type": "prometheus", "uid": "prometheus"},
        "gridPos": {
            "x": number * WIDTH % ACROSS,
            "y": number // (ACROSS // WIDTH) * HEIGHT,
            "w": WIDTH,
            "h": HEIGHT,
        },
        "fieldConfig": {"defaults": {"unit": panel.unit}, "overrides": []},
        "targets": [
            {"refId": chr(ord("A") + place), "expr": query, "legendFormat": legend}
            for place, (legend, query) in enumerate(panel.queries)
        ],
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only say what differs")
    check = parser.parse_args().check
    FOLDER.mkdir(parents=True, exist_ok=True)
    differing = [
        name
        for name in DASHBOARDS
        if not (FOLDER / f"{name}.json").exists() or (FOLDER / f"{name}.json").read_text() != render(name)
    ]
    if check and differing:
        print("Out of date: " + ", ".join(differing))
        return 1
    for name in differing:
        (FOLDER / f"{name}.json").write_text(render(name))
    return 0


if __name__ == "__main__":
    sys.exit(main())
