"""What runs by the clock: the beat table. Each row names a job of ``apps.pipelines`` and when it runs (UTC)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from celery.schedules import crontab

#: Queue names; a worker may be given one of them alone in production.
QUEUES = ("default", "pipelines")


@dataclass(frozen=True)
class Row:
    """A job and its hour."""

    name: str
    job: str
    when: crontab
    queue: str
    why: str


SCHEDULE: tuple[Row, ...] = (
    Row(
        "hourly clean",
        "clean",
        crontab(minute="5"),
        "pipelines",
        "five minutes past: bronze's last batch of the hour is claimed",
    ),
    Row(
        "daily features",
        "features",
        crontab(minute="30", hour="0"),
        "pipelines",
        "after midnight UTC, the as-of time of a patient-day",
    ),
    Row(
        "weekly training",
        "train",
        crontab(minute="0", hour="2", day_of_week="mon"),
        "pipelines",
        "Monday 02:00 UTC, as required",
    ),
)


def beat_schedule() -> dict[str, dict[str, Any]]:
    """The table in Celery's form; every row goes through the one task that writes a JobRun."""
    return {
        row.name: {
            "task": "pipelines.run_job",
            "schedule": row.when,
            "kwargs": {"job": row.job},
            "options": {"queue": row.queue},
        }
        for row in SCHEDULE
    }
