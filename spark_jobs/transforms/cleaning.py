"""Bronze lines to silver days: what a map task, a bucket of patients and a day do with their tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from ml.cleaning import clean, dedupe, forward_fill, split_known, unknown_patients
from ml.cleaning.clean import patient_names
from ml.cleaning.versions import in_rest_order
from ml.contracts.tables import QUARANTINE, SILVER
from ml.profile import StudyProfile
from spark_jobs.frames import Piece, buckets_of, pack, split, unpack

DAY = 86_400
VITALS, CONTEXT = "patient-vitals", "patient-context"
FLUSH_ROWS = 60_000
KEYS = pa.schema([("key", pa.int64()), ("day", pa.int32())])
DUPLICATES = pa.schema([("trial_id", pa.string()), ("trial_site_id", pa.string())])
QUARANTINE_ORDER = ("event_time", "trial_id", "patient_id", "topic_id", "partition", "offset", "rule", "field")
Days = Mapping[str, frozenset[int] | None]
"""Topic → days since 1970; None = every day."""


@dataclass(frozen=True)
class Plan:
    """What the tasks of one run have to know. `inputs` are the days to read, `rewrite` those to write."""

    epochs: Mapping[str, Mapping[str, int]]
    profiles: Mapping[str, StudyProfile]
    default_trial: str
    buckets: int
    inputs: Days = field(default_factory=dict)
    rewrite: Days = field(default_factory=dict)
    known: frozenset[str] = frozenset()


class ClaimRef(NamedTuple):
    """A claimed batch: where its lines lie, and what they must hash to."""

    topic: str
    topic_id: str
    epoch: int
    object: str
    sha256: str


def days_of(table: pa.Table) -> np.ndarray[Any, np.dtype[np.int64]]:
    """The day since 1970 of every row's event."""
    return np.asarray(table["event_time"], np.int64) // DAY


def only_days(table: pa.Table, days: frozenset[int] | None) -> pa.Table:
    """The rows of the wanted days."""
    if days is None or table.num_rows == 0:
        return table
    return table.filter(pa.array(np.isin(days_of(table), list(days))))


