"""The beat table."""

from __future__ import annotations

from celery import current_app

from apps.audit import tasks as audit_tasks  # noqa: F401 - registers its tasks
from apps.ingestion import tasks as ingestion_tasks  # noqa: F401
from apps.registry import tasks as registry_tasks  # noqa: F401
from clinical_portal.schedule import CHORES, QUEUES, SCHEDULE, beat_schedule


def test_the_required_hours() -> None:
    rows = {row.job: row.when for row in SCHEDULE}
    assert rows["clean"].hour == set(range(24)), "clean runs every hour"
    assert len(rows["clean"].minute) == 1
    assert len(rows["features"].hour) == 1, "features once a day"
    assert rows["quality"].hour == {0, 4, 8, 12, 16, 20}, "quality checks every four hours"
    assert len(rows["quality"].minute) == 1
    train = rows["train"]
    assert (train.day_of_week, train.hour, train.minute) == ({1}, {2}, {0}), "training on Monday at 02:00 UTC"


def test_every_row_goes_through_the_task_that_writes_a_job_run() -> None:
    entries = beat_schedule()
    assert len(entries) == len(SCHEDULE) + len(CHORES)
    for row in SCHEDULE:
        assert entries[row.name]["options"]["queue"] in QUEUES
        assert entries[row.name]["kwargs"]["job"]


def test_every_chore_names_a_task_that_exists() -> None:
    for row in CHORES:
        assert row.task in current_app.tasks
