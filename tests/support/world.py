"""A small world for the proofs: a simulated trial walked from its first message to predictions made under load.

Everything is real and small: a Kafka-protocol broker, a lake, PostgreSQL, Valkey, Spark, training, two signatures, the
live loop and the API. It has servers, a database and a clock of its own, so that no other test empties what it rests on.
The clock stands still and is moved by hand; what is simulated follows from `config` alone.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
from django.contrib.contenttypes.models import ContentType
from django.core.management import call_command
from django.db import connection, connections
from django.test import Client, override_settings

from apps.accounts import demo as demo_people
from apps.audit.actors import Actor
from apps.core.lake import lake as the_lake
from apps.ingestion.applier import Applier
from apps.ingestion.bronze_consumer import BronzeConsumer, Limits
from apps.ingestion.live_reader import LiveReader
from apps.ingestion.producer import Acknowledged, EventProducer
from apps.ingestion.rebuild import rebuild
from apps.ingestion.topics import ensure_topics
from apps.ingestion.window import window_store
from apps.patients import services as patients
from apps.patients.models import Trial
from apps.pipelines import jobs
from apps.pipelines import services as pipelines
from apps.pipelines.execution import execute
from apps.pipelines.models import JobRun
from apps.predictions import serving
from apps.predictions.live import LiveLoop
from apps.predictions.online import gatherer
from apps.registry import demo
from apps.registry.models import ModelVersion
from clinical_portal.env import BASE_DIR
from clinical_portal.servers.stack import Stack
from ml.profile import StudyProfile
from ml.simulation import Rates, SimulationConfig, Simulator
from ml.simulation.config import DAY, HOUR
from ml.simulation.demo import demo_profile
from ml.simulation.truth import hazard_table
from ml.splits import TEST, VALIDATION, split_by_patient
from tests.support.standing import StandingClock, standing

TRIAL = "DEMO"
BY = Actor.process("demo")
ORIGIN = 1_772_323_200  # 2026-03-01T00:00:00Z
PATIENTS, DAYS = 40, 21
RATES = Rates(
    late=0.03, correction=0.02, retraction=0.01, duplicate=0.02, unit_variant=0.02, malformed=0.002, missing_sign=0.02
)
SEEDS = (71, 63, *range(1, 200))
FEWEST_EVENTS = 12
"""Half-days with an event ahead that validation and test patients must each have, so that training has enough to learn from."""
HISTORY_ENDS = ORIGIN + DAYS * DAY + 9 * HOUR
LIVE_STEP, LIVE_STEPS = 15 * 60, 16
BURSTS, BURST_SECONDS = 4, 5
EPOCHS = 3


@cache
def config() -> SimulationConfig:
    """The simulation: of the first seed that gives a trial this small enough events in every part of the split."""
    for seed in SEEDS:
        made = SimulationConfig(
            origin=ORIGIN, seed=seed, patients=PATIENTS, sites=3, days=DAYS, vitals_cadence_seconds=1800, rates=RATES
        )
        truth = hazard_table(made, ORIGIN + DAY, ORIGIN + 17 * DAY, step_seconds=DAY // 2)
        row, event = np.asarray(truth["patient"].combine_chunks().indices), np.asarray(truth["event_24h"])
        names = truth["patient"].combine_chunks().dictionary.to_pylist()
        part = split_by_patient(row, names, event.astype(np.int8), seed=1)
        if min(event[part == one].sum() for one in (VALIDATION, TEST)) >= FEWEST_EVENTS:
            return made
    raise AssertionError("The simulation has changed: no seed gives this small a trial enough events.")


@dataclass
class World:
    """What was built, and where."""

    folder: Path
    database: str
    servers: list[str]
    redis_url: str
    clock: StandingClock
    environment: dict[str, str]
    sent: dict[str, int] = field(default_factory=dict)
    api_answers: list[dict[str, Any]] = field(default_factory=list)
    ledger: list[Acknowledged] = field(default_factory=list)
    loop: LiveLoop | None = None

    @property
    def lake_folder(self) -> Path:
        return self.folder / "lake"

    @property
    def bronze_copy(self) -> Path:
        """A lake with bronze alone, as it was when silver was made."""
        return self.folder / "again"

    def settings(self) -> dict[str, Any]:
        layer = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
        return {
            "VAR_DIR": self.folder,
            "LAKE_URL": self.lake_folder.as_uri(),
            "REDIS_URL": self.redis_url,
            "KAFKA_BOOTSTRAP_SERVERS": self.servers,
            "MLFLOW_TRACKING_URI": f"sqlite:///{self.folder}/mlflow.db",
            "SPARK_MASTER_URL": "local[2]",
            "CHANNEL_LAYERS": layer,
            "CACHES": {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}},
        }

    # --- doing things in it ------------------------------------------------------------------------------------------

    def send(self, producer: str, first: int, last: int) -> int:
        """Send what the simulation knows in [first, last), each record at the time it became known; how many."""
        count = 0
        with EventProducer(self.servers, producer=producer, ledger=self.ledger.append) as out:
            for message in Simulator(config()).messages(first, last):
                out.send(message.topic, message.key, message.value, timestamp_ms=message.known_at * 1000)
                count += 1
        self.sent[producer] = self.sent.get(producer, 0) + count
        return count

    def measure(self, patient_id: str, *, correlation_id: str, **signs: Any) -> Acknowledged:
        """One live reading of a patient, now; where the broker put it."""
        where: list[Acknowledged] = []
        value = {
            "trial_id": TRIAL, "patient_id": patient_id, "timestamp": self.clock.now.isoformat().replace("+00:00", "Z"),
            "source": "bedside", "heart_rate": 88, "blood_pressure_systolic": 124, "blood_pressure_diastolic": 77,
            "temperature": 36.9, "spo2": 96, "respiratory_rate": 16, **signs,
        }  # fmt: skip
        with EventProducer(self.servers, producer="device", ledger=where.append) as out:
            moment = int(self.clock.moment * 1000)
            out.send(
                "patient-vitals", f"{TRIAL}/{patient_id}", value, correlation_id=correlation_id, timestamp_ms=moment
            )
        self.ledger += where
        return where[0]

    @contextmanager
    def listening(self) -> Iterator[LiveLoop]:
        """A live loop that reads on where the last one stopped; ``turns`` lets it work. What it saw ends in bronze."""
        reader = LiveReader(lake=the_lake(), servers=self.servers, group_id="live-world", check_seconds=0.2)
        self.loop = LiveLoop(reader=reader, store=window_store(), default_trial=TRIAL)
        try:
            self.loop.begin()
            yield self.loop
        finally:
            reader.close()
            self.loop = None
            self.bronze()

    def turns(self) -> None:
        """Let the live loop work until it has read everything and scored everybody who was due."""
        loop = self.loop
        assert loop is not None
        quiet = 0
        while quiet < 2:
            before = loop._predicted
            loop.turn()
            busy = sum(loop.reader.lags().values()) or loop.applier.pending or loop._predicted != before
            quiet = 0 if busy else quiet + 1

    def bronze(self) -> None:
        """Carry everything on the broker into bronze."""
        BronzeConsumer(
            lake=the_lake(), servers=self.servers, group_id="world", default_trial=TRIAL, limits=Limits(records=2000)
        ).run(lambda: False, drain=True)

    def job(self, name: str, **arguments: Any) -> JobRun:
        """Run a job as a worker would; it must succeed."""
        run = pipelines.request(by=BY, job=name, trial_id=TRIAL, arguments=arguments)
        execute(by=BY, run=run)
        assert run.state == JobRun.State.SUCCEEDED, f"{name}: {run.error}\n{run.log}"
        return run

    def ask(self, patient_id: str, **headers: str) -> dict[str, Any]:
        """One question to the API, in a connection of its own."""
        key = demo_people.Secrets().read()["api_key"]
        body = json.dumps({"patient_id": patient_id, "timestamp": self.clock.now.isoformat()})
        try:
            answer = Client().post(
                "/api/v1/predict",
                body,
                content_type="application/json",
                headers={"Authorization": f"Api-Key {key}", **headers},
            )
            assert answer.status_code == 200, answer.content
            found: dict[str, Any] = answer.json()
            self.api_answers.append(found)
            return found
        finally:
            connections.close_all()


@contextmanager
def inside(world: World) -> Iterator[World]:
    """In the block this process is in the world: its database, servers, settings and clock."""
    default = connections["default"].settings_dict
    name = default["NAME"]
    connections.close_all()
    default["NAME"] = world.database
    try:
        with standing(world.clock), override_settings(**world.settings()):
            _forget()
            yield world
    finally:
        gatherer.stop()
        connections.close_all()
        default["NAME"] = name
        _forget()


def _forget() -> None:
    for cached in (the_lake, window_store):
        cached.cache_clear()
    serving.forget()
    ContentType.objects.clear_cache()  # another database numbers them otherwise


def create_database(name: str) -> None:
    connections.close_all()
    with connections["default"]._nodb_cursor() as cursor:
        cursor.execute(f'CREATE DATABASE "{name}"')


@contextmanager
def built(folder: Path, database_url: str) -> Iterator[World]:
    """Build the world under `folder`; its servers end with the block. `database_url`: that of the tests' server."""
    (folder / "lake").mkdir(parents=True)
    with ExitStack() as later:
        stack = Stack(folder / "servers", durable=False)
        later.callback(stack.stop)
        addresses = stack.ensure("broker", "valkey")
        database = f"world_{folder.name[-8:]}".replace("-", "_").lower()
        create_database(database)
        servers = [addresses["KAFKA_BOOTSTRAP_SERVERS"]]
        environment = {
            **addresses, "DATABASE_URL": f"{database_url.rpartition('/')[0]}/{database}",
            "LAKE_URL": (folder / "lake").as_uri(), "VAR_DIR": str(folder), "DEPLOYMENT": "test",
        }  # fmt: skip
        world = World(folder, database, servers, addresses["REDIS_URL"], StandingClock(HISTORY_ENDS), environment)
        with inside(world):
            call_command("migrate", verbosity=0)
            ContentType.objects.clear_cache()
            _history(world)
            _model(world)
            _live(world)
        yield world


