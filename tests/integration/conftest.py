"""What several tests of imports stand on: a broker and a lake of the test's own, and a bronze consumer beside."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ml.lake import Lake


@pytest.fixture
def import_place(
    pg: None, fresh_broker: list[str], lake: str, settings: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Lake:
    """A lake, a broker with its topics, and a folder for what is sent."""
    from apps.ingestion.imports import course
    from apps.ingestion.topics import ensure_topics

    settings.KAFKA_BOOTSTRAP_SERVERS = fresh_broker
    settings.VAR_DIR = tmp_path / "var"
    settings.LAKE_URL = lake
    store = Lake.from_url(lake)
    monkeypatch.setattr(course, "lake", lambda: store)
    ensure_topics(fresh_broker)
    return store


@pytest.fixture
def import_bronze(import_place: Lake, fresh_broker: list[str]) -> Iterator[None]:
    """A bronze consumer that takes what is sent."""
    from apps.ingestion.bronze_consumer import BronzeConsumer, Limits

    stop = threading.Event()
    consumer = BronzeConsumer(
        lake=import_place,
        servers=fresh_broker,
        group_id="import",
        default_trial="DEMO",
        partitions=[0, 1, 2, 3],
        limits=Limits(seconds=0.5),
    )
    thread = threading.Thread(target=consumer.run, args=(stop.is_set,))
    thread.start()
    yield
    stop.set()
    thread.join(20)


@pytest.fixture
def import_worker(monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """Call it to do, here and now, what has been handed to workers; the jobs that are to follow come back by run id."""
    from apps.ingestion import tasks

    waiting: list[tuple[Any, str]] = []
    jobs: list[str] = []
    for work in (tasks.check_import, tasks.run_import):
        monkeypatch.setattr(work, "delay", lambda *, run_id, work=work: waiting.append((work, run_id)))
    monkeypatch.setattr(tasks.pipelines.run, "delay", lambda *, run_id: jobs.append(run_id))

    def work_off() -> list[str]:
        while waiting:
            work, run_id = waiting.pop(0)
            work(run_id=run_id)
        return jobs

    return work_off
