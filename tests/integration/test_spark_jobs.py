"""The Spark jobs: the same rules as the plain functions, incremental, and the same bytes whichever way the work is cut."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from clinical_portal.java import java_home
from ml.cleaning import clean as clean_lines
from ml.cleaning import split_known, to_facts
from ml.cleaning.drawing import PROFILE, bronze, context, reasons, shown
from ml.cleaning.examples import EXAMPLES
from ml.contracts.events import TOPICS
from ml.contracts.tables import SILVER
from ml.exits import TOO_LITTLE
from ml.facts import INT_COLUMNS, Facts
from ml.features import FEATURES, NAMES, canonical, compute
from ml.lake import Lake
from ml.profile import StudyProfile
from spark_jobs.pipelines import clean, features, labels, verify
from spark_jobs.session import open_session
from spark_jobs.settings import JobError, Settings, chosen_days
from tests.support.history import HOUR, START, TRIAL, history, line, write

STUDY = StudyProfile(TRIAL, simulated=True, study_treatments=("Verumab",))


@pytest.fixture(scope="module")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """One session for all tests here; jobs use a session that is open."""
    home = java_home("", tmp_path_factory.mktemp("java"))
    settings = Settings(Lake.from_url("memory://none"), master="local[2]", java_home=str(home))
    session = open_session(settings, "tests")
    yield session
    session.stop()


def contents(lake: Lake, *prefixes: str) -> dict[str, bytes]:
    return {info.path: lake.get(info.path) for prefix in prefixes for info in lake.list(prefix)}


def silver(lake: Lake, topic: str) -> pa.Table:
    parts = [pq.read_table(io.BytesIO(data)) for data in contents(lake, f"processed/{topic}/").values()]
    return pa.concat_tables(parts) if parts else SILVER[topic].empty_table()


RESULTS = ("processed/", "quarantine/")


@pytest.fixture(scope="module")
def whole(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """The history, cleaned in one run and turned into features."""
    lake = Lake.from_url(tmp_path_factory.mktemp("whole"))
    for topic, lines in history().items():
        write(lake, topic, lines)
    settings = Settings(lake, {TRIAL: STUDY}, default_trial=TRIAL)
    outcome = clean.run(settings)
    assert outcome["duplicates"] > 0
    assert outcome["quarantined"] > 0
    features.run(settings)
    labels.run(settings)
    return settings


def test_the_examples_through_spark(spark: SparkSession, tmp_path: Path):
    """Each example as a trial of its own."""
    lake = Lake.from_url(tmp_path)
    profiles, by_topic = {}, {topic: [] for topic in TOPICS}
    for number, example in enumerate(EXAMPLES):
        trial = f"E{number:02d}"
        profiles[trial] = replace(PROFILE, trial_id=trial)
        by_topic[example.topic] += [orjson.loads(one) for one in bronze(example.messages, trial)]
        if not example.unknown and example.topic != "patient-context":
            by_topic["patient-context"] += [orjson.loads(one) for one in bronze([context("07:00", "enrolment")], trial)]
    for topic, lines in by_topic.items():
        write(lake, topic, lines, cut=15)
    clean.run(Settings(lake, profiles, buckets=2))
    tables = {topic: silver(lake, topic) for topic in TOPICS}
    aside = [pq.read_table(io.BytesIO(data)) for data in contents(lake, "quarantine/").values()]
    quarantine = pa.concat_tables(aside)
    for number, example in enumerate(EXAMPLES):
        rows, set_aside = (
            table.filter(pc.equal(table["trial_id"], f"E{number:02d}")) for table in (tables[example.topic], quarantine)
        )
        expected = [{key: value for key, value in row.items() if key != "trial_id"} for row in example.rows]
        assert shown(rows, expected) == expected, example.title
        assert reasons(set_aside) == list(example.aside), example.title


def test_another_process_folder_cut_and_shuffle_give_the_same_bytes(
    whole: Settings, spark: SparkSession, tmp_path: Path
):
    lake = Lake.from_url(tmp_path / "elsewhere")
    for topic, lines in history().items():
        write(lake, topic, lines, cut=61)
    profiles = tmp_path / "profiles.json"
    profiles.write_text(json.dumps({TRIAL: STUDY.to_json()}))
    home = java_home("", tmp_path)
    command = [sys.executable, "-m", "spark_jobs"]
    options = ["--lake", str(tmp_path / "elsewhere"), "--profiles", str(profiles), "--default-trial", TRIAL]
    options += ["--master", "local[1]", "--buckets", "3", "--java-home", str(home)]
    done = subprocess.run([*command, "clean", *options], capture_output=True, text=True, timeout=170, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert "outcome" in json.loads(done.stdout.splitlines()[-1])
    features.run(replace(whole, lake=lake, buckets=3))
    for topic in TOPICS:
        assert contents(lake, f"processed/{topic}/") == contents(whole.lake, f"processed/{topic}/")
    assert contents(lake, "quarantine/") == contents(whole.lake, "quarantine/")
    assert contents(lake, "features/date=") == contents(whole.lake, "features/date=")
    ours, theirs = (json.loads(store.get("features/manifest-DEMO.json")) for store in (lake, whole.lake))
    # the sources may have been edited between the two runs
    assert {**ours, "code": ""} == {**theirs, "code": ""}


def test_in_parts_it_comes_to_the_same_as_at_once(whole: Settings, spark: SparkSession, tmp_path: Path):
    """Bronze arrives in three parts, context last for one patient; a run after each."""
    lake = Lake.from_url(tmp_path)
    settings = replace(whole, lake=lake)
    parts: list[dict[str, list[dict[str, Any]]]] = [{}, {}, {}]
    for topic, lines in history().items():
        if topic == "patient-context":
            pieces = [lines[:0], lines[:-1], lines[-1:]]
        else:
            third = len(lines) // 3
            pieces = [lines[:third], lines[third : 2 * third], lines[2 * third :]]
        for part, piece in zip(parts, pieces, strict=True):
            part[topic] = piece
    written = dict.fromkeys(TOPICS, 0)
    again = 0
    for part in parts:
        for topic, lines in part.items():
            if lines:
                write(lake, topic, lines, cut=20, first=written[topic])
                written[topic] += len(lines)
        before = contents(lake, *(f"processed/{topic}/" for topic in TOPICS))
        clean.run(settings)
        after = contents(lake, *(f"processed/{topic}/" for topic in TOPICS))
        again += sum(path in before and before[path] != data for path, data in after.items())
    assert again > 0
    for topic in TOPICS:
        assert contents(lake, f"processed/{topic}/") == contents(whole.lake, f"processed/{topic}/"), topic
    assert contents(lake, "quarantine/") == contents(whole.lake, "quarantine/")
    assert clean.run(settings)["batches"] == 0


def test_a_patient_is_let_in_when_the_context_comes(spark: SparkSession, tmp_path: Path):
    lake = Lake.from_url(tmp_path)
    settings = Settings(lake, {TRIAL: STUDY}, default_trial=TRIAL)
    signs = {"source": "monitor", "heart_rate": 70}
    write(lake, "patient-vitals", [line("patient-vitals", "P1", START + hour * HOUR, signs) for hour in (1, 2)])
    clean.run(settings)
    assert silver(lake, "patient-vitals").num_rows == 0
    aside = pq.read_table(io.BytesIO(lake.get("quarantine/patient-vitals/date=2026-03-01/part.parquet")))
    assert set(aside["rule"].to_pylist()) == {"unknown_patient"}
    late = [line("patient-context", "P1", START, {"kind": "enrolment"}, delay=90 * HOUR)]
    write(lake, "patient-context", late)
    clean.run(settings)
    assert silver(lake, "patient-vitals").num_rows == 2
    assert not contents(lake, "quarantine/")


def test_chosen_days_are_cleaned_again_and_what_was_lost_is_written(spark: SparkSession, tmp_path: Path):
    """A run with nothing new leaves a lost quarantine lost; asked for that day it writes it, and only that day's."""
    lake = Lake.from_url(tmp_path)
    settings = Settings(lake, {TRIAL: STUDY}, default_trial=TRIAL)
    write(lake, "patient-context", [line("patient-context", "P1", START, {"kind": "enrolment"})])
    signs = {"source": "monitor", "heart_rate": 999, "spo2": 97}
    write(lake, "patient-vitals", [line("patient-vitals", "P1", START + hour * HOUR, signs) for hour in (1, 49)])
    clean.run(settings)
    before = contents(lake, *RESULTS)
    lost = [path for path in before if path.startswith("quarantine/patient-vitals/")]
    assert len(lost) == 2
    for path in lost:
        lake.delete(path)
    assert clean.run(settings)["partitions"] == 0
    assert not contents(lake, "quarantine/")
    days = chosen_days(f"patient-vitals={lost[0].split('date=')[1][:10]}")
    assert clean.run(replace(settings, again=days))["partitions"] == 1
    after = contents(lake, *RESULTS)
    assert after == {path: data for path, data in before.items() if path != lost[1]}
    assert clean.run(replace(settings, again=chosen_days("lab-results=2026-03-01")))["partitions"] == 0


