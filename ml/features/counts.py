"""Counts of what is going on at a time: each thing is an interval of as-of times, equal things are joined into one.

A count at t is then the number of joined intervals begun minus the number ended: two binary searches.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ml.clinical.interactions import CODES, HIGH_PRIORITY_PAIRS, QT_PAIRS
from ml.contracts.signals import DOSE_MISSED, SIGNAL_CODES
from ml.facts import ABSENT, Int
from ml.features.bounds import INFINITE, TIME_BITS, TIME_LIMIT
from ml.features.table import DAY
from ml.features.versions import Holdings

MEASURES = (
    "adverse_events",
    "ongoing",
    "grade_1",
    "grade_2",
    "grade_3",
    "grade_4",
    "grade_5",
    "conditions",
    "in_use",
    "ever_used",
    "used_before_week",
    "missed_week",
    "dose_records",
)
_CODE = {name: index for index, name in enumerate(MEASURES)}
_AE, _DRUG, _DOSE, _HISTORY = (SIGNAL_CODES[name] for name in ("adverse_event", "medication", "study_dose", "history"))
_KNOWN_CODES = np.array(sorted(CODES), np.int64)
_WEEK = 7 * DAY

_PLACE = {int(code): place for place, code in enumerate(_KNOWN_CODES)}
_HIGH = np.zeros((len(CODES), len(CODES)), np.int64)
_QT = np.zeros_like(_HIGH)
for _matrix, _pairs in ((_HIGH, HIGH_PRIORITY_PAIRS), (_QT, QT_PAIRS)):
    for _first, _second in _pairs:
        _matrix[_PLACE[_first], _PLACE[_second]] = _matrix[_PLACE[_second], _PLACE[_first]] = 1


def _until_end(held: Holdings, rows: NDArray[np.intp]) -> Int:
    end = held.end[rows]
    return np.where(end == ABSENT, held.stop[rows], np.minimum(end, held.stop[rows]))


_Row = tuple[Int, Int, Int, Int, Int, Int]


def _intervals(held: Holdings) -> Iterator[_Row]:
    """(measure, patient, identity, second identity, from, until) of everything that is counted."""

    def one(measure: str, rows: NDArray[np.intp], identity: Int, moment: Int, begin: Int, until: Int) -> _Row:
        return np.full(len(rows), _CODE[measure]), held.patient[rows], identity, moment, begin, until

    for signal in (_AE, _DRUG, _DOSE, _HISTORY):
        rows = np.flatnonzero(held.signal == signal)
        if not len(rows):
            continue
        code, event, start, stop = held.code[rows], held.event[rows], held.start[rows], held.stop[rows]
        nothing = np.zeros(len(rows), np.int64)
        later = np.minimum(event + _WEEK, INFINITE)
        if signal == _AE:
            yield one("adverse_events", rows, code, event, start, stop)
            yield one("ongoing", rows, code, event, start, _until_end(held, rows))
            grade = held.value[rows]
            graded = (grade >= 1) & (grade <= 5)
            zero = nothing[graded]
            yield (
                _CODE["grade_1"] + grade[graded] - 1,
                held.patient[rows[graded]],
                zero,
                zero,
                start[graded],
                stop[graded],
            )
        elif signal == _DRUG:
            yield one("in_use", rows, code, nothing, start, _until_end(held, rows))
            yield one("ever_used", rows, code, nothing, start, stop)
            yield one("used_before_week", rows, code, nothing, np.maximum(start, later), stop)
        elif signal == _DOSE:
            yield one("dose_records", rows, nothing, nothing, start, stop)
            missed = np.flatnonzero(held.extra[rows] == DOSE_MISSED)
            yield one("missed_week", rows[missed], code[missed], event[missed], start[missed],
                      np.minimum(later, stop)[missed])  # fmt: skip
        else:
            yield one("conditions", rows, code, nothing, start, _until_end(held, rows))


def counts(held: Holdings, patient: Int, as_of: Int) -> dict[str, Int]:
    """Number of different things of each of `MEASURES`, by pair."""
    parts = list(_intervals(held))
    if not parts:
        return {name: np.zeros(len(patient), np.int64) for name in MEASURES}
    measure, who, identity, moment, begin, until = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    lasting = begin < until
    group = (who * len(MEASURES) + measure)[lasting]
    begun, ended = _join(group, *(column[lasting] for column in (identity, moment, begin, until)))
    ask = ((patient[:, None] * len(MEASURES) + np.arange(len(MEASURES))) << TIME_BITS) + (as_of + TIME_LIMIT)[:, None]
    number = np.searchsorted(begun, ask, side="right") - np.searchsorted(ended, ask, side="right")
    return {name: number[:, column] for name, column in _CODE.items()}


def _join(group: Int, identity: Int, moment: Int, begin: Int, until: Int) -> tuple[Int, Int]:
    """Sorted packed (group, time) of the beginnings and of the ends of joined intervals of equal identity."""
    order = np.lexsort((begin, moment, identity, group))
    group, identity, moment, begin, until = (column[order] for column in (group, identity, moment, begin, until))
    fresh = np.ones(len(group), np.bool_)
    fresh[1:] = (group[1:] != group[:-1]) | (identity[1:] != identity[:-1]) | (moment[1:] != moment[:-1])
    number = np.cumsum(fresh)
    # The running latest end, restarted at each identity because its number is packed above the time.
    reach = np.maximum.accumulate((number << TIME_BITS) + until) - (number << TIME_BITS)
    opens = fresh.copy()
    opens[1:] |= begin[1:] > reach[:-1]
    closes = np.roll(opens, -1)
    packed = group << TIME_BITS
    return np.sort((packed + begin + TIME_LIMIT)[opens]), np.sort((packed + reach + TIME_LIMIT)[closes])


def interactions(held: Holdings, patient: Int, as_of: Int) -> tuple[Int, Int, Int]:
    """(pairs that interact, pairs on the class table, QT pairs) among the medicines in use, by pair of patient and time."""
    total, high, prolonging = (np.zeros(len(patient), np.int64) for _ in range(3))
    rows = np.flatnonzero(held.signal == _DRUG)
    place = np.minimum(np.searchsorted(_KNOWN_CODES, held.code[rows]), len(_KNOWN_CODES) - 1)
    rows = rows[_KNOWN_CODES[place] == held.code[rows]]
    if len(rows) < 2:
        return total, high, prolonging
    until = _until_end(held, rows)
    for who in np.unique(held.patient[rows]):
        mine = held.patient[rows] == who
        codes, column = np.unique(held.code[rows[mine]], return_inverse=True)
        asked = np.flatnonzero(patient == who)
        if len(codes) < 2 or not len(asked):
            continue
        now = as_of[asked, None]
        in_use = (held.start[rows[mine]] <= now) & (now < until[mine])
        used = np.zeros((len(asked), len(codes)), np.int64)
        for position, drug in enumerate(column):
            used[:, drug] |= in_use[:, position]
        place = np.searchsorted(_KNOWN_CODES, codes)
        both = used[:, :, None] * used[:, None, :]
        on_class, on_qt = _HIGH[np.ix_(place, place)], _QT[np.ix_(place, place)]
        total[asked] = (both * (on_class | on_qt)).sum(axis=(1, 2)) // 2
        high[asked] = (both * on_class).sum(axis=(1, 2)) // 2
        prolonging[asked] = (both * on_qt).sum(axis=(1, 2)) // 2
    return total, high, prolonging
