"""The proofs, on one small world: the walk from a message to a screen, parity of the three ways, replay from bronze alone."""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.conf import settings
from django.core.management.base import CommandError
from django.db import DatabaseError, connection, transaction
from django.test import Client
from django.urls import reverse

from apps.accounts.models import User
from apps.audit.models import AuditEvent
from apps.core.lake import lake as the_lake
from apps.ingestion.applier import Applier
from apps.ingestion.rebuild import rebuild
from apps.ingestion.window import window_store
from apps.patients import selectors as patients
from apps.predictions import parity, serving
from apps.predictions.answering import Answer
from apps.predictions.live import heartbeat
from apps.predictions.models import Prediction
from apps.predictions.pairs import Pairs
from apps.predictions.replay import answers_again, replay, tasks
from apps.registry.models import Approval, ModelVersion
from clinical_portal import backup
from clinical_portal.env import BASE_DIR
from ml.contracts import TOPICS
from ml.contracts.signals import SIGNAL_CODES
from ml.features import INDEX, NAMES
from ml.lake.claims import chain_claims, chains
from ml.window import pack
from tests.support import world as worlds
from tests.support.world import HISTORY_ENDS, TRIAL, World

pytestmark = [pytest.mark.timeout(900), pytest.mark.slow]
SAMPLE = 200
REPLAYER = "replayer"
MAY_READ = ("id", "patient_id", "as_of", "watermark", "model_version_id", "profile_version_id")


@pytest.fixture(scope="module")
def small_world(servers: Any, django_db_blocker: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    servers.need("postgres")
    folder = tmp_path_factory.mktemp("world")
    with django_db_blocker.unblock(), worlds.built(folder, os.environ["DATABASE_URL"]) as made:
        yield made


@pytest.fixture
def world(small_world: World, django_db_blocker: Any) -> Iterator[World]:
    with django_db_blocker.unblock(), worlds.inside(small_world):
        yield small_world


@pytest.fixture
def coordinator(world: World) -> Client:
    client = Client()
    client.force_login(User.objects.get(username="coordinator"))
    return client


# --- the walk ----------------------------------------------------------------------------------------------------------


def test_the_world_is_whole(world: World) -> None:
    """Every message lies in bronze or among the dead letters, once; a model that two people signed for serves."""
    store = the_lake()
    claims = [claim for topic in TOPICS for chain in chains(store, topic) for claim in chain_claims(store, chain)]
    assert sum(claim.count + claim.dead for claim in claims) == len(world.ledger)
    assert sum(claim.dead for claim in claims) > 20
    version = ModelVersion.objects.get()
    assert version.run_id
    assert Approval.objects.filter(version=version).values("user").distinct().count() == 2
    assert serving.current(TRIAL) is not None
    made = Counter(Prediction.objects.values_list("source", flat=True))
    assert made["live"] >= 300
    assert made["api"] == len(world.api_answers) >= 80
    assert made["batch"] >= 100


def test_a_message_reaches_the_screen_under_its_own_name(world: World, coordinator: Client) -> None:
    with world.listening() as loop:
        name = window_store().patients()[3].partition("/")[2]
        world.clock.moment += 30
        where = world.measure(name, correlation_id="walk-0001", heart_rate=141)
        world.turns()
        topic_id = loop.reader.states["patient-vitals"].topic_id
        answer = world.ask(name)
    prediction = Prediction.objects.get(correlation_id="walk-0001")
    assert prediction.patient_id == f"{TRIAL}/{name}"
    assert prediction.source == "live"
    assert prediction.watermark["patient-vitals"] == [topic_id, where.partition, where.offset]
    event = AuditEvent.objects.get(object_id=str(prediction.pk))
    assert (event.correlation_id, event.actor) == ("walk-0001", "system:live-loop")
    # asked at the same moment, the API gives the same number
    assert answer["adverse_event_probability"] == prediction.probability

    page = coordinator.get(reverse("portal:patient_now", args=[TRIAL, name])).content.decode()
    asked = Prediction.objects.get(pk=answer["prediction_id"])
    assert asked.correlation_id in page, "the newest answer stands on the page"
    assert f"{where.offset:,}" in page
    assert topic_id in page
    with world.listening():
        world.clock.moment += 5
        again = world.measure(name, correlation_id="walk-0002", heart_rate=143)
        world.turns()
    for address in (reverse("portal:patient", args=[TRIAL, name]), reverse("portal:patient_now", args=[TRIAL, name])):
        page = coordinator.get(address).content.decode()
        assert "walk-0002" in page
        assert f"{again.offset:,}" in page
    since = world.clock.now.isoformat()
    assert name in coordinator.get(reverse("portal:board_changes", args=[TRIAL]), {"since": since}).content.decode()
    assert [verdict.verdict for verdict in replay([prediction.pk, asked.pk])] == ["identical"] * 2


def test_when_production_stops_predictions_stop_and_the_board_says_so(world: World, coordinator: Client) -> None:
    board = reverse("portal:board", args=[TRIAL])
    names = [name.partition("/")[2] for name in window_store().patients()]
    with world.listening():
        for second in range(2):
            world.clock.moment += 4
            for name in names:
                world.measure(name, correlation_id=f"last-{second}-{name}")
            world.turns()
        count = Prediction.objects.count()
        fresh = coordinator.get(board).content.decode()
        assert "Last prediction" in fresh
        assert "No new predictions since" not in fresh
        last = heartbeat(window_store())["last_message_at"]
        world.clock.moment += 60
        for _ in range(3):
            world.turns()
        assert Prediction.objects.count() == count
        beat = heartbeat(window_store())
    assert beat["last_message_at"] == last
    stale = coordinator.get(board).content.decode()
    assert "No new predictions since" in stale
    assert re.search(r"data-state=.late|status[^>]*late", stale), "the page carries the state, too"
    patient = coordinator.get(reverse("portal:patient", args=[TRIAL, names[0]])).content.decode()
    assert "No new predictions since" in patient


# --- the same bytes again -----------------------------------------------------------------------------------------------


def test_another_folder_process_and_shuffle_give_the_same_bytes(world: World) -> None:
    """Silver, quarantine, features and labels of the same bronze, made by jobs that share nothing with the first ones."""
    options = ["--lake", world.bronze_copy, "--profiles", world.folder / "profiles.json", "--default-trial", TRIAL]
    options += ["--master", "local[1]", "--buckets", 5, "--java-home", settings.JAVA_HOME]
    for job, more in (
        ("clean", []),
        ("features", ["--trial", TRIAL]),
        ("labels", ["--trial", TRIAL, "--as-of", HISTORY_ENDS]),
    ):
        command = [sys.executable, "-m", "spark_jobs", job, *map(str, [*options, *more])]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, cwd=settings.BASE_DIR)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    ours, again = (
        {
            str(path.relative_to(folder)): path.read_bytes()
            for path in folder.rglob("*.parquet")
            if "_state" not in path.parts
        }
        for folder in (world.lake_folder, world.bronze_copy)
    )
    assert {path.split("/")[0] for path in ours} >= {"processed", "features", "labels"}
    assert len(ours) > 200
    assert ours.keys() == again.keys()
    assert [path for path in ours if ours[path] != again[path]] == []