def _history(world: World) -> None:
    """Three weeks of a trial as backfill, into bronze and silver."""
    trial = demo.seed(by=BY)
    patients.publish_profile(by=BY, profile=world_profile(trial), reason="Every event is scored at once.")
    ensure_topics(world.servers)
    world.send("simulator-history", ORIGIN, HISTORY_ENDS)
    world.bronze()
    for name in ("raw", "claims", "epochs"):
        shutil.copytree(world.lake_folder / name, world.bronze_copy / name)


def world_profile(trial: Trial) -> StudyProfile:
    """The demo's profile with nobody waiting for a cadence, so that a few seconds give hundreds of predictions."""
    return replace(demo_profile(trial.pk), version=2, cadence_seconds=0)


def _model(world: World) -> None:
    """Silver, features, labels, a model of a few epochs, two signatures, windows, and the past days' predictions."""
    world.job("clean")
    world.job("features")
    train = jobs.JOBS["train"]
    quick = replace(train, steps=(replace(train.steps[0], arguments=("--epochs", str(EPOCHS))), *train.steps[1:]))
    jobs.JOBS["train"] = quick
    try:
        world.job("train")
    finally:
        jobs.JOBS["train"] = train
    version = ModelVersion.objects.get()
    list(demo.sign_release(version=version, as_silent=version.state == ModelVersion.State.CANDIDATE))
    rebuild(Applier(lake=the_lake(), store=window_store(), default_trial=TRIAL))
    world.job("predict_days", last_days=4)


