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
        "monitoring",
        "monitor",
        crontab(minute="50", hour="*/6"),
        "pipelines",
        "every six hours, as required; after the hour's cleaning and the day's features",
    ),
    Row(
        "quality check",
        "quality",
        crontab(minute="20", hour="*/4"),
        "pipelines",
        "every four hours, as required; a quarter of an hour after the hourly clean began",
    ),
    Row(
        "weekly training",
        "train",
        crontab(minute="0", hour="2", day_of_week="mon"),
        "pipelines",
        "Monday 02:00 UTC, as required",
    ),
)


@dataclass(frozen=True)
class Chore:
    """Small upkeep that nobody follows on a page: a task of its own, no JobRun. ``when`` is an hour or seconds between."""

    name: str
    task: str
    when: crontab | float
    arguments: dict[str, Any]
    why: str


CHORES: tuple[Chore, ...] = (
    Chore("seal the audit trail", "audit.sequence", 10.0, {}, "an event is not sealed for seconds, not hours"),
    Chore(
        "seal what came late",
        "audit.sequence",
        crontab(minute="15", hour="3"),
        {"everything": True},
        "once a day, all of it",
    ),
    Chore(
        "verify the audit trail",
        "audit.verify",
        crontab(minute="40", hour="3"),
        {},
        "nightly: records, places, roots, anchors, and rows against their last image",
    ),
    Chore(
        "compare MLflow's alias",
        "registry.check_mirror",
        crontab(minute="*/10"),
        {},
        "a mirror that differs is an alarm",
    ),
    Chore(
        "take sent files away",
        "ingestion.sweep_uploads",
        crontab(minute="25"),
        {},
        "files sent for an import that nobody came back for are kept a day",
    ),
)


def beat_schedule() -> dict[str, dict[str, Any]]:
    """The tables in Celery's form; every job goes through the one task that writes a JobRun."""
    jobs: dict[str, dict[str, Any]] = {
        row.name: {
            "task": "pipelines.run_job",
            "schedule": row.when,
            "kwargs": {"job": row.job},
            "options": {"queue": row.queue},
        }
        for row in SCHEDULE
    }
    chores: dict[str, dict[str, Any]] = {
        row.name: {"task": row.task, "schedule": row.when, "kwargs": row.arguments, "options": {"queue": "default"}}
        for row in CHORES
    }
    return jobs | chores