# --- parity ------------------------------------------------------------------------------------------------------------


def test_three_ways_to_the_same_bits_in_a_fresh_process(world: World) -> None:
    done = worlds.manage(world, "parity", "--pairs", 1000, "--patients", 16, "--seed", 1, "--drill")
    told = done.stdout
    assert done.returncode == 0, told + done.stderr[-2000:]
    assert "offline and reference: 0 of 120,000 values differ" in told
    assert "offline and online: 0 of 120,000 values differ" in told
    assert "parity: 1000 of 1000 pairs bit-equal" in told
    assert "features with a value in fewer than 100 pairs: none" in told
    touched = {name: int(count) for name, count in re.findall(r"(\w+(?: of these)?) (\d+)", told.split("touched: ")[1])}
    assert min(touched[name] for name in ("late", "corrected", "retracted", "edge")) >= 200
    planted = re.search(r"drill: planted (\S+) at (\d+): (\w+) is", told)
    assert planted
    assert planted[3] in NAMES
    assert "drill: found and named" in told


def test_one_wrong_value_in_silver_is_found_by_name(world: World) -> None:
    """The smallest step of one reading, in one of the ways, moves that sign's features of that patient and no others."""
    rng = np.random.default_rng(0)
    ends = parity.silver_ends()
    facts = parity.silver_facts(TRIAL, ends, rng, 4)
    row = int(rng.choice(np.flatnonzero((facts.signal == SIGNAL_CODES["temperature"]) & ~facts.retracted)))
    when = int(max(facts.event_time[row], facts.known_time[row])) + 60
    who = int(facts.patient[row])
    pairs = Pairs(
        facts.patients, np.array([who, who], np.int32), np.array([when, when - 600_000]), np.zeros(2, np.int8), {}
    )
    profile = patients.profile(TRIAL)
    clean = parity.judge(pairs, parity.answers(facts, pairs, profile, ends, rng, lambda _: None))
    assert not clean.differences
    facts.value[row] += 1
    wrong = parity.judge(pairs, parity.answers(facts, pairs, profile, ends, rng, lambda _: None))
    assert {way for way, _ in wrong.differences} == {"online"}
    found = {difference.feature for _, difference in wrong.differences}
    assert "temperature_latest" in found
    assert all(name.startswith(("temperature_", "instability_")) for name in found)
    assert {difference.row for _, difference in wrong.differences} == {0}


