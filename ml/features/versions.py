"""Which version of a record holds when: each row becomes an interval [start, stop) of as-of times.

A version is visible from max(event_time, known_time) on. Among the visible versions of a record the one with the
greatest (known_time, epoch, offset) holds. So a version's interval ends where the first version of higher rank becomes
visible. Retracted versions only end others. What remains is order-free: a row holds at t if start <= t < stop.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from ml.facts import Facts, Int
from ml.features.bounds import INFINITE, TIME_BITS

_MIX_KEY, _MIX_SERIES = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F)


@dataclass(frozen=True, slots=True)
class Holdings:
    """Rows that hold at some time; `patient` counts within the call. Times in seconds."""

    patient: Int
    signal: Int
    event: Int
    start: Int
    stop: Int
    value: Int
    end: Int
    code: Int
    extra: Int

    def __len__(self) -> int:
        return len(self.patient)

    def take(self, rows: NDArray[np.bool_]) -> Holdings:
        """The rows of a mask."""
        return Holdings(**{field.name: getattr(self, field.name)[rows] for field in fields(self)})


def resolve(facts: Facts, patient: Int) -> Holdings:
    """Intervals of all versions of all records. `patient` (int64[n]) replaces `facts.patient`."""
    start = np.maximum(facts.event_time, facts.known_time)
    stop = np.full(len(facts), INFINITE, np.int64)
    rows = _with_siblings(facts, patient)
    if len(rows):
        rows, ends = _stops(facts, patient, start, rows)
        stop[rows] = ends
    keep = (stop > start) & ~facts.retracted
    whole = bool(keep.all())

    def column(values: Int) -> Int:
        return values if whole else values[keep]

    return Holdings(
        column(patient),
        column(facts.signal.astype(np.int64)),
        column(facts.event_time),
        column(start),
        column(stop),
        column(facts.value),
        column(facts.end_time),
        column(facts.code),
        column(facts.extra),
    )


def _with_siblings(facts: Facts, patient: Int) -> NDArray[np.intp]:
    """Positions of rows that may share their record with another row (a hash collision adds rows, never loses one)."""
    series = (patient * 512 + facts.signal).view(np.uint64)
    mixed = facts.key.view(np.uint64) * _MIX_KEY + series * _MIX_SERIES
    ordered = np.sort(mixed)
    twice = ordered[1:][ordered[1:] == ordered[:-1]]
    if not len(twice):
        return np.empty(0, np.intp)
    place = np.searchsorted(twice, mixed)
    place[place == len(twice)] = 0
    return np.flatnonzero(twice[place] == mixed)


def _stops(facts: Facts, patient: Int, start: Int, rows: NDArray[np.intp]) -> tuple[NDArray[np.intp], Int]:
    """(rows in order of record and rank, the time at which each stops holding)."""
    # Content is the last resort of the order, so that even two different facts of one message have one winner.
    content = ("extra", "code", "end_time", "high", "low", "value", "event_time", "retracted")
    rank = [getattr(facts, name)[rows] for name in (*content, "offset", "epoch", "known_time")]
    record: list[NDArray[np.signedinteger]] = [facts.key[rows], facts.signal[rows], patient[rows]]
    order = np.lexsort((*rank, *record))
    rows = rows[order]
    fresh = np.zeros(len(rows), np.bool_)
    fresh[0] = True
    for column in record:
        ordered = column[order]
        fresh[1:] |= ordered[1:] != ordered[:-1]
    group = np.cumsum(fresh)
    # Backwards, group numbers fall: packed above the time they reset the running minimum at each record.
    packed = (group << TIME_BITS) + start[rows]
    lowest = np.minimum.accumulate(packed[::-1])[::-1] - (group << TIME_BITS)
    stops = np.full(len(rows), INFINITE, np.int64)
    stops[:-1] = np.where(fresh[1:], INFINITE, lowest[1:])
    return rows, stops
