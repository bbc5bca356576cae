"""Forward fill of vital signs, for people who look at silver. No feature reads it."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from ml.cleaning.body import number_array
from ml.cleaning.numbers import Bool, Float, Int
from ml.cleaning.rules import FILL_SECONDS, FLAGS
from ml.cleaning.versions import Records, in_order, in_rest_order
from ml.contracts.signs import SIGNS
from ml.contracts.tables import NEVER_FILLED

FILLED_SIGNS = tuple(sign.name for sign in SIGNS if sign.name not in NEVER_FILLED)
_SPAN = 1 << 36
"""More seconds than there are between any two events: keeps the patients' times apart in one sorted axis."""


def forward_fill(rows: pa.Table) -> pa.Table:
    """Fill `<sign>_filled` of deduplicated vitals rows and flag it (`filled_<sign>`).

    Where a standing record lacks a sign, the patient's newest standing measurement of it that is earlier by at most two
    hours is carried forward. Retracted and superseded rows neither give nor receive, and a record that has the sign in
    another of its versions is not filled. `rows` must hold the two hours before every row that matters.
    """
    if rows.num_rows == 0:
        return rows
    records = in_order(rows)
    rows = records.rows
    n = rows.num_rows
    place = np.arange(n)
    retracted = np.asarray(rows["retracted"], np.bool_)
    axis: Int = records.patient * _SPAN + np.asarray(rows["event_time"], np.int64)
    # rows at or before the record's last retraction have ended
    ended = _last_in_record(np.where(retracted, place, -1), records)
    alive = place > ended
    standing = {name: _standing(rows, name, alive, records) for name in (sign.name for sign in SIGNS)}
    receives = alive & np.any([stands for _, stands in standing.values()], axis=0)
    filled: list[tuple[str, Bool]] = []
    for name in FILLED_SIGNS:
        values, stands = standing[name]
        carried = np.full(n, np.nan)
        sources = np.flatnonzero(stands)
        if len(sources):
            sources = sources[np.argsort(axis[sources], kind="stable")]
            record_has = _last_in_record(np.where(stands, place, -1), records) >= 0
            needs = np.flatnonzero(receives & ~record_has)
            newest = np.searchsorted(axis[sources], axis[needs], side="left") - 1
            source = sources[np.maximum(newest, 0)]
            near = (newest >= 0) & (axis[needs] - axis[source] <= FILL_SECONDS)
            carried[needs[near]] = values[source[near]]
        filled.append((f"filled_{name}", ~np.isnan(carried)))
        column = rows.schema.get_field_index(f"{name}_filled")
        rows = rows.set_column(column, f"{name}_filled", number_array(carried))
    flags = rows.schema.get_field_index("flags")
    rows = rows.set_column(flags, "flags", _with_flags(rows["flags"].combine_chunks(), filled, n))
    return in_rest_order(rows)


def _last_in_record(places: Int, records: Records) -> Int:
    """The greatest place of a row's record (-1: none); `places` is each row's own place or -1."""
    reach = np.maximum.accumulate(places)
    last: Int = reach[records.last]
    return np.where(last >= records.start, last, -1)


def _standing(rows: pa.Table, name: str, alive: Bool, records: Records) -> tuple[Float, Bool]:
    """A sign's values, and where they are the record's newest."""
    values: Float = np.asarray(rows[name].to_numpy(), np.float64)
    place = np.arange(len(values))
    there = alive & ~np.isnan(values)
    return values, there & (_last_in_record(np.where(there, place, -1), records) == place)


def _with_flags(flags: pa.ListArray, more: list[tuple[str, Bool]], n: int) -> pa.ListArray:
    raised = [(FLAGS.index(name), mask) for name, mask in more if mask.any()]
    if not raised:
        return flags
    counts = np.diff(np.asarray(flags.offsets))
    codes = np.array([FLAGS.index(name) for name in flags.flatten().to_pylist()], np.int64)
    row = np.concatenate([np.repeat(np.arange(n), counts), *(np.flatnonzero(mask) for _, mask in raised)])
    code = np.concatenate([codes, *(np.full(int(mask.sum()), index) for index, mask in raised)]).astype(np.int64)
    order = np.lexsort((code, row))
    offsets = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=n))]).astype(np.int32)
    return pa.ListArray.from_arrays(offsets, pa.array(FLAGS, pa.string()).take(pa.array(code[order])))
