"""A broker that keeps everything in memory is killed and comes back: a new epoch, nothing claimed is lost or doubled."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator

import pytest

from apps.ingestion.bronze_consumer import BronzeConsumer, Limits, OffsetsLost
from apps.ingestion.producer import Acknowledged, EventProducer
from apps.ingestion.topics import ensure_topics
from clinical_portal.servers.stack import Stack
from ml.contracts import TOPICS
from ml.lake import Lake
from ml.lake.bronze import read_claimed
from ml.lake.claims import Chain, genesis
from ml.lake.epochs import epochs
from ml.lake.verify import verify
from tests.servers import TestServers
from tests.support.events import vitals


@pytest.fixture
def stack(servers: TestServers) -> Iterator[Stack]:
    """A stack of the test's own, for a broker that may be lost."""
    folder = servers.folder / f"lost-{uuid.uuid4().hex[:8]}"
    made = Stack(folder, durable=False)
    yield made
    made.stop()
    shutil.rmtree(folder, ignore_errors=True)


def until(done: Callable[[], bool], seconds: float = 40.0) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, "it did not come about in time"
        time.sleep(0.1)


def free(host: str, port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((host, port)) != 0


def held(lake: Lake) -> dict[int, int]:
    """Epoch → good messages in bronze."""
    found: dict[int, int] = {}
    for batch in read_claimed(lake, "patient-vitals"):
        found[batch.epoch] = found.get(batch.epoch, 0) + batch.claim.count
    return found


def test_a_lost_broker_opens_an_epoch_and_the_producer_goes_on(stack: Stack, lake: str) -> None:
    address = stack.ensure("broker")["KAFKA_BOOTSTRAP_SERVERS"]
    ensure_topics([address])
    store = Lake.from_url(lake)
    opened: list[tuple[str, int]] = []
    stop = threading.Event()
    consumer = BronzeConsumer(
        lake=store,
        servers=[address],
        group_id="lost",
        default_trial="DEMO",
        limits=Limits(records=100, seconds=0.5, check_seconds=0.2),
        on_epoch=lambda topic, _, number: opened.append((topic, number)),
    )
    running = threading.Thread(target=consumer.run, args=(stop.is_set,))
    running.start()
    ledger: list[Acknowledged] = []
    producer = EventProducer([address], producer="device", ledger=ledger.append, stall_seconds=3)
    try:
        for number in range(500):
            producer.send("patient-vitals", f"DEMO/P{number % 7}", vitals(f"P{number % 7}", number))
        producer.flush()
        until(lambda: held(store) == {0: 500})

        os.kill(stack.running()["broker"].pid, signal.SIGKILL)
        host, _, port = address.rpartition(":")
        until(lambda: free(host, int(port)))
        again = stack.ensure("broker")["KAFKA_BOOTSTRAP_SERVERS"]
        if again != address:
            pytest.skip("another program took the broker's port meanwhile")
        until(lambda: len(opened) == len(TOPICS))
        for number in range(300):
            producer.send("patient-vitals", f"DEMO/P{number % 7}", vitals(f"P{number % 7}", 600 + number))
        producer.flush(timeout=60)
        until(lambda: held(store).get(1, 0) >= 300)
    finally:
        stop.set()
        running.join(timeout=30)
        producer.abandon()
    assert sorted(opened) == sorted((topic, 1) for topic in TOPICS)
    assert sorted(epochs(store, "patient-vitals").values()) == [0, 1]
    assert held(store)[0] == 500
    assert held(store)[1] == len(ledger) - 500
    assert all(verify(store, topic).problems == () for topic in TOPICS)


def test_offsets_that_retention_took_stop_the_consumer(
    fresh_broker: list[str], lake: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    states = ensure_topics(fresh_broker)
    store = Lake.from_url(lake)
    genesis(store, Chain("patient-vitals", states["patient-vitals"].topic_id, 0), 0)
    from kafka import KafkaConsumer

    beginning = KafkaConsumer.beginning_offsets
    monkeypatch.setattr(
        KafkaConsumer, "beginning_offsets", lambda self, wanted: {**beginning(self, wanted), wanted[-4]: 17}
    )
    consumer = BronzeConsumer(lake=store, servers=fresh_broker, group_id="g", default_trial="DEMO")
    with pytest.raises(OffsetsLost, match="expects offset 0 of patient-vitals partition 0"):
        consumer.run(lambda: False)
