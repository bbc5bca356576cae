"""features: silver to the feature store, all 120 of every patient-day, as they were known then.

1. Silver of the chosen trials is read and dealt out by bucket of patients.
2. Per bucket, whole patients: facts, as-of times, the one kernel. 3. Per day: rows in order, one object.
4. The manifest says what it was made of, to the byte; its SHA-256 is the *data version*.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame, SparkSession

from ml.contracts.events import TOPICS
from ml.features import TABLE_DIGEST
from ml.lake import Lake, LakeError
from ml.lake.parquet import parquet_digest
from spark_jobs.frames import Piece, as_table, batches, pieces
from spark_jobs.progress import step
from spark_jobs.schema import FILES, PIECES, WRITTEN
from spark_jobs.session import session
from spark_jobs.settings import JobError, Settings, TooLittle
from spark_jobs.state import load
from spark_jobs.tables import (
    code_digest,
    features_path,
    files_frame,
    read_json,
    read_table,
    write_json,
    write_table,
)
from spark_jobs.transforms.features import (
    READ,
    ROWS,
    Study,
    bucket,
    by_bucket,
    in_order,
    join,
    statistics,
    summary,
)

ROWS_A_BUCKET = 150_000
CODE = ("ml.features", "ml.cleaning", "ml.contracts", "ml.clinical", "ml.facts", "ml.labels", "spark_jobs.transforms")
_WRITTEN = pa.schema([("topic", pa.large_string()), ("day", pa.int32()), ("report", pa.large_string())])
Silver = dict[str, dict[str, dict[str, Any]]]


def manifest_path(trial: str) -> str:
    """Where the manifest of a trial's features lies."""
    return f"features/manifest-{trial}.json"


