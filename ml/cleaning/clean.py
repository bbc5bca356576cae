"""From bronze lines to silver rows: one pure function, used by the Spark job and by the live loop alike."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ml.cleaning.batch import Batch, BronzeLine, read
from ml.cleaning.body import Body, flags_array
from ml.cleaning.labs import labs
from ml.cleaning.numbers import Bool
from ml.cleaning.records import adverse_events, context, medications
from ml.cleaning.rules import FUTURE_SECONDS
from ml.cleaning.vitals import vitals
from ml.contracts.tables import QUARANTINE, SILVER
from ml.profile import StudyProfile

DEFAULT_TRIAL = "DEMO"

_BODIES: dict[str, Callable[[Batch, Mapping[str, StudyProfile]], Body]] = {
    "patient-vitals": lambda batch, _: vitals(batch),
    "lab-results": lambda batch, _: labs(batch),
    "medications": medications,
    "adverse-events": lambda batch, _: adverse_events(batch),
    "patient-context": lambda batch, _: context(batch),
}


class Cleaned(NamedTuple):
    """Silver rows of a topic (`SILVER[topic]`, in the order of the lines) and what was set aside (`QUARANTINE`)."""

    rows: pa.Table
    quarantine: pa.Table


class Split(NamedTuple):
    """Rows of known patients, and rows that wait for their patient's context."""

    known: pa.Table
    unknown: pa.Table


def clean(
    topic: str,
    lines: Sequence[BronzeLine],
    *,
    epochs: Mapping[str, int],
    profiles: Mapping[str, StudyProfile],
    default_trial: str = DEFAULT_TRIAL,
) -> Cleaned:
    """Clean bronze lines of one topic.

    `epochs`: topic id → epoch. `profiles`: trial id → profile (names the study doses). Times: event_time is rounded
    down; known_time is the record's timestamp, or `recorded_at` of a backfill producer, rounded up. An end is a later
    version: `to_facts` lets it be known no sooner than it came about. ValueError where a line cannot be placed
    (other topic, topic id without an epoch); what is wrong inside a message is quarantined, never raised.
    """
    if not lines:
        return Cleaned(SILVER[topic].empty_table(), QUARANTINE.empty_table())
    batch = read(topic, lines, epochs, default_trial)
    future = batch.event_time > batch.known_time + FUTURE_SECONDS
    body = _BODIES[topic](batch, profiles)
    if future.any():
        batch.aside = [item for item in batch.aside if not future[item[0]]]
        times = [value[_TIME[topic]] for value in batch.values]
        batch.set_aside(
            np.flatnonzero(future),
            "future_time",
            _TIME[topic],
            times,
            "{} lies after the moment the event became known.",
        )
    return Cleaned(_silver(batch, body, body.keep & ~future), batch.quarantine())


_TIME = {topic: "event_timestamp" if topic == "adverse-events" else "timestamp" for topic in SILVER}


def _silver(batch: Batch, body: Body, keep: Bool) -> pa.Table:
    n = batch.n
    columns: dict[str, pa.Array] = {
        "trial_id": pa.array(batch.trial_id, pa.string()),
        "trial_site_id": batch.column("trial_site_id"),
        "patient_id": batch.column("patient_id"),
        "record_id": batch.column("record_id"),
        "key": pa.array(batch.keys()),
        "event_time": pa.array(batch.event_time),
        "known_time": pa.array(batch.known_time),
        "epoch": pa.array(batch.epoch),
        "topic_id": pa.array(batch.topic_id, pa.string()),
        "partition": pa.array(batch.partition, pa.int32()),
        "offset": pa.array(batch.offset),
        "producer": pa.array(batch.producer, pa.string()),
        "correlation_id": pa.array(batch.correlation_id, pa.string()),
        "retracted": pa.array(batch.retracted),
        "source_rows": pa.array(batch.texts("source_rows"), pa.list_(pa.string())),
        "flags": flags_array(body.flags, n),
        "version": pa.nulls(n, pa.int32()),
        **body.columns,
    }
    schema = SILVER[batch.topic]
    table = pa.table([columns[name] for name in schema.names], schema=schema)
    return table if keep.all() else table.filter(pa.array(keep))


def patient_names(rows: pa.Table) -> pa.Array:
    """ "trial/patient" of every row."""
    return pc.binary_join_element_wise(_one(rows["trial_id"]), _one(rows["patient_id"]), "/")


def _one(column: pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)


def split_known(rows: pa.Table, known: Collection[str]) -> Split:
    """Part silver rows by whether their patient ("trial/patient") is in `known`; the order of rows is kept."""
    if rows.num_rows == 0:
        return Split(rows, rows)
    names = patient_names(rows)
    unique = names.unique()
    there = pa.array([name for name in unique.to_pylist() if name in known], pa.string())
    mask = pc.is_in(names, value_set=there)
    return Split(rows.filter(mask), rows.filter(pc.invert(mask)))


def unknown_patients(topic: str, rows: pa.Table) -> pa.Table:
    """Quarantine rows (`QUARANTINE`) of silver rows whose patient is not known."""
    n = rows.num_rows
    sentence = "Nothing is known yet of patient "
    columns = {
        "topic": pa.array([topic] * n, pa.string()),
        "rule": pa.array(["unknown_patient"] * n, pa.string()),
        "field": pa.array(["patient_id"] * n, pa.string()),
        "value": rows["patient_id"],
        "message": pc.binary_join_element_wise(pa.scalar(sentence), _one(rows["patient_id"]), pa.scalar("."), ""),
        "line": pa.nulls(n, pa.string()),
    }
    return pa.table(
        [columns.get(item.name, rows[item.name] if item.name in rows.schema.names else None) for item in QUARANTINE],
        schema=QUARANTINE,
    )
