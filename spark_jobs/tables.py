"""The only reader and writer of the jobs: claimed bronze in; Parquet, manifests and state out, all through the lake.

A Parquet object is a function of its rows: they come sorted, the writer's options are fixed, and neither time nor
machine stands in it. So equal input is equal bytes, and a partition that did not change is not written again.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import DataFrame, SparkSession

from ml.lake import Lake, LakeError
from ml.lake.bronze import epochs, read_claimed
from ml.lake.parquet import parquet
from spark_jobs.schema import CLAIMS
from spark_jobs.transforms.cleaning import ClaimRef

NO_SITE = "_none"
"""Stands for "no site" in a path; no site can be called so (their names begin with a letter or digit)."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def date_text(day: int) -> str:
    """YYYY-MM-DD of a day since 1970."""
    return (_EPOCH + timedelta(days=day)).date().isoformat()


def silver_path(topic: str, day: int, site: str | None) -> str:
    """Where a topic's silver of one day and site lies."""
    name = NO_SITE if site is None else quote(site, safe="")
    return f"processed/{topic}/date={date_text(day)}/trial_site_id={name}/part.parquet"


def quarantine_path(topic: str, day: int) -> str:
    """Where a topic's quarantine of one day lies."""
    return f"quarantine/{topic}/date={date_text(day)}/part.parquet"


def features_path(day: int) -> str:
    """Where the feature rows of one day lie, of all trials."""
    return f"features/date={date_text(day)}/part.parquet"


def labels_path(trial: str, known_by: int) -> str:
    """Where a trial's labels as known by a time (seconds) lie."""
    return f"labels/{trial}/as_of={known_by}/part.parquet"


class Written(NamedTuple):
    """An object as written."""

    path: str
    rows: int
    bytes: int
    sha256: str


def write_table(lake: Lake, path: str, table: pa.Table, known: str | None = None) -> Written:
    """Write a table as Parquet, in one piece; not again where its SHA-256 is the `known` one."""
    data = parquet(table)
    digest = hashlib.sha256(data).hexdigest()
    if digest != known:
        lake.put(path, data)
    return Written(path, table.num_rows, len(data), digest)


def read_table(lake: Lake, path: str, schema: pa.Schema, sha256: str | None = None) -> pa.Table:
    """Read columns of a Parquet object, typed as in `schema`. LakeError where it is not what its manifest says."""
    data = lake.get(path)
    if sha256 is not None and hashlib.sha256(data).hexdigest() != sha256:
        raise LakeError(f"{path} is not what its manifest says. Run the job that writes it again.")
    return pq.read_table(io.BytesIO(data), columns=schema.names, use_threads=False).cast(schema)


def read_claim(lake: Lake, claim: ClaimRef) -> bytes:
    """The lines of a claimed batch. LakeError if they are not those that were claimed."""
    data = lake.get(claim.object)
    if hashlib.sha256(data).hexdigest() != claim.sha256:
        raise LakeError(f"{claim.object} is not what was claimed: its SHA-256 differs.")
    return data


class NewClaims(NamedTuple):
    """Claims behind what was processed, the ends now reached ("topic id/partition" → offset), and all epochs."""

    claims: list[ClaimRef]
    ends: dict[str, int]
    epochs: dict[str, int]


def new_claims(lake: Lake, topic: str, ends: Mapping[str, int]) -> NewClaims:
    """The claimed batches of a topic that end behind `ends`."""
    since: dict[tuple[str, int], int] = {}
    for address, end in ends.items():
        topic_id, _, partition = address.rpartition("/")
        since[topic_id, int(partition)] = end
    reached = dict(ends)
    claims = []
    for batch in read_claimed(lake, topic, since):
        claim = batch.claim
        reached[f"{claim.topic_id}/{claim.partition}"] = claim.end
        if claim.object is not None and claim.object_sha256 is not None:
            claims.append(ClaimRef(topic, claim.topic_id, batch.epoch, claim.object, claim.object_sha256))
    return NewClaims(claims, reached, epochs(lake, topic))


def claims_frame(spark: SparkSession, claims: list[ClaimRef], tasks: int) -> DataFrame:
    """Claims as a frame of schema `CLAIMS`, dealt out evenly to the tasks."""
    return spark.createDataFrame(claims, CLAIMS).repartition(max(1, min(tasks, len(claims))))


def files_frame(spark: SparkSession, files: list[tuple[str, str, str]], schema: str, tasks: int) -> DataFrame:
    """Objects to be read as a frame of `schema`, dealt out evenly to the tasks."""
    return spark.createDataFrame(files, schema).repartition(max(1, min(tasks, len(files))))


def read_json(lake: Lake, path: str) -> dict[str, Any] | None:
    """A JSON object; None where there is none."""
    try:
        body: dict[str, Any] = orjson.loads(lake.get(path))
    except KeyError:  # the lake: no such object
        return None
    return body


def write_json(lake: Lake, path: str, body: Mapping[str, Any]) -> str:
    """Write canonical JSON; its SHA-256."""
    data = orjson.dumps(body, option=orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2)
    lake.put(path, data)
    return hashlib.sha256(data).hexdigest()


_SHOWN = frozenset({"docs.py", "examples.py", "drawing.py"})
"""Sources that only show what the others do."""


def code_digest(*modules: str) -> str:
    """SHA-256 over the sources of some modules or packages of ours: what was computed by other code is not reused."""
    root = Path(__file__).resolve().parent.parent
    digest = hashlib.sha256()
    for module in modules:
        place = root / module.replace(".", "/")
        files = sorted(place.rglob("*.py")) if place.is_dir() else [place.with_suffix(".py")]
        for file in files:
            if file.name in _SHOWN:
                continue
            digest.update(file.relative_to(root).as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()
