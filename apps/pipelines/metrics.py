"""What operators watch of the jobs; names, labels and help are rows of ``core.metric_table``."""

from __future__ import annotations

from apps.core.metrics import counter, histogram

SPARK_SECONDS = histogram("spark_job_duration_seconds")
SPARK_JOBS = counter("spark_jobs")


def spark_job_ended(job: str, seconds: float, *, succeeded: bool) -> None:
    """Count a Spark job and its time."""
    SPARK_SECONDS.labels(job=job).observe(seconds)
    SPARK_JOBS.labels(job=job, outcome="succeeded" if succeeded else "failed").inc()