class Cleaner:
    """One map task: claimed batches in; pieces by bucket of patients, and an index of each batch, out."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._rows: dict[str, list[pa.Table]] = {}
        self._aside: dict[str, list[pa.Table]] = {}
        self._waiting = 0

    def add(self, claim: ClaimRef, raw: bytes) -> Iterator[Piece]:
        """Clean one batch."""
        topic = claim.topic
        cleaned = clean(
            topic,
            [line for line in raw.split(b"\n") if line],
            epochs=self._plan.epochs[topic],
            profiles=self._plan.profiles,
            default_trial=self._plan.default_trial,
        )
        yield from _index(claim, cleaned.rows, cleaned.quarantine)
        days = self._plan.inputs.get(topic)
        self._rows.setdefault(topic, []).append(only_days(cleaned.rows, days))
        self._aside.setdefault(topic, []).append(only_days(cleaned.quarantine, days))
        self._waiting += cleaned.rows.num_rows
        if self._waiting >= FLUSH_ROWS:
            yield from self.flush()

    def flush(self) -> Iterator[Piece]:
        """Give out what has gathered."""
        for kind, gathered in (("rows", self._rows), ("quarantine", self._aside)):
            for topic, tables in gathered.items():
                table = pa.concat_tables(tables)
                if table.num_rows:
                    for bucket, part in split(table, buckets_of(patient_names(table), self._plan.buckets)):
                        yield Piece(kind, topic, bucket, pack(part))
            gathered.clear()
        self._waiting = 0


def _index(claim: ClaimRef, rows: pa.Table, aside: pa.Table) -> Iterator[Piece]:
    """Which days a batch touches, whose context it brings, and the keys that may have versions on other days."""
    days = np.union1d(days_of(rows), days_of(aside))
    patients = patient_names(rows).unique().to_pylist() if claim.topic == CONTEXT and rows.num_rows else []
    body = {**claim._asdict(), "days": days.tolist(), "patients": sorted(patients)}
    yield Piece("index", claim.topic, 0, orjson.dumps(body))
    if claim.topic != CONTEXT:  # without a record_id, the time is part of a key: its versions share a day
        rows = rows.filter(pc.is_valid(rows["record_id"]))
    if rows.num_rows:
        keys = pa.table([rows["key"], pa.array(days_of(rows).astype(np.int32))], schema=KEYS)
        yield Piece("keys", claim.topic, 0, pack(keys.group_by(["key", "day"]).aggregate([])))


def gather(pieces: Iterable[Piece]) -> dict[tuple[str, str], pa.Table]:
    """(kind, topic) → all its rows."""
    tables: dict[tuple[str, str], list[pa.Table]] = {}
    for piece in pieces:
        tables.setdefault((piece.kind, piece.topic), []).append(unpack(piece.payload))
    return {address: pa.concat_tables(parts) for address, parts in tables.items()}


def bucket(plan: Plan, pieces: Iterable[Piece]) -> Iterator[Piece]:
    """All that is read of some patients: versions put in order, unknown patients set aside, signs filled; by day."""
    gathered = gather(pieces)
    for topic in SILVER:
        rows = gathered.get(("rows", topic), SILVER[topic].empty_table())
        aside = [gathered.get(("quarantine", topic), QUARANTINE.empty_table())]
        if topic != CONTEXT:
            rows, unknown = split_known(rows, plan.known)
            aside.append(unknown_patients(topic, unknown))
        versions, duplicates = dedupe(topic, rows)
        if topic == VITALS:
            versions = forward_fill(versions)
        for kind, table in (("rows", versions), ("quarantine", pa.concat_tables(aside)), ("duplicates", duplicates)):
            wanted = only_days(table, plan.rewrite.get(topic))
            for day, part in split(wanted, days_of(wanted)) if wanted.num_rows else ():
                yield Piece(kind, topic, day, pack(part.select(DUPLICATES.names) if kind == "duplicates" else part))


class Day(NamedTuple):
    """One day of a topic: silver by site (None = no site), quarantine, and what a quality report needs."""

    sites: dict[str | None, pa.Table]
    quarantine: pa.Table
    report: dict[str, Any]


def day(topic: str, pieces: Iterable[Piece]) -> Day:
    """Bring the buckets of one day together, in the one order in which silver lies."""
    gathered = gather(pieces)
    rows = in_rest_order(gathered.get(("rows", topic), SILVER[topic].empty_table()))
    aside = gathered.get(("quarantine", topic), QUARANTINE.empty_table())
    aside = aside.take(pc.sort_indices(aside, sort_keys=[(name, "ascending") for name in QUARANTINE_ORDER]))
    duplicates = gathered.get(("duplicates", topic), DUPLICATES.empty_table())
    codes = rows["trial_site_id"].combine_chunks().dictionary_encode()
    places = np.asarray(pc.fill_null(codes.indices, -1), np.int64)
    names = codes.dictionary.to_pylist()
    sites = {None if place < 0 else names[place]: part for place, part in split(rows, places)}
    return Day(sites, aside, _report(rows, aside, duplicates))


def known_until(rows: pa.Table) -> dict[str, int]:
    """Trial → the newest known_time of its rows."""
    newest = rows.select(["trial_id", "known_time"]).group_by("trial_id").aggregate([("known_time", "max")]).to_pylist()
    return {row["trial_id"]: row["known_time_max"] for row in newest}


def _report(rows: pa.Table, aside: pa.Table, duplicates: pa.Table) -> dict[str, Any]:
    unknown = aside.filter(pc.equal(aside["rule"], "unknown_patient"))
    flags = rows["flags"].combine_chunks()
    raised = pa.table(
        {
            "trial_id": rows["trial_id"].combine_chunks().take(pc.list_parent_indices(flags)),
            "trial_site_id": rows["trial_site_id"].combine_chunks().take(pc.list_parent_indices(flags)),
            "rule": pc.list_flatten(flags),
        }
    )
    whole = aside.filter(
        pc.invert(pc.and_(pc.equal(aside["rule"], "impossible_value"), pc.equal(aside["topic"], VITALS)))
    )
    return {
        "rows": _counts(rows, "trial_id", "trial_site_id"),
        "set_aside": _counts(whole, "trial_id", "trial_site_id"),
        "duplicates": _counts(duplicates, "trial_id", "trial_site_id"),
        "quarantine": _counts(aside, "trial_id", "trial_site_id", "rule", "field"),
        "flags": _counts(raised, "trial_id", "trial_site_id", "rule"),
        "unknown": sorted(set(patient_names(unknown).to_pylist())) if unknown.num_rows else [],
    }


def _counts(table: pa.Table, *names: str) -> list[list[Any]]:
    """[*values, count], in the order of the values; a missing value is ""."""
    if table.num_rows == 0:
        return []
    counted = table.select(list(names)).append_column("n", pa.array(np.ones(table.num_rows, np.int64)))
    grouped = counted.group_by(list(names)).aggregate([("n", "sum")]).to_pylist()
    return sorted([*((row[name] or "") for name in names), row["n_sum"]] for row in grouped)