# --- replay ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def bare(world: World) -> Iterator[World]:
    """The world with Valkey emptied, and without silver, features and labels."""
    away = world.folder / "away"
    away.mkdir()
    before = {name: pack(window) for name, window in window_store().windows(window_store().patients()).items()}
    window_store().client.flushall()
    for name in ("processed", "features", "labels"):
        (world.lake_folder / name).rename(away / name)
    yield world
    for name in ("processed", "features", "labels"):
        (away / name).rename(world.lake_folder / name)
    away.rmdir()
    rebuild(Applier(lake=the_lake(), store=window_store(), default_trial=TRIAL))
    after = {name: pack(window) for name, window in window_store().windows(window_store().patients()).items()}
    assert after == before, "windows built anew are the windows that grew"


@contextmanager
def closed_tables() -> Iterator[None]:
    """Inside the block the database gives this process of predictions only what a replay may know, and nothing clinical."""
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE ROLE {REPLAYER} NOLOGIN")
        cursor.execute(f"GRANT SELECT ({', '.join(MAY_READ)}) ON predictions_prediction TO {REPLAYER}")
        cursor.execute(f"GRANT SELECT ON registry_modelversion, patients_studyprofileversion TO {REPLAYER}")
        cursor.execute(f"SET ROLE {REPLAYER}")
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("RESET ROLE")
            cursor.execute(f"DROP OWNED BY {REPLAYER}")
            cursor.execute(f"DROP ROLE {REPLAYER}")


def sample() -> list[Any]:
    """Random predictions of all three sources."""
    every = sorted(Prediction.objects.values_list("pk", flat=True))
    return random.Random(4).sample(every, SAMPLE)


def test_two_hundred_answers_come_again_from_bronze_alone(bare: World) -> None:
    chosen = sample()
    with closed_tables():
        for sql in (
            "SELECT features FROM predictions_prediction", "SELECT probability FROM predictions_prediction",
            "SELECT heart_rate FROM patients_vitalsigns", "SELECT * FROM ingestion_consumerstate",
        ):  # fmt: skip
            with pytest.raises(DatabaseError, match="permission denied"), transaction.atomic():
                connection.cursor().execute(sql)
        again = list(answers_again(tasks(chosen)))
    assert len(again) == SAMPLE
    stored = Prediction.objects.in_bulk(chosen)
    assert Counter(row.source for row in stored.values()).keys() == {"live", "api", "batch"}
    assert sum(row.probability is not None for row in stored.values()) > SAMPLE // 2
    for task, answer in again:
        before = stored[task.prediction]
        assert isinstance(answer, Answer), answer
        assert answer.features == bytes(before.features)
        assert (answer.probability, answer.logit, answer.level) == (before.probability, before.logit, before.level)
        assert answer.contributions == bytes(before.contributions or b"")
        assert answer.top_factors == before.top_factors
        assert list(answer.reasons) == before.reasons
    told = worlds.command("replay", "--sample", SAMPLE)
    assert told.strip() == f"replay: {SAMPLE} of {SAMPLE} identical"


