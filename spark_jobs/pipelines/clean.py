"""clean: bronze to silver. Incremental; what it writes is a function of what is claimed, however it came in parts.

1. New claims are cleaned (map tasks), each giving its rows by bucket of patients and an index of what it touches.
2. The index and the state say which days have to be written again and what else must be read; old claims of those days
   are cleaned once more, from bronze.
3. Per bucket: unknown patients, versions, forward fill. Per day: rows in order, one object a site, the quarantine.
4. Objects that no longer have rows are deleted, then the state is written. A run that dies before it leaves whole
   objects, old or new; the next run does the same work again to the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import orjson
import pyarrow as pa
from pyspark import StorageLevel
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as sql

from ml.contracts.events import TOPICS
from ml.lake import Lake
from spark_jobs.frames import Piece, as_table, batches, pieces, unpack
from spark_jobs.pipelines.quality import write_report
from spark_jobs.progress import step, tell
from spark_jobs.schema import PIECES, WRITTEN
from spark_jobs.session import session
from spark_jobs.settings import Settings
from spark_jobs.state import TopicState, fingerprint, load, save
from spark_jobs.tables import (
    claims_frame,
    new_claims,
    quarantine_path,
    read_claim,
    silver_path,
    write_table,
)
from spark_jobs.transforms.affected import Affected, affected
from spark_jobs.transforms.cleaning import CONTEXT, KEYS, ClaimRef, Cleaner, Plan, bucket, day, known_until

_KEPT = ("rows", "bytes", "sha256", "until")
ROWS_A_BUCKET = 150_000
BATCH_ROWS = 1_000
_WRITTEN = pa.schema([("topic", pa.large_string()), ("day", pa.int32()), ("report", pa.large_string())])


@dataclass
class _Topic:
    """A topic in this run: its state, what is new, and objects of a state that no longer counts."""

    state: TopicState
    new: list[ClaimRef]
    epochs: dict[str, int]
    outdated: set[str]


def run(settings: Settings) -> dict[str, Any]:
    """Clean what is new. Returns counts and the path of the quality report."""
    topics = {topic: _begin(topic, settings) for topic in TOPICS}
    count = sum(len(topic.new) for topic in topics.values())
    tell(step="new batches in bronze", done=count, of=count)
    if not count and not _newly_known(topics) and not _chosen(settings, topics):
        for topic in topics.values():
            _finish(settings.lake, topic)
        return {"batches": 0, "partitions": 0, "rows": 0, "report": None}
    with session(settings, "clean") as spark:
        written = _run(spark, settings, topics)
    for topic in topics.values():
        _finish(settings.lake, topic)
    report = write_report(settings.lake, {name: topic.new for name, topic in topics.items()}, written)
    rows = sum(part["rows"] for one in written for part in one["partitions"])
    return {"batches": count, "partitions": sum(len(one["partitions"]) for one in written), "rows": rows, **report}


def _begin(topic: str, settings: Settings) -> _Topic:
    state = load(settings.lake, topic)
    now = fingerprint(topic, settings)
    outdated: set[str] = set()
    if state is None or settings.rebuild or state.fingerprint != now:
        if state is not None:
            outdated = {*state.partitions, *state.quarantine}
        state = TopicState(topic, now)
    found = new_claims(settings.lake, topic, state.ends)
    state.ends = found.ends
    return _Topic(state, found.claims, found.epochs, outdated)


def _newly_known(topics: dict[str, _Topic]) -> bool:
    known = set(topics[CONTEXT].state.patients)
    return any(known.intersection(names) for topic in topics.values() for names in topic.state.unknown.values())


def _chosen(settings: Settings, topics: dict[str, _Topic]) -> bool:
    """Whether a day that was asked for has data."""
    return any(
        settings.again.get(name, frozenset()).intersection(claim["days"])
        for name, topic in topics.items()
        for claim in topic.state.claims.values()
    )


def _run(spark: SparkSession, settings: Settings, topics: dict[str, _Topic]) -> list[dict[str, Any]]:
    new = [claim for topic in topics.values() for claim in topic.new]
    claimed = len(new) + sum(len(topic.state.claims) for topic in topics.values())
    cores = spark.sparkContext.defaultParallelism
    plan = Plan(
        epochs={name: topic.epochs for name, topic in topics.items()},
        profiles=settings.profiles,
        default_trial=settings.default_trial,
        buckets=settings.buckets or max(2 * cores, min(4096, claimed * BATCH_ROWS // ROWS_A_BUCKET)),
    )
    tasks = max(4 * cores, len(new) // 64)
    fresh = _cleaned(spark, settings.lake, plan, new, tasks).persist(StorageLevel.DISK_ONLY)
    with step(spark, "cleaning new batches"):
        index = fresh.where(sql.col("kind").isin("index", "keys")).toArrow()
    spans = _note(topics, pieces(index), settings.again)
    again = [
        ClaimRef(name, body["topic_id"], body["epoch"], path, body["sha256"])
        for name, topic in topics.items()
        for path, body in topic.state.claims.items()
        if spans[name].inputs.intersection(body["days"])
    ]
    again = sorted(set(again) - set(new))
    plan = replace(
        plan,
        inputs={name: span.inputs for name, span in spans.items()},
        rewrite={name: span.rewrite for name, span in spans.items()},
        known=frozenset(topics[CONTEXT].state.patients),
    )
    frame = fresh.where(sql.col("kind").isin("rows", "quarantine"))
    if again:
        frame = frame.unionAll(_cleaned(spark, settings.lake, plan, again, max(4 * cores, len(again) // 64)))
        frame = frame.where(sql.col("kind").isin("rows", "quarantine"))
    known = {
        path: body["sha256"]
        for name, topic in topics.items()
        for path, body in _objects(topic.state).items()
        if body["day"] not in settings.again.get(name, frozenset())  # asked for again: written even if it was the same
    }
    spark.conf.set("spark.sql.shuffle.partitions", str(plan.buckets))
    days = (
        frame.repartition(plan.buckets, "place")
        .groupBy("place")
        .applyInArrow(_bucket(plan), PIECES)
        .groupBy("topic", "place")
        .applyInArrow(_day(settings.lake, known), WRITTEN)
    )
    with step(spark, "writing silver"):
        written = [orjson.loads(text) for text in days.toArrow()["report"].to_pylist()]
    fresh.unpersist()
    _apply(topics, spans, written)
    return sorted(written, key=lambda one: (one["topic"], one["day"]))


def _cleaned(spark: SparkSession, lake: Lake, plan: Plan, claims: list[ClaimRef], tasks: int) -> DataFrame:
    """Claims → pieces by bucket of patients, with their index."""

    def task(frames: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        cleaner = Cleaner(plan)

        def made() -> Iterator[Piece]:
            for frame in frames:
                for row in frame.to_pylist():
                    claim = ClaimRef(**row)
                    yield from cleaner.add(claim, read_claim(lake, claim))
            yield from cleaner.flush()

        return batches(made())

    return claims_frame(spark, claims, tasks).mapInArrow(task, PIECES)


def _bucket(plan: Plan) -> Callable[[pa.Table], pa.Table]:
    def task(table: pa.Table) -> pa.Table:
        return as_table(bucket(plan, pieces(table)))

    return task


def _day(lake: Lake, known: dict[str, str]) -> Callable[[pa.Table], pa.Table]:
    """Write one day of a topic."""

    def task(table: pa.Table) -> pa.Table:
        topic, place = table["topic"][0].as_py(), table["place"][0].as_py()
        made = day(topic, pieces(table))
        partitions = []
        for site, rows in made.sites.items():
            path = silver_path(topic, place, site)
            put = write_table(lake, path, rows, known.get(path))._asdict()
            partitions.append({**put, "until": known_until(rows)})
        aside = []
        if made.quarantine.num_rows:
            path = quarantine_path(topic, place)
            aside.append(write_table(lake, path, made.quarantine, known.get(path))._asdict())
        report = {"topic": topic, "day": place, "partitions": partitions, "quarantine": aside, "report": made.report}
        return pa.table([[topic], [place], [orjson.dumps(report).decode()]], schema=_WRITTEN)

    return task


def _note(
    topics: dict[str, _Topic], index: Iterable[Piece], again: Mapping[str, frozenset[int]]
) -> dict[str, Affected]:
    """Take the index of the new batches into the states; the days that follow from it and from `again`, by topic."""
    new_days: dict[str, set[int]] = {name: set() for name in topics}
    new_keys: dict[str, list[pa.Table]] = {name: [KEYS.empty_table()] for name in topics}
    patients = set(topics[CONTEXT].state.patients)
    for piece in index:
        if piece.kind == "keys":
            new_keys[piece.topic].append(unpack(piece.payload))
            continue
        body = orjson.loads(piece.payload)
        new_days[piece.topic].update(body["days"])
        patients.update(body["patients"])
        entry = {name: body[name] for name in ("topic_id", "epoch", "sha256", "days")}
        topics[piece.topic].state.claims[body["object"]] = entry
    topics[CONTEXT].state.patients = sorted(patients)
    spans = {}
    for name, topic in topics.items():
        state = topic.state
        keys = pa.concat_tables(new_keys[name])
        merged = pa.concat_tables([state.keys, keys]).group_by(["key", "day"]).aggregate([]).cast(KEYS)
        state.keys = merged.sort_by([("key", "ascending"), ("day", "ascending")])
        waited = {int(one) for one, names in state.unknown.items() if patients.intersection(names)}
        every = {one for claim in state.claims.values() for one in claim["days"]}
        spans[name] = affected(
            name,
            all_days=every,
            new_days=new_days[name] | waited | (again.get(name, frozenset()) & every),
            new_keys=keys,
            all_keys=state.keys,
        )
    return spans


def _objects(state: TopicState) -> dict[str, dict[str, Any]]:
    return state.partitions | state.quarantine


def _apply(topics: dict[str, _Topic], spans: dict[str, Affected], written: list[dict[str, Any]]) -> None:
    """Bring the states up to what was written; objects of rewritten days that were not written are outdated."""
    for name, topic in topics.items():
        state, rewritten = topic.state, spans[name].rewrite
        for objects in (state.partitions, state.quarantine):
            for path in [path for path, body in objects.items() if body["day"] in rewritten]:
                topic.outdated.add(path)
                del objects[path]
        for one in rewritten:
            state.unknown.pop(str(one), None)
    for report in written:
        topic = topics[report["topic"]]
        for kind, objects in (("partitions", topic.state.partitions), ("quarantine", topic.state.quarantine)):
            for part in report[kind]:
                path = part["path"]
                objects[path] = {"day": report["day"], **{key: part[key] for key in _KEPT if key in part}}
                topic.outdated.discard(path)
        if report["report"]["unknown"]:
            topic.state.unknown[str(report["day"])] = report["report"]["unknown"]


def _finish(lake: Lake, topic: _Topic) -> None:
    for path in sorted(topic.outdated):
        lake.delete(path)
    save(lake, topic.state)
