"""Every metric, as rows. ``docs/generated/metrics.md`` is printed from them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Kind = Literal["counter", "gauge", "histogram"]
Across = Literal["livesum", "livemax", "liveall", "livemostrecent", "mostrecent"]


@dataclass(frozen=True, slots=True)
class Row:
    """One metric. ``name`` as it is made (a counter is shown with ``_total`` behind it); ``process`` where it arises;
    ``requirement`` that asks for it; ``across`` how gauges of several processes become one; ``source`` = read from the
    platform's state when the page is asked for."""

    name: str
    kind: Kind
    labels: tuple[str, ...]
    help: str
    process: str
    requirement: str = ""
    across: Across = "livemostrecent"
    buckets: tuple[float, ...] = ()
    source: bool = False

    @property
    def shown(self) -> str:
        """The name on the page."""
        return f"{self.name}_total" if self.kind == "counter" else self.name


_LATENCY = (0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1, 2.5, 5, 10)
_DELAY = (0.25, 0.5, 1, 2, 5, 10, 30, 60, 90, 120, 300)
_BATCH = (0.1, 0.5, 1, 2, 5, 10, 20, 30, 45, 60, 120)
_JOB = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600)


def _state(name: str, labels: tuple[str, ...], help_: str, requirement: str = "") -> Row:
    return Row(name, "gauge", labels, help_, "portal, API", requirement, source=True)


_ROWS: tuple[Row, ...] = (
    # --- predictions
    Row(
        "prediction_latency",
        "histogram",
        ("source",),
        "Seconds from the question to the stored answer.",
        "API",
        "FR-7.1, FR-8.1",
        buckets=_LATENCY,
    ),
    Row("prediction_count", "counter", ("source", "level"), "Predictions stored.", "API, live loop", "FR-7.1"),
    Row(
        "prediction_errors", "counter", ("code",), "Questions that were not answered, by HTTP status.", "API", "FR-8.1"
    ),
    Row(
        "error_rate",
        "gauge",
        (),
        "Share of the last 1,000 questions of a process that met a fault of ours (5xx); the worst process.",
        "API",
        "FR-7.1, FR-8.4",
        across="livemax",
    ),
    Row(
        "live_prediction_delay_seconds",
        "histogram",
        (),
        "From the record's timestamp of the first event that asked for a score to the stored prediction.",
        "live loop",
        "FR-8.1",
        buckets=_DELAY,
    ),
    Row("live_predictions", "counter", (), "Predictions of the live loop.", "live loop"),
    Row(
        "live_loop_lag",
        "gauge",
        (),
        "Messages on the broker that the live loop has not read yet.",
        "live loop",
        "FR-8.4",
    ),
    # --- ingestion
    Row("ingestion_messages", "counter", ("topic",), "Messages read from Kafka.", "bronze consumer", "FR-1.2"),
    Row(
        "ingestion_refused",
        "counter",
        ("topic", "rule"),
        "Messages refused, by the first rule they broke.",
        "bronze consumer",
        "FR-1.3",
    ),
    Row("ingestion_batches", "counter", ("topic",), "Batches claimed in bronze.", "bronze consumer", "FR-1.2"),
    Row(
        "ingestion_adopted",
        "counter",
        ("topic",),
        "Claims of another writer that were adopted.",
        "bronze consumer",
        "FR-1.2",
    ),
    Row(
        "ingestion_epochs_opened",
        "counter",
        ("topic",),
        "Topics made anew: each one is an alarm.",
        "bronze consumer",
        "FR-1.2",
    ),
    Row(
        "ingestion_consumer_lag",
        "gauge",
        ("topic", "partition"),
        "Messages on the broker that are not claimed yet.",
        "bronze consumer",
        "FR-8.4",
    ),
    Row(
        "ingestion_batch_age_seconds",
        "histogram",
        (),
        "From a batch's first message read to its claim.",
        "bronze consumer",
        "FR-1.2",
        buckets=_BATCH,
    ),
    # --- processing
    Row(
        "data_records_processed",
        "counter",
        ("layer", "topic"),
        "Records a layer took in (bronze: claimed; silver: cleaned; features: rows), each once: a day that "
        "late data opens again adds what is new.",
        "bronze consumer, worker",
        "FR-2",
    ),
    Row(
        "data_invalid_records",
        "counter",
        ("topic", "trial", "site", "rule"),
        "Records that broke a rule: dead letters (bronze) and quarantine (silver).",
        "bronze consumer, worker",
        "FR-2.2",
    ),
    Row(
        "data_duplicates_removed",
        "counter",
        ("topic", "trial", "site"),
        "Records that repeated one already known.",
        "worker",
        "FR-2.1",
    ),
    Row(
        "spark_job_duration_seconds",
        "histogram",
        ("job",),
        "Seconds a Spark job took, whether it succeeded or not.",
        "worker",
        "FR-2",
        buckets=_JOB,
    ),
    Row(
        "spark_jobs",
        "counter",
        ("job", "outcome"),
        "Spark jobs ended, by outcome (succeeded, failed).",
        "worker",
        "FR-8.4",
    ),
    Row(
        "data_quality_score",
        "gauge",
        ("trial", "site"),
        "Share of a site's messages, of the days the last cleaning wrote, that were neither "
        "quarantined nor flagged as implausible.",
        "worker",
        "FR-2",
        across="mostrecent",
    ),
    # --- processes
    Row("component_up", "gauge", ("component",), "1 for each process that runs.", "all", "FR-8.1", across="liveall"),
    Row(
        "component_memory_bytes",
        "gauge",
        ("component",),
        "Resident memory of a component's processes and their children.",
        "all",
        "FR-8.1",
        source=True,
    ),
    Row(
        "component_cpu_seconds",
        "gauge",
        ("component",),
        "Processor time of a component's processes that run now.",
        "all",
        "FR-8.1",
        source=True,
    ),
    Row(
        "metrics_source_up",
        "gauge",
        ("source",),
        "Whether a part of the platform's state could be read for this page.",
        "portal, API",
        source=True,
    ),
    # --- the platform's state
    _state(
        "model_auroc",
        ("trial", "model_version"),
        "AUROC on the labels that matured in the last 7 days; absent where there were too few events.",
        "FR-8.1, FR-9.1",
    ),
    _state(
        "model_calibration_error",
        ("trial", "model_version"),
        "Calibration error (ten bins of equal mass) on the same labels.",
        "FR-8.1",
    ),
    _state("model_brier_score", ("trial", "model_version"), "Brier score on the same labels.", "FR-8.1"),
    _state("model_precision", ("trial", "model_version"), "Precision at a probability of 0.5.", "FR-8.1"),
    _state("model_recall", ("trial", "model_version"), "Recall at a probability of 0.5.", "FR-8.1"),
    _state("model_f1", ("trial", "model_version"), "F1 at a probability of 0.5.", "FR-8.1"),
    _state(
        "model_labels", ("trial", "model_version"), "Patient-days whose labels matured in the last 7 days.", "FR-8.1"
    ),
    _state("model_label_events", ("trial", "model_version"), "Those of them that had an event.", "FR-8.1"),
    _state(
        "model_indeterminate_share",
        ("trial", "model_version"),
        "Share of the last 7 days' patient-days without a probability.",
        "FR-8.2",
    ),
    _state(
        "model_mean_probability",
        ("trial", "model_version"),
        "Mean probability of the last 7 days' patient-days.",
        "FR-8.2",
    ),
    _state(
        "feature_drift_ks",
        ("trial", "feature"),
        "Kolmogorov-Smirnov distance of recent values to the training sample, where judged.",
        "FR-8.3",
    ),
    _state("feature_missing_share", ("trial", "feature"), "Share of recent vectors without a value.", "FR-8.3"),
    _state(
        "feature_outside_range_share",
        ("trial", "feature"),
        "Share of recent values outside the range of training.",
        "FR-8.3",
    ),
    _state("features_drifted", ("trial",), "Continuous features with a distance above 0.2.", "FR-8.3, FR-8.4"),
    _state(
        "monitoring_trigger_firing",
        ("trial", "trigger", "severity"),
        "1 while the last check's trigger fires.",
        "FR-8.4",
    ),
    _state(
        "monitoring_last_check_timestamp_seconds",
        ("trial",),
        "When the trial was last checked, seconds since 1970.",
        "FR-9.1",
    ),
    _state(
        "data_last_record_timestamp_seconds",
        ("group", "topic"),
        "Newest record a consumer has read, seconds since 1970.",
        "FR-8.1",
    ),
    _state("consumer_lag", ("group", "topic"), "Messages on the broker beyond a consumer.", "FR-8.4"),
    _state("job_runs_active", ("job",), "Runs that wait or run.", "FR-8.1"),
    _state("job_runs_failed_24h", ("job",), "Runs that failed in the last 24 hours.", "FR-8.4"),
)
METRICS: dict[str, Row] = {row.name: row for row in _ROWS}
ALIASES = frozenset({"prediction_count"})
"""Counters also shown without ``_total``, since a requirement names them so."""

