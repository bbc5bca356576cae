"""The newest and the first reading of a series as known at a time, found by walking from where the time falls.

Readings at the same second count together (sum and number of them), so that no tie needs an arbitrary winner.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml.facts import Int
from ml.features.series import Series

NONE = -(2**62)
"""Event time where there is no reading."""


@dataclass(frozen=True, slots=True)
class Newest:
    """`columns`: int64[6, …], and each of its six: event time (`NONE` where there is no reading), sum and number of the
    readings at it; then the same of the reading time before it.
    """

    columns: Int
    event: Int
    sum: Int
    n: Int
    event_before: Int
    sum_before: Int
    n_before: Int

    @classmethod
    def of(cls, columns: Int) -> Newest:
        """From the six columns stacked."""
        return cls(columns, columns[0], columns[1], columns[2], columns[3], columns[4], columns[5])

    def part(self, slots: slice) -> Newest:
        """Some columns (last axis)."""
        return Newest.of(self.columns[..., slots])


def newest(series: Series, low: Int, high: Int, as_of: Int, two: NDArray[np.bool_]) -> Newest:
    """The newest reading among rows [low, high) that hold at `as_of`; the one before it where `two` asks.

    All arrays have one shape (flattened inside).
    """
    shape = high.shape
    place, floor = high.ravel() - 1, low.ravel()
    times = np.broadcast_to(as_of, shape).ravel()
    blocks = np.broadcast_to(two, shape).ravel().astype(np.int64)
    size = len(place)
    event = np.full((3, size), NONE)
    total = np.zeros((3, size), np.int64)
    count = np.zeros((3, size), np.int64)
    block = np.zeros(size, np.int64)
    walking = np.flatnonzero(place >= floor)
    while len(walking):
        row = place[walking]
        now = times[walking]
        holds = (series.start[row] <= now) & (now < series.stop[row])
        who, row = walking[holds], row[holds]
        if len(who):
            when = series.event[row]
            current = event[block[who], who]
            block[who] += (current != NONE) & (when != current)
            on = block[who] <= blocks[who]
            who, when, row = who[on], when[on], row[on]
            step = block[who]
            event[step, who] = when
            total[step, who] += series.value[row]
            count[step, who] += 1
        place[walking] -= 1
        walking = walking[(place[walking] >= floor[walking]) & (block[walking] <= blocks[walking])]
    return Newest.of(np.stack([event[:2], total[:2], count[:2]], axis=1).reshape(6, *shape))


def first(series: Series, key: Int, as_of: Int) -> Int:
    """Event time of the earliest row that holds at `as_of`, by series; NONE where there is none. `key`: of the series."""
    place = np.searchsorted(series.key, key - (key & 0xFFFFFFFFF))
    end = np.searchsorted(series.key, key + as_of, side="right")
    found = np.full(len(place), NONE)
    walking = np.flatnonzero(place < end)
    while len(walking):
        row = place[walking]
        now = as_of[walking]
        holds = (series.start[row] <= now) & (now < series.stop[row])
        found[walking[holds]] = series.event[row[holds]]
        place[walking] += 1
        walking = walking[~holds & (place[walking] < end[walking])]
    return found


def choose(first_choice: Newest, other: Newest) -> Newest:
    """Entry by entry the one with the newer event, the first where they are equal."""
    return Newest.of(np.where(first_choice.event >= other.event, first_choice.columns, other.columns))
