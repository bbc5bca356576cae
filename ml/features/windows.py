"""Exact sums over windows of the temporal signs, for all (patient, as-of time) pairs at once.

Most rows are known before anybody asks: the rows visible at t are then simply the first so many in event order, and a
window's sums are differences of prefix sums (least and greatest: a table of powers of two). Where a late or corrected
record breaks this, that pair and sign is summed row by row. Both ways give the same integers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml.facts import Int
from ml.features.bounds import INFINITE, TIME_BITS, TIME_LIMIT
from ml.features.series import SIGN_SLOTS, Series, centred, series_key
from ml.features.table import HOUR

ONE, SIX, DAY, DAY_BEFORE, THREE_DAYS, BASELINE = range(6)
"""Windows: 1 h, 6 h, 24 h, 24 h to 48 h ago, 72 h, baseline period."""
_EDGES = (0, HOUR, 6 * HOUR, 24 * HOUR, 48 * HOUR, 72 * HOUR)
_UPPER = np.array([0, 0, 0, 3, 0, 6])
_LOWER = np.array([1, 2, 3, 4, 5, 7])
_BIG = np.iinfo(np.int16).max
_ROWS_AT_ONCE = 50_000


@dataclass(frozen=True, slots=True)
class Moments:
    """Sums over each window, int64[window, pair, sign]: x = value less its centre, t = seconds from the as-of time (<= 0).

    The t-sums are not given for the baseline period. `least`, `greatest`: x, for the first three windows only, and
    meaningless where n is 0.
    """

    n: Int
    x: Int
    xx: Int
    t: Int
    tt: Int
    tx: Int
    least: Int
    greatest: Int


def moments(
    series: Series, patient: Int, as_of: Int, baseline: tuple[Int, Int], *, by_row: bool | None = None
) -> Moments:
    """Sums of all windows. `baseline`: first and last second of the period per pair, last < first where there is none.

    `by_row` asks for the way row by row, or against it where it can be avoided; by default the cheaper is taken.
    The integers are the same.
    """
    signs = np.arange(SIGN_SLOTS)
    base = series_key(patient[:, None], signs[None, :])
    first, last = baseline
    times = np.stack([*(as_of - edge for edge in _EDGES), np.maximum(np.minimum(last, as_of), first - 1), first - 1])
    places = series.find(base[None], times[:, :, None])
    x = centred(series)
    rows = int((places[0] - places[5]).sum() + (places[6] - places[7]).sum())
    if by_row is None:
        # A few questions about a long history: adding up their rows is less work than prefixes over all rows.
        by_row = rows <= len(series)
    if by_row:
        result = Moments(*(np.zeros((count, *base.shape), np.int64) for count in (6, 6, 6, 6, 6, 6, 3, 3)))
        _by_row(series, x, places, as_of, np.ones(base.shape, np.bool_), result)
        return result
    lasting = series.stop == INFINITE
    known, quick = _quick(series, lasting, base, as_of)
    result = _by_prefix(series, x, lasting, np.minimum(places, known[None]), as_of)
    if not quick.all():
        past = (known >= places[6]) & _past(series, ~lasting, base + times[6][:, None], base + as_of[:, None])
        _by_row(series, x, places, as_of, ~quick, result, settled=past)
    return result


def _quick(series: Series, lasting: NDArray[np.bool_], base: Int, as_of: Int) -> tuple[Int, NDArray[np.bool_]]:
    """(rows of the prefix that is visible, whether that prefix is all that is visible), by pair and sign."""
    # A superseded version weighs nothing in the prefixes, so there it counts as visible from its event on.
    shown = series.key - series.event + np.where(lasting, series.start, series.event)
    ask = base + as_of[:, None]
    if (shown[1:] >= shown[:-1]).all():
        known = np.searchsorted(shown, ask, side="right")
        quick = np.ones(known.shape, np.bool_)
    else:
        known = np.searchsorted(np.maximum.accumulate(shown), ask, side="right")
        quick = known == np.searchsorted(np.sort(shown), ask, side="right")
    if not lasting.all():
        passing = ~lasting
        number = series.key[passing] - series.event[passing]
        begun = np.searchsorted(np.sort(number + series.start[passing]), ask, side="right")
        ended = np.searchsorted(np.sort(number + series.stop[passing]), ask, side="right")
        quick &= begun == ended
    return known, quick


def _past(series: Series, passing: NDArray[np.bool_], until: Int, ask: Int) -> NDArray[np.bool_]:
    """Where every superseded version with an event up to `until` had ended by `ask` (both packed), by pair and sign."""
    if not passing.any():
        return np.ones(until.shape, np.bool_)
    number = series.key[passing] - series.event[passing]
    ends = np.maximum.accumulate(number + series.stop[passing])
    place = np.searchsorted(series.key[passing], until, side="right") - 1
    return np.asarray((place < 0) | (ends[np.maximum(place, 0)] <= ask))


def _by_prefix(series: Series, x: NDArray[np.int16], lasting: NDArray[np.bool_], places: Int, as_of: Int) -> Moments:
    count = len(series)
    weight = lasting.astype(np.int64)
    value = np.where(lasting, x, np.int16(0)).astype(np.int64)
    origin = int(as_of[0])
    when = np.where(lasting, series.event - origin, 0).view(np.uint64)
    sums = np.zeros((6, count + 1), np.uint64)
    # uint64: sums count modulo 2^64, see ml.features.bounds; the difference of two of them is the window's own sum.
    plain = value.view(np.uint64)
    for row, column in enumerate((weight.view(np.uint64), plain, plain * plain, when, when * when, when * plain)):
        np.cumsum(column, out=sums[row, 1:])
    at = sums[:, places]
    n, s, ss, t, tt, tx = at[:, _UPPER] - at[:, _LOWER]
    ago = (as_of - origin).view(np.uint64)[None, :, None]
    # Moved from the common origin to each as-of time.
    tt = tt - np.uint64(2) * ago * t + ago * ago * n
    tx = tx - ago * s
    t = t - ago * n
    least, greatest = _extremes(x, lasting, places)
    whole = [column.view(np.int64) for column in (n, s, ss, t, tt, tx)]
    return Moments(whole[0], whole[1], whole[2], whole[3], whole[4], whole[5], least, greatest)


def _extremes(x: NDArray[np.int16], lasting: NDArray[np.bool_], places: Int) -> tuple[Int, Int]:
    """Least and greatest of windows 1 h, 6 h, 24 h by tables over spans of 1, 2, 4, … rows."""
    low, high = places[_LOWER[:3]], places[_UPPER[:3]]
    length = high - low
    levels = max(int(length.max(initial=0)), 1).bit_length()
    level_of = np.zeros(2**levels, np.int64)
    for level in range(1, levels):
        level_of[2**level :] = level
    level = level_of[np.maximum(length, 0)]
    results = []
    for pick, fill in ((np.minimum, _BIG), (np.maximum, -_BIG)):
        table = np.full((levels, len(x) + 1), fill, np.int16)
        table[0, :-1] = np.where(lasting, x, np.int16(fill))
        for k in range(1, levels):
            half = 1 << (k - 1)
            pick(table[k - 1, :-half], table[k - 1, half:], out=table[k, :-half])
        left = table[level, low]
        right = table[level, np.maximum(high - (1 << level), 0)]
        results.append(pick(left, right).astype(np.int64))
    return results[0], results[1]


def _by_row(
    series: Series,
    x: NDArray[np.int16],
    places: Int,
    as_of: Int,
    slow: NDArray[np.bool_],
    into: Moments,
    settled: NDArray[np.bool_] | None = None,
) -> None:
    """Sum the `slow` entries row by row, over all versions, into `into`; the baseline period not where it is `settled`."""
    pairs, signs = np.nonzero(slow)
    edge = places[:, pairs, signs]
    # Disjoint spans, newest first: (t-1h, t], (t-6h, t-1h], … (t-72h, t-48h]; then the baseline period.
    low = np.concatenate([edge[1:6], edge[7:8]]).T
    high = np.concatenate([edge[0:5], edge[6:7]]).T
    fresh = np.ones(len(pairs), np.bool_) if settled is None else ~settled[pairs, signs]
    high[:, 5] = np.where(fresh, high[:, 5], low[:, 5])
    upto = np.cumsum((high - low).sum(axis=1))
    begin = 0
    while begin < len(pairs):
        done = int(upto[begin - 1]) if begin else 0
        chunk = slice(begin, max(int(np.searchsorted(upto, done + _ROWS_AT_ONCE)), begin + 1))
        summed = _sum_spans(series, x, low[chunk], high[chunk], as_of[pairs[chunk]])
        _store(into, summed, pairs[chunk], signs[chunk], fresh[chunk])
        begin = chunk.stop


def _sum_spans(series: Series, x: NDArray[np.int16], low: Int, high: Int, as_of: Int) -> tuple[Int, Int, Int]:
    """(sums [6, entry, span], least [entry, 3], greatest [entry, 3]) of the rows that hold."""
    lengths = (high - low).ravel()
    bounds = np.zeros(low.size + 1, np.int64)
    np.cumsum(lengths, out=bounds[1:])
    rows = np.arange(bounds[-1]) + np.repeat(low.ravel() - bounds[:-1], lengths)
    now = as_of[:1] if (as_of == as_of[0]).all() else np.repeat(np.repeat(as_of, low.shape[1]), lengths)
    holds = (series.start[rows] <= now) & (now < series.stop[rows])
    small = x[rows]
    value = np.where(holds, small, np.int16(0)).astype(np.int64)
    # Rows of the baseline period may be older than any window; their times are not summed, and so kept small.
    when = np.where(holds, np.maximum(series.event[rows] - now, -_EDGES[-1]), 0)
    running = np.zeros((6, len(rows) + 1), np.int64)
    for row, column in enumerate((holds, value, value * value, when, when * when, when * value)):
        np.cumsum(column, out=running[row, 1:])
    sums = (running[:, bounds[1:]] - running[:, bounds[:-1]]).reshape(6, *low.shape)
    extremes = []
    for pick, fill in ((np.minimum, _BIG), (np.maximum, -_BIG)):
        padded = np.append(np.where(holds, small, np.int16(fill)), np.int16(fill))
        span = np.where(lengths > 0, pick.reduceat(padded, bounds[:-1]), np.int16(fill)).reshape(low.shape)
        extremes.append(pick.accumulate(span[:, :3], axis=1).astype(np.int64))
    return sums, extremes[0], extremes[1]


def _store(into: Moments, summed: tuple[Int, Int, Int], pairs: Int, signs: Int, fresh: NDArray[np.bool_]) -> None:
    """Put spans together to windows; the baseline period only of `fresh` entries."""
    sums, least, greatest = summed
    nested = np.cumsum(sums[:, :, :5], axis=2)
    for target, whole, alone in zip((into.n, into.x, into.xx, into.t, into.tt, into.tx), nested, sums, strict=True):
        target[:3, pairs, signs] = whole.T[:3]
        target[DAY_BEFORE, pairs, signs] = alone[:, 3]
        target[THREE_DAYS, pairs, signs] = whole[:, 4]
        target[BASELINE, pairs[fresh], signs[fresh]] = alone[fresh, 5]
    into.least[:, pairs, signs] = least.T
    into.greatest[:, pairs, signs] = greatest.T


def check_key_room(patients: int) -> None:
    """OverflowError when more patients come at once than the packed key has room for."""
    if patients >= 2 ** (63 - TIME_BITS - 6):
        raise OverflowError(f"{patients} patients at once are more than the packed key holds; pass them in parts.")


assert TIME_LIMIT == 2 ** (TIME_BITS - 1)