def _live(world: World) -> None:
    """Hours of live messages through the loop while the API is asked, then half a minute of readings of everybody."""
    names = [name.partition("/")[2] for name in window_store().patients()]
    with world.listening(), ThreadPoolExecutor(4) as pool:
        for step in range(LIVE_STEPS):
            first = HISTORY_ENDS + step * LIVE_STEP
            world.send("simulator-live", first, first + LIVE_STEP)
            world.clock.moment = first + LIVE_STEP
            asked = [pool.submit(world.ask, names[(step * 5 + place) % len(names)]) for place in range(5)]
            world.turns()
            for one in asked:
                one.result()
        for burst in range(BURSTS):
            world.clock.moment += BURST_SECONDS
            for place, name in enumerate(names):
                world.measure(name, correlation_id=f"burst-{burst}-{name}", heart_rate=70 + place)
            world.turns()


def admin_statement(sql: str, *values: Any) -> None:
    """Run a statement in the world's database with its guards at rest: what somebody with the keys could do."""
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        try:
            cursor.execute(sql, values)
        finally:
            cursor.execute("SET session_replication_role = origin")


def command(name: str, *arguments: Any) -> str:
    """The output of a management command."""
    out = StringIO()
    call_command(name, *map(str, arguments), stdout=out)
    return out.getvalue()


def manage(world: World, *arguments: Any) -> subprocess.CompletedProcess[str]:
    """A management command in a fresh process."""
    return subprocess.run(
        [sys.executable, "manage.py", *map(str, arguments)],
        capture_output=True, text=True, timeout=300, check=False, env=os.environ | world.environment, cwd=BASE_DIR,
    )  # fmt: skip
