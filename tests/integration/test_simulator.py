"""Simulated patients through the real broker: history as backfill, live after it, a restart in between."""

from __future__ import annotations

import threading
import time
from collections import Counter
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from kafka import KafkaConsumer, TopicPartition

from apps.core import clock
from apps.ingestion import simulate
from apps.ingestion.topics import ensure_topics
from ml.contracts import TOPICS
from ml.simulation import Simulator

NOW = 1_785_225_600 + 5 * 3600


def everything(servers: list[str]) -> list[Any]:
    consumer = KafkaConsumer(bootstrap_servers=servers, auto_offset_reset="earliest", consumer_timeout_ms=1500)
    consumer.assign([TopicPartition(t, p) for t in TOPICS for p in sorted(consumer.partitions_for_topic(t) or ())])
    records = list(consumer)
    consumer.close()
    return records


@pytest.fixture
def demo(fresh_broker: list[str], settings: Any, tmp_path: Path) -> list[str]:
    settings.KAFKA_BOOTSTRAP_SERVERS = fresh_broker
    settings.VAR_DIR = tmp_path
    ensure_topics(fresh_broker)
    return fresh_broker


def test_history_then_live_then_a_restart_lose_nothing_and_begin_no_second_history(
    demo: list[str], settings: Any
) -> None:
    with clock.fixed(datetime.fromtimestamp(NOW, UTC)):
        out = StringIO()
        call_command("simulate", patients=20, days=8, seed=5, stdout=out)
        assert "true hazard, hourly" in out.getvalue()
        with pytest.raises(CommandError, match="has begun already"):
            call_command("simulate", patients=21, days=8, seed=5, stdout=StringIO())
    state = simulate.remembered()
    assert state is not None
    assert state.position == NOW
    config = state.config
    records = everything(demo)
    due = list(Simulator(config).messages(config.origin, NOW))
    assert Counter((r.topic, r.value) for r in records) == Counter((m.topic, m.value) for m in due)
    assert {dict(r.headers)["producer"] for r in records} == {b"simulator-history"}

    # The portal comes up nine minutes later; time runs sixty times as fast for the test.
    began = time.monotonic()
    with clock.source(lambda: datetime.fromtimestamp(NOW + 540 + 60 * (time.monotonic() - began), UTC)):
        stop = threading.Event()
        threading.Timer(5, stop.set).start()
        state = simulate.run_live(state, stop)
        ended = int(clock.now().timestamp())
    assert NOW + 540 + 200 < state.position <= ended + 1
    kept = simulate.remembered()
    assert kept == state
    later = everything(demo)
    due = list(Simulator(state.config).messages(state.config.origin, state.position))
    sent = {(r.topic, r.value) for r in later}
    assert {(m.topic, m.value) for m in due} <= sent
    live = [r for r in later if dict(r.headers)["producer"] == b"simulator-live"]
    assert live
    assert {(m.topic, m.value) for m in Simulator(state.config).messages(config.origin, ended + 5)} >= sent


def test_a_rate_sets_the_pace_and_the_cadence(demo: list[str]) -> None:
    with clock.fixed(datetime.fromtimestamp(NOW, UTC)):
        state = simulate.begin(patients=20, days=8, seed=5)
    faster = simulate.live_config(state.config, NOW, NOW, rate=10.0)
    assert faster.live_cadence_seconds == 2
    count = sum(1 for _ in Simulator(faster).messages(NOW + 600, NOW + 660))
    assert 500 < count < 900
    assert simulate.live_config(state.config, NOW, NOW, rate=0.0).live_cadence_seconds is None
