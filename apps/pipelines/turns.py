"""Jobs that write the lake take turns: two cleanings at once would each write the state of its own work."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection

from apps.pipelines.jobs import Job
from apps.pipelines.runner import Progress

TURN = "pipelines: writes the lake"
PAUSE_SECONDS = 2.0


def writes_lake(job: Job) -> bool:
    """Whether the job starts programs that write silver, features or models."""
    return any(step.module for step in job.steps)


@contextmanager
def turn(job: Job, progress: Progress) -> Iterator[None]:
    """Inside the block no other such job runs; until then the run says that it waits.

    The lock is the database session's, so it ends with a worker that is killed.
    """
    if not writes_lake(job):
        yield
        return
    while not _ask("pg_try_advisory_lock"):
        progress.step("Waiting for another job that writes the lake", 0)
        time.sleep(PAUSE_SECONDS)
    try:
        yield
    finally:
        _ask("pg_advisory_unlock")


def _ask(function: str) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {function}(hashtext(%s))", [TURN])
        return bool(cursor.fetchone()[0])