def run(settings: Settings) -> dict[str, Any]:
    """Build the features of the chosen trials. Returns rows and data version (of one trial), or both by trial."""
    silver: Silver = {}
    for topic in TOPICS:
        state = load(settings.lake, topic)
        silver[topic] = state.partitions if state is not None else {}
    studies = _studies(settings, silver)
    if not studies:
        raise TooLittle("There is no silver of the chosen trials yet. Run the clean job first.")
    _must_fit(settings, studies)
    rows = sum(body["rows"] for partitions in silver.values() for body in partitions.values())
    with session(settings, "features") as spark:
        buckets = settings.buckets or max(2 * spark.sparkContext.defaultParallelism, min(4096, rows // ROWS_A_BUCKET))
        days = _days(spark, settings.lake, silver, studies, buckets)
        with step(spark, "computing features"):
            written = [orjson.loads(text) for text in days.toArrow()["report"].to_pylist()]
    written.sort(key=lambda one: str(one["path"]))
    outcomes = {trial: _publish(settings.lake, trial, study, silver, written) for trial, study in studies.items()}
    if len(outcomes) == 1:
        return next(iter(outcomes.values()))
    return {"trials": outcomes}


def _studies(settings: Settings, silver: Silver) -> dict[str, Study]:
    """The chosen trials that have silver. Asked until the newest thing known of them, or their replay date."""
    studies = {}
    for trial, profile in settings.chosen_profiles().items():
        known = [
            body["until"][trial]
            for partitions in silver.values()
            for body in partitions.values()
            if trial in body["until"]
        ]
        if known:
            limits = [time for time in (max(known), profile.replay_time, settings.as_of) if time is not None]
            studies[trial] = Study(
                profile, min(limits), _day_number(settings.first_day), _day_number(settings.last_day)
            )
    return studies


def _must_fit(settings: Settings, studies: dict[str, Study]) -> None:
    """A part of the days is only laid beside days that were computed alike. JobError where they were not."""
    if settings.first_day is None and settings.last_day is None:
        return
    if settings.first_day and settings.last_day and settings.first_day > settings.last_day:
        raise JobError(f"The period ends ({settings.last_day}) before it begins ({settings.first_day}).")
    for trial, study in studies.items():
        before = read_json(settings.lake, manifest_path(trial))
        now = {"feature_table": TABLE_DIGEST, "code": code_digest(*CODE), "profile": study.profile.digest}
        if before is not None and now != {
            **{name: before[name] for name in now},
            "profile": before["profile"]["digest"],
        }:
            raise JobError(
                f"The other days of trial {trial} were computed with another feature table, code or study profile. "
                "Run the features job for the whole trial."
            )


def _day_number(day: date | None) -> int | None:
    return None if day is None else (day - date(1970, 1, 1)).days


def _days(spark: SparkSession, lake: Lake, silver: Silver, studies: dict[str, Study], buckets: int) -> DataFrame:
    files = [
        (topic, path, body["sha256"])
        for topic, partitions in silver.items()
        for path, body in sorted(partitions.items())
        if studies.keys() & body["until"].keys()
    ]
    spark.conf.set("spark.sql.shuffle.partitions", str(buckets))
    frame = files_frame(spark, files, FILES, 4 * spark.sparkContext.defaultParallelism)
    return (
        frame.mapInArrow(_read(lake, studies, buckets), PIECES)
        .repartition(buckets, "place")
        .groupBy("place")
        .applyInArrow(_bucket(studies), PIECES)
        .groupBy("place")
        .applyInArrow(_day(lake, frozenset(studies)), WRITTEN)
    )


def _read(
    lake: Lake, studies: dict[str, Study], buckets: int
) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """Silver files → pieces by bucket; what one task reads of a topic goes out together."""

    def task(frames: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        tables: dict[str, list[pa.Table]] = {}
        for frame in frames:
            for row in frame.to_pylist():
                table = read_table(lake, row["path"], READ[row["topic"]], row["sha256"])
                tables.setdefault(row["topic"], []).append(table)

        def made() -> Iterator[Piece]:
            for topic, parts in tables.items():
                yield from by_bucket(topic, pa.concat_tables(parts), studies, buckets)

        return batches(made())

    return task


def _bucket(studies: dict[str, Study]) -> Callable[[pa.Table], pa.Table]:
    def task(table: pa.Table) -> pa.Table:
        return as_table(bucket(studies, pieces(table)))

    return task


def _day(lake: Lake, trials: frozenset[str]) -> Callable[[pa.Table], pa.Table]:
    """Write one day: the new rows of the chosen trials beside those that other trials have there."""

    def task(table: pa.Table) -> pa.Table:
        place = table["place"][0].as_py()
        rows = join(pieces(table))
        path = features_path(place)
        put = write_table(lake, path, in_order(pa.concat_tables([rows, _others(lake, path, trials)])))
        own = {}
        for trial in sorted(trials):
            part = rows.filter(pc.equal(rows["trial_id"], trial))
            if part.num_rows:
                own[trial] = {
                    "rows": part.num_rows,
                    "sha256": parquet_digest(part),
                    "statistics": [list(one) for one in statistics(part)],
                }
        report = {"path": path, "day": place, "sha256": put.sha256, "trials": own}
        text = orjson.dumps(report, option=orjson.OPT_SERIALIZE_NUMPY).decode()
        return pa.table([["features"], [place], [text]], schema=_WRITTEN)

    return task


def _others(lake: Lake, path: str, trials: frozenset[str]) -> pa.Table:
    """Rows of a features object that belong to other trials."""
    if not lake.exists(path):
        return ROWS.empty_table()
    there = read_table(lake, path, ROWS)
    return there.filter(pc.invert(pc.is_in(there["trial_id"], value_set=pa.array(sorted(trials), pa.string()))))


def _kept(lake: Lake, trial: str, study: Study, before: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """The days outside the period asked for, as they lie there. LakeError where one is not what the manifest says."""
    kept = []
    for path, body in before["days"].items():
        if study.wants(_day_number(date.fromisoformat(path.split("date=")[1][:10])) or 0):
            continue
        rows = read_table(lake, path, ROWS)
        part = rows.filter(pc.equal(rows["trial_id"], trial)).combine_chunks()
        if parquet_digest(part) != body["sha256"]:
            raise LakeError(f"{path} is not what its manifest says. Run the features job for the whole trial.")
        kept.append((path, {**body, "statistics": [list(one) for one in statistics(part)]}))
    return kept


def _publish(lake: Lake, trial: str, study: Study, silver: Silver, written: list[dict[str, Any]]) -> dict[str, Any]:
    """Take days away that the trial no longer has, then write its manifest."""
    own = [(one["path"], one["trials"][trial]) for one in written if trial in one["trials"]]
    computed = len(own)
    before = read_json(lake, manifest_path(trial)) or {"days": {}}
    own = sorted([*own, *_kept(lake, trial, study, before)], key=lambda one: one[0])
    for path in sorted(before["days"].keys() - {path for path, _ in own}):
        rest = _others(lake, path, frozenset({trial}))
        if rest.num_rows:
            write_table(lake, path, rest)
        else:
            lake.delete(path)
    rows = sum(body["rows"] for _, body in own)
    manifest = {
        "trial_id": trial,
        "profile": {"version": study.profile.version, "digest": study.profile.digest},
        "until": study.until,
        "feature_table": TABLE_DIGEST,
        "code": code_digest(*CODE),
        "inputs": {
            path: body["sha256"]
            for partitions in silver.values()
            for path, body in partitions.items()
            if trial in body["until"]
        },
        "days": {path: {"rows": body["rows"], "sha256": body["sha256"]} for path, body in own},
        "rows": rows,
        "features": summary(rows, (body["statistics"] for _, body in own)),
    }
    version = write_json(lake, manifest_path(trial), manifest)
    created = {"data_version": version, "creation_timestamp": datetime.now(UTC).isoformat(timespec="seconds")}
    write_json(lake, f"features/created-{trial}.json", created)
    outcome = {"rows": rows, "days": len(own), "computed_days": computed}
    return {**outcome, "data_version": version, "manifest": manifest_path(trial)}
