"""Versions of a record: their order, and what is only the version before it once more."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ml.cleaning.clean import patient_names
from ml.cleaning.numbers import Bool, Float, Int
from ml.contracts.signs import SIGNS
from ml.contracts.tables import LINEAGE, SILVER

ORDER = ("known_time", "epoch", "offset", "partition")
_TRANSPORT = frozenset(name for name, _ in LINEAGE) - {"trial_site_id", "event_time", "retracted"}
"""Columns that say how a version came, not what it says."""

CONTENT: dict[str, tuple[str, ...]] = {
    topic: tuple(name for name in schema.names if name not in _TRANSPORT) for topic, schema in SILVER.items()
}
_VITALS_CONTENT = ("trial_site_id", "source")
"""Of vital signs beside the signs themselves, which are compared one by one."""


class Deduped(NamedTuple):
    """The versions that stand, in the order of `in_rest_order`, numbered; and those that said nothing new."""

    rows: pa.Table
    duplicates: pa.Table


class Records(NamedTuple):
    """Rows sorted by record and version: `start` is where each row's record begins, `last` where it ends."""

    rows: pa.Table
    patient: Int
    start: Int
    last: Int


def in_order(rows: pa.Table) -> Records:
    """Sort rows by (patient, key, version order). All versions of a record have to be there."""
    names = patient_names(rows).dictionary_encode()
    patient = np.asarray(names.indices, np.int64)
    columns = [np.asarray(rows[name], np.int64) for name in ORDER]
    key = np.asarray(rows["key"], np.int64)
    order = np.lexsort((*reversed(columns), key, patient))
    patient, key = patient[order], key[order]
    n = len(order)
    fresh = np.ones(n, np.bool_)
    fresh[1:] = (patient[1:] != patient[:-1]) | (key[1:] != key[:-1])
    starts = np.flatnonzero(fresh)
    record = np.cumsum(fresh) - 1
    ends = np.append(starts[1:], n) - 1
    return Records(rows.take(pa.array(order)), patient, starts[record], ends[record])


def dedupe(topic: str, rows: pa.Table) -> Deduped:
    """Put the versions of every record in order, remove those that say what stands already, number the others.

    `rows`: silver rows (`SILVER[topic]`) with all versions of each record they hold. A version is a duplicate if its
    content (transport and `recorded_at` aside) is that of the version before it; of vital signs, if every sign it has
    is the one that stands, so that partial messages add up. After a retraction nothing stands.
    """
    if rows.num_rows == 0:
        return Deduped(rows, rows)
    records = in_order(rows)
    again = _vitals_again(records) if topic == "patient-vitals" else _same_as_before(records, CONTENT[topic])
    kept = records.rows.filter(pa.array(~again))
    removed = records.rows.filter(pa.array(again))
    # a version's number counts the standing ones before it in its record
    new: Int = (~again).astype(np.int64)
    standing: Int = np.cumsum(new)
    number = (standing - (standing - new)[records.start])[~again].astype(np.int32)
    kept = kept.set_column(kept.schema.get_field_index("version"), "version", pa.array(number))
    return Deduped(in_rest_order(kept), removed)


def in_rest_order(rows: pa.Table) -> pa.Table:
    """Rows in the order in which silver lies: a total order, so that equal content is equal bytes."""
    keys = ("trial_id", "patient_id", "event_time", "key", *ORDER, "topic_id")
    return rows.take(pc.sort_indices(rows, sort_keys=[(name, "ascending") for name in keys]))


def _repeat(column: pa.ChunkedArray) -> Bool:
    """Whether each row's value is that of the row before it (null equals null)."""
    if pa.types.is_floating(column.type):
        values = np.asarray(column.to_numpy(), np.float64)
        equal = (values[1:] == values[:-1]) | (np.isnan(values[1:]) & np.isnan(values[:-1]))
    else:
        codes = column.combine_chunks().dictionary_encode().indices
        values = np.asarray(pc.fill_null(codes, -1))
        equal = values[1:] == values[:-1]
    return np.concatenate([[False], equal])


def _same_as_before(records: Records, names: tuple[str, ...]) -> Bool:
    same = records.start < np.arange(len(records.start))
    for name in names:
        if not same.any():
            break
        same &= _repeat(records.rows[name])
    return same


def _vitals_again(records: Records) -> Bool:
    rows = records.rows
    n = rows.num_rows
    place = np.arange(n)
    again = _same_as_before(records, (*_VITALS_CONTENT, "retracted"))
    if not again.any():
        return again
    retracted = np.asarray(rows["retracted"], np.bool_)
    moment = np.asarray(rows["event_time"], np.int64)
    # nothing of before a retraction stands after it
    base = np.maximum(records.start, np.maximum.accumulate(np.where(retracted, place, 0)))
    for sign in SIGNS:
        values: Float = np.asarray(rows[sign.name].to_numpy(), np.float64)
        there = ~np.isnan(values)
        latest = np.maximum.accumulate(np.where(there & ~retracted, place, -1))
        earlier = np.concatenate([[-1], latest[:-1]])
        stands = earlier >= base
        source = np.where(stands, earlier, 0)
        again &= retracted | ~there | (stands & (values == values[source]) & (moment == moment[source]))
    return again