@pytest.mark.parametrize("text", ["blood=2026-03-01", "lab-results=yesterday", "lab-results="])
def test_days_that_cannot_be_read_are_named(text: str):
    with pytest.raises(JobError, match=r"topics|no days"):
        chosen_days(text)


def test_on_an_object_store(spark: SparkSession, s3: dict[str, str]):
    options = {name: s3[name] for name in ("endpoint", "access_key", "secret_key")}
    lake = Lake.from_url(f"s3://{s3['bucket']}/lake", **options)
    write(lake, "patient-context", [line("patient-context", "P1", START, {"kind": "enrolment"})])
    clean.run(Settings(lake, {TRIAL: STUDY}, default_trial=TRIAL))
    assert silver(lake, "patient-context").num_rows == 1


def test_a_run_that_dies_leaves_what_was_and_is_mended(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    lake = Lake.from_url(tmp_path)
    settings = Settings(lake, {TRIAL: STUDY}, default_trial=TRIAL)
    write(lake, "patient-context", [line("patient-context", "P1", START, {"kind": "enrolment"})])
    result = {"test_name": "ALT", "value": 30, "unit": "U/L", "reference_range": "7-56", "lab_id": "L"}
    write(lake, "lab-results", [line("lab-results", "P1", START + HOUR, result)])
    clean.run(settings)
    moved = {**result, "value": 31}
    write(lake, "lab-results", [line("lab-results", "P1", START + HOUR, moved, delay=600)], first=1)
    with monkeypatch.context() as patch:
        patch.setattr(clean, "save", _die)
        with pytest.raises(RuntimeError):
            clean.run(settings)
    with pytest.raises(JobError, match="differs"):
        verify.run(settings)
    clean.run(settings)
    assert silver(lake, "lab-results")["value"].to_pylist() == [30.0, 31.0]
    assert verify.run(settings)["verified"] == 2


def _die(*_: object) -> None:
    raise RuntimeError("the machine went away")


def test_silver_gives_the_facts_of_the_live_path(whole: Settings):
    """Messages one by one, as the live loop cleans them, against what a feature reads of silver."""
    known = {f"{TRIAL}/P{number}" for number in range(4)}
    live, offline = [], []
    for topic, lines in history().items():
        epochs = {f"{topic}-id": 0}
        for offset, one in enumerate(lines):
            message = {**one, "topic": topic, "topic_id": f"{topic}-id", "partition": 0, "offset": offset}
            rows = clean_lines(topic, [message], epochs=epochs, profiles={TRIAL: STUDY}, default_trial=TRIAL).rows
            live.append(to_facts(topic, split_known(rows, known).known))
        offline.append(to_facts(topic, silver(whole.lake, topic)))
    one, other = Facts.concat(live), Facts.concat(offline)
    assert len(one) > len(other)  # silver leaves out what says nothing new …
    assert _rows(other) <= _rows(one)
    times = START + np.arange(6, 76, 5) * HOUR
    patient = np.repeat(np.arange(4, dtype=np.int32), len(times))
    as_of = np.tile(times, 4)
    first, second = (canonical(compute(facts, patient, as_of, STUDY)) for facts in (one, other))
    assert first.tobytes() == second.tobytes()  # … and no feature sees the difference


def _rows(facts: Facts) -> set[tuple[Any, ...]]:
    names = ("signal", "retracted", *INT_COLUMNS)
    columns = [getattr(facts, name).tolist() for name in names]
    return set(zip([facts.patients[who] for who in facts.patient], *columns, strict=True))


def test_the_feature_store_is_the_kernel(whole: Settings):
    stored = pa.concat_tables(
        [pq.read_table(io.BytesIO(data)) for data in contents(whole.lake, "features/date=").values()]
    )
    assert stored.schema.names[4:] == list(NAMES)
    facts = Facts.concat([to_facts(topic, silver(whole.lake, topic)) for topic in TOPICS])
    place = {name: number for number, name in enumerate(facts.patients)}
    patient = np.array([place[f"{TRIAL}/{name}"] for name in stored["patient_id"].to_pylist()])
    expected = canonical(compute(facts, patient, np.asarray(stored["as_of"]), STUDY))
    matrix = np.column_stack([stored[name].to_numpy() for name in NAMES])
    assert canonical(matrix).tobytes() == expected.tobytes()
    manifest = json.loads(whole.lake.get("features/manifest-DEMO.json"))
    assert manifest["rows"] == stored.num_rows
    assert [row["name"] for row in manifest["features"]] == [feature.name for feature in FEATURES]
    age = next(row for row in manifest["features"] if row["name"] == "age")
    assert (age["min"], age["max"], age["missing_pct"]) == (50.0, 53.0, 0.0)


def test_labels_are_rows_of_the_feature_store(whole: Settings):
    manifest = json.loads(whole.lake.get("labels/manifest-DEMO.json"))
    table = pq.read_table(io.BytesIO(whole.lake.get(manifest["path"])))
    assert table.num_rows == json.loads(whole.lake.get("features/manifest-DEMO.json"))["rows"]
    counted = np.asarray(table["label"]) >= 0
    assert counted.sum() == manifest["counting"]
    assert {"", "immature"} >= set(table["reason"].to_pylist())


def test_risk_from_the_first_dose_is_read_of_the_doses_where_no_arm_is_known(whole: Settings, tmp_path: Path):
    copy = Lake.from_url(tmp_path)
    for path, data in contents(whole.lake, "processed/", "features/").items():
        copy.put(path, data)
    labels.run(replace(whole, lake=copy, profiles={TRIAL: replace(STUDY, risk_from_first_dose=True)}))
    manifest = json.loads(copy.get("labels/manifest-DEMO.json"))
    table = pq.read_table(io.BytesIO(copy.get(manifest["path"])))
    taken = silver(copy, "medications").filter(pc.field("study_dose"))
    assert taken.num_rows
    first = {
        row["patient_id"]: row["event_time_min"]
        for row in taken.group_by("patient_id").aggregate([("event_time", "min")]).to_pylist()
    }
    assert "arm" not in silver(copy, "patient-context")["kind"].to_pylist()
    before = [first.get(row["patient_id"], 2**62) > row["as_of"] for row in table.to_pylist()]
    assert 0 < sum(before) < table.num_rows
    assert manifest["left_out"]["not treated"] == sum(before)


def test_verify_finds_a_flipped_bit(whole: Settings, tmp_path: Path):
    copy = Lake.from_url(tmp_path)
    for path, data in contents(whole.lake, "processed/", "quarantine/", "features/").items():
        copy.put(path, data)
    settings = replace(whole, lake=copy)
    verify.run(settings)
    path = next(path for path in contents(copy, "processed/lab-results/"))
    data = bytearray(copy.get(path))
    data[len(data) // 2] ^= 1
    copy.put(path, bytes(data))
    with pytest.raises(JobError, match=path):
        verify.run(settings)


def test_the_report_counts_by_day_site_and_rule(whole: Settings):
    report = json.loads(whole.lake.get("quality/latest.json"))
    labs = [one for one in report["days"] if one["topic"] == "lab-results"]
    units = [row for one in labs for row in one["quarantine"] if row["rule"] == "unknown_unit"]
    assert sum(row["count"] for row in units) == 12
    assert {row["site"] for row in units} == {"S/0", "S/1"}
    assert all(row["rate"] == 0.25 for row in units)


@pytest.mark.parametrize(
    ("arguments", "sentence", "status"),
    [
        (["features"], "no silver", TOO_LITTLE),
        (["clean", "--profiles", "/nowhere.json"], "cannot be read", 1),
    ],
)
def test_a_failure_is_a_sentence_and_a_status(
    tmp_path: Path, arguments: list[str], sentence: str, status: int, capsys: Any
):
    from spark_jobs.__main__ import main

    assert main([*arguments, "--lake", str(tmp_path)]) == status
    assert sentence in json.loads(capsys.readouterr().out.splitlines()[-1])["error"]