#: Families that libraries show by themselves: how their names begin, and who makes them.
LIBRARIES: tuple[tuple[str, str], ...] = (
    ("django_", "django-prometheus: requests and answers of the portal by view, method and status"),
    ("python_", "prometheus-client: the interpreter, in a process that shows itself alone"),
    ("process_", "prometheus-client: one process's memory, time and files, in a process that shows itself alone"),
)


def undeclared(names: Iterable[str]) -> list[str]:
    """Those of the family names on a page (without endings such as ``_bucket``) that no row and no library declares."""
    known = {row.shown for row in _ROWS} | {row.name for row in _ROWS} | ALIASES
    return sorted({name for name in names if name not in known and not name.startswith(tuple(p for p, _ in LIBRARIES))})


def render() -> str:
    """The table as a page."""
    lines = [
        "# Metrics",
        "",
        "Shown at `/metrics` of the portal and of the prediction API, and at `METRICS_PORT` of the other processes, in",
        "Prometheus' text format. No label names a patient or a treatment arm. The page asks for no sign-in: it belongs into",
        "the operators' network, and a front door must not lead there from outside.",
        "",
        "With `PROMETHEUS_MULTIPROC_DIR` shared, as in `make run`, one page shows the sums of all processes; without it each",
        "process shows its own. *State* is read from the database when the page is asked for: take the maximum over the",
        "processes that show it, not the sum. A histogram is shown as `_bucket`, `_sum` and `_count`.",
        "",
        "| name | type | labels | meaning | arises in | requirement |",
        "|---|---|---|---|---|---|",
    ]
    for row in _ROWS:
        labels = ", ".join(f"`{label}`" for label in row.labels)
        kind = f"{row.kind}, state" if row.source and row.process != "all" else row.kind
        also = f" Also as `{row.name}`." if row.name in ALIASES else ""
        lines.append(f"| `{row.shown}` | {kind} | {labels} | {row.help}{also} | {row.process} | {row.requirement} |")
    lines += ["", "Libraries show, besides:", "", *(f"- `{prefix}…`: {words}." for prefix, words in LIBRARIES)]
    return "\n".join(lines)