def test_a_backup_restored_into_an_empty_place_answers_as_before(world: World, tmp_path: Path) -> None:
    """Another database, another lake, another process: the same answers; a damaged or half backup is refused."""
    folder = tmp_path / "backup"
    backup.make(folder, say=str)
    named = folder / backup.OBJECTS / json.loads((folder / backup.LIST).read_text().splitlines()[0])["path"]
    with altered(named, 0), pytest.raises(backup.BackupError, match=re.escape(str(named))):
        backup.check(folder, say=str)
    with pytest.raises(backup.BackupError, match="restore into an empty one"):
        backup.restore(folder, say=str)

    empty = f"{world.database}_restored"
    worlds.create_database(empty)
    elsewhere = os.environ | world.environment | {
        "DATABASE_URL": f"{world.environment['DATABASE_URL'].rpartition('/')[0]}/{empty}",
        "LAKE_URL": (tmp_path / "lake").as_uri(), "VAR_DIR": str(tmp_path),
    }  # fmt: skip
    (tmp_path / "lake").mkdir()
    chosen = a_live_prediction()

    def there(*command: str) -> str:
        done = subprocess.run([sys.executable, *command], env=elsewhere, capture_output=True, text=True, cwd=BASE_DIR)
        assert done.returncode == 0, done.stderr
        return done.stdout

    there("-m", "clinical_portal.backup", "restore", str(folder))
    assert "1 of 1 identical" in there("manage.py", "replay", str(chosen.pk))
    assert "20 of 20 identical" in there("manage.py", "replay", "--sample", "20")


@contextmanager
def altered(path: Path, place: int) -> Iterator[None]:
    """Inside the block one bit of a file is another one."""
    before = path.read_bytes()
    data = bytearray(before)
    data[place] ^= 1
    path.write_bytes(bytes(data))
    try:
        yield
    finally:
        path.write_bytes(before)


def a_live_prediction() -> Prediction:
    found = Prediction.objects.filter(source="live", probability__isnull=False).order_by("created_at").last()
    assert found is not None
    return found


def test_one_changed_byte_of_bronze_is_found_and_its_object_named(world: World) -> None:
    prediction = a_live_prediction()
    store = the_lake()
    topic_id, partition, _ = prediction.watermark["patient-vitals"]
    chain = next(c for c in chains(store, "patient-vitals") if (c.topic_id, c.partition) == (topic_id, partition))
    claim = next(c for c in chain_claims(store, chain) if prediction.patient_id in c.index)
    assert claim.object
    start, length = claim.index[prediction.patient_id]
    with altered(world.lake_folder / claim.object, start + length // 2):
        (verdict,) = replay([prediction.pk])
        assert verdict.verdict == "not proven"
        assert claim.object in verdict.details[0]
        with pytest.raises(CommandError, match="1 of 1"):
            worlds.command("replay", prediction.pk)
        others = Prediction.objects.exclude(patient_id__in=claim.index)[:5].values_list("pk", flat=True)
        assert all(one.verdict == "identical" for one in replay(others)), "what does not rest on it stands"
    assert [one.verdict for one in replay([prediction.pk])] == ["identical"]


def test_one_changed_weight_is_found_even_when_the_bundle_agrees_with_itself(world: World) -> None:
    prediction = a_live_prediction()
    folder = world.lake_folder / prediction.model_version.bundle_path
    weights, about = folder / "model.safetensors", folder / "bundle.json"
    with altered(weights, weights.stat().st_size - 3):
        (verdict,) = replay([prediction.pk])
        assert verdict.verdict == "not proven"
        assert "not those that were registered" in verdict.details[0]
        before = about.read_text()
        body = json.loads(before)
        body["sha256"]["model.safetensors"] = hashlib.sha256(weights.read_bytes()).hexdigest()
        about.write_text(json.dumps(body, indent=1, sort_keys=True) + "\n")
        try:
            assert [one.verdict for one in replay([prediction.pk])] == ["not proven"]
            serving.forget()
            assert serving.current(TRIAL) is None, "nor does it serve"
        finally:
            about.write_text(before)
    serving.forget()
    assert serving.current(TRIAL) is not None
    assert [one.verdict for one in replay([prediction.pk])] == ["identical"]


def test_one_changed_bit_of_a_stored_feature_is_found_and_named(world: World) -> None:
    prediction = a_live_prediction()
    before = bytes(prediction.features)
    data = bytearray(before)
    data[4 * INDEX["heart_rate_mean_24h"]] ^= 1
    worlds.admin_statement("UPDATE predictions_prediction SET features = %s WHERE id = %s", bytes(data), prediction.pk)
    try:
        (verdict,) = replay([prediction.pk])
    finally:
        worlds.admin_statement("UPDATE predictions_prediction SET features = %s WHERE id = %s", before, prediction.pk)
    assert verdict.verdict == "different"
    assert len(verdict.details) == 1
    assert "heart_rate_mean_24h" in verdict.details[0]
