"""Bronze keeps every message once, whatever is done to the process that writes it."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import orjson

from apps.ingestion.producer import Acknowledged, EventProducer
from apps.ingestion.topics import ensure_topics
from ml.contracts import TOPICS
from ml.lake import Lake
from ml.lake.bronze import read_claimed, read_dead
from ml.lake.verify import sweep, verify
from tests.support.events import MALFORMED, lab, medication, vitals

ROOT = Path(__file__).parents[2]
Identity = tuple[str, int, int]


def worker(servers: list[str], lake: str, *more: str) -> subprocess.Popen[bytes]:
    command = [
        sys.executable,
        "-m",
        "tests.support.bronze_worker",
        "--servers",
        ",".join(servers),
        "--lake",
        lake,
        *more,
    ]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def held(lake: Lake) -> tuple[Counter[Identity], dict[Identity, dict[str, object]]]:
    """How often each message lies in bronze, and the dead letters."""
    good: Counter[Identity] = Counter()
    dead: dict[Identity, dict[str, object]] = {}
    for topic in TOPICS:
        for batch in read_claimed(lake, topic):
            for line in batch.lines():
                good[topic, line["partition"], line["offset"]] += 1
            for letter in read_dead(lake, batch.claim):
                place = (topic, letter["partition"], letter["offset"])
                assert place not in dead, "a dead letter lies there twice"
                dead[place] = letter
    return good, dead


def produce(servers: list[str], count: int, malformed: int, ledger: dict[Identity, tuple[bytes | None, str]]) -> None:
    """Send good and broken messages; ``ledger`` tells where each one went, its bytes and the rule that must refuse it."""
    chance = random.Random(7)
    kinds = list(MALFORMED.values())
    broken = set(chance.sample(range(count), malformed))
    rules: dict[bytes | None, str] = {}

    def note(ack: Acknowledged) -> None:
        ledger[ack.topic, ack.partition, ack.offset] = (ack.value, rules.get(ack.value, ""))

    with EventProducer(servers, producer="device", ledger=note) as producer:
        for number in range(count):
            patient = f"P{number % 300:03d}"
            if number in broken:
                rule, make = kinds[number % len(kinds)]
                raw = make(patient)
                rules[raw] = rule
                producer.send("patient-vitals", f"DEMO/{patient}", raw)
                continue
            make_event = chance.choices((vitals, lab, medication), (90, 5, 5))[0]
            topic = {vitals: "patient-vitals", lab: "lab-results", medication: "medications"}[make_event]
            producer.send(topic, f"DEMO/{patient}", orjson.dumps(make_event(patient, number, record_id=f"r{number}")))


def test_ten_kills_lose_and_double_nothing(fresh_broker: list[str], lake: str) -> None:
    ensure_topics(fresh_broker)
    ledger: dict[Identity, tuple[bytes | None, str]] = {}
    sending = threading.Thread(target=produce, args=(fresh_broker, 100_000, 1_000, ledger))
    sending.start()
    chance = random.Random(1)
    deaths: Counter[str] = Counter()
    plan = ["written:6", "claimed:9", "", "written:15", "claimed:12", "committed:4", "", "written:3", "claimed:5", ""]
    for kill in plan:
        process = worker(fresh_broker, lake, *(["--kill", kill] if kill else []))
        if not kill:
            time.sleep(1.2 + chance.random())
            process.send_signal(signal.SIGKILL)
        assert process.wait(timeout=60) == -signal.SIGKILL
        deaths[kill.partition(":")[0] or "anywhere"] += 1
    sending.join()
    assert worker(fresh_broker, lake, "--drain").wait(timeout=120) == 0

    store = Lake.from_url(lake)
    for topic in TOPICS:
        assert verify(store, topic).problems == ()
    good, dead = held(store)
    assert sum(deaths.values()) == 10
    assert deaths["written"] + deaths["claimed"] >= 6
    assert max(good.values()) == 1
    assert good.keys() | dead.keys() == ledger.keys()
    assert not good.keys() & dead.keys()
    assert len(ledger) == 100_000

    assert len(dead) == 1_000
    for place, letter in dead.items():
        raw, rule = ledger[place]
        assert letter["raw"] == raw
        reasons = letter["reasons"]
        assert isinstance(reasons, list)
        assert rule in {reason["rule"] for reason in reasons}
        assert all(reason["message"] for reason in reasons)
    assert len({orjson.dumps([r["rule"] + r["path"] for r in letter["reasons"]]) for letter in dead.values()}) >= 12

    for topic in TOPICS:
        sweep(store, topic)
        named = {name for batch in read_claimed(store, topic) for name in (batch.claim.object, batch.claim.dead_object)}
        there = {info.path for prefix in ("raw", "dead") for info in store.list(f"{prefix}/{topic}/")}
        assert there == named - {None}, "what a killed writer left is swept, what is claimed stays"


def test_a_writer_that_sleeps_and_wakes_doubles_nothing(fresh_broker: list[str], lake: str) -> None:
    ensure_topics(fresh_broker)
    ledger: dict[Identity, tuple[bytes | None, str]] = {}
    produce(fresh_broker, 6_000, 30, ledger)
    sleeper = worker(fresh_broker, lake, "--records", "100")
    store = Lake.from_url(lake)
    end = time.monotonic() + 30
    while not any(True for _ in store.list("claims/patient-vitals/")) and time.monotonic() < end:
        time.sleep(0.005)
    os.kill(sleeper.pid, signal.SIGSTOP)
    produce(fresh_broker, 4_000, 30, ledger)
    assert worker(fresh_broker, lake, "--drain", "--records", "150").wait(timeout=60) == 0
    produce(fresh_broker, 2_000, 0, ledger)
    os.kill(sleeper.pid, signal.SIGCONT)
    time.sleep(2.0)
    sleeper.send_signal(signal.SIGTERM)
    assert sleeper.wait(timeout=30) == 0
    assert worker(fresh_broker, lake, "--drain").wait(timeout=60) == 0

    for topic in TOPICS:
        assert verify(store, topic).problems == ()
    good, dead = held(store)
    assert max(good.values()) == 1
    assert good.keys() | dead.keys() == ledger.keys()
    assert len(ledger) == 12_000
