"""Whoever waits for bronze need not wait for its thirty seconds."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection

from apps.ingestion import hurry
from apps.ingestion.producer import EventProducer
from apps.ingestion.topics import ensure_topics
from apps.ingestion.window import window_store
from clinical_portal.env import BASE_DIR
from ml.lake import Lake
from ml.lake.claims import Chain, last_claim
from tests.support.events import vitals


@pytest.fixture
def asking(valkey: Any) -> Iterator[None]:
    window_store.cache_clear()
    yield
    window_store.cache_clear()


def test_asking_holds_for_a_few_seconds(asking: None) -> None:
    assert not hurry.asked()
    hurry.ask()
    assert hurry.asked()
    assert 0 < window_store().client.ttl(hurry.KEY) <= hurry.SECONDS


def test_without_valkey_nobody_is_asked_and_nothing_breaks(settings: Any) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    window_store.cache_clear()
    hurry.ask()
    assert not hurry.asked()
    window_store.cache_clear()


@pytest.mark.django_db(transaction=True)
def test_bronze_writes_at_once_when_asked(asking: None, fresh_broker: list[str], lake: str) -> None:
    states = ensure_topics(fresh_broker)
    database = connection.settings_dict
    url = "postgresql://{USER}:{PASSWORD}@{HOST}:{PORT}/{NAME}".format(**database)
    given = {"KAFKA_BOOTSTRAP_SERVERS": ",".join(fresh_broker), "LAKE_URL": lake, "DATABASE_URL": url}
    bronze = subprocess.Popen(
        [sys.executable, str(BASE_DIR / "manage.py"), "run_bronze", "--seconds", "600"], env={**os.environ, **given}
    )
    try:
        with EventProducer(fresh_broker, producer="device") as producer:
            producer.send("patient-vitals", "DEMO/P1", vitals("P1"))
        chains = [Chain("patient-vitals", states["patient-vitals"].topic_id, number) for number in range(4)]
        end = time.monotonic() + 40
        while not any(last_claim(Lake.from_url(lake), chain) for chain in chains):
            assert time.monotonic() < end, "nothing was written"
            hurry.ask()
            time.sleep(0.3)
    finally:
        bronze.send_signal(signal.SIGTERM)
        bronze.wait(timeout=30)
