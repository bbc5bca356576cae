"""How large the kernel's integers may be, and where arithmetic changes over to unbounded integers.

Everything before the last division is exact. int64 holds it as long as these bounds hold; each is checked, none is
assumed. Prefix sums are the one place that counts modulo 2^64 (uint64): addition and subtraction are exact there, and
a window's own sum, the difference of two prefixes, is known to fit, so it comes back whole.

| quantity | bound | why |
|---|---|---|
| times | abs < 2^35 s (year 3058) | series number and time share one int64 sort key |
| sign less its centre | < 2^12 | contract limits (checked against `SIGNS` when imported) |
| other values | < 2^36 | amounts of doses × 1000 |
| readings of a sign in a window, for spread | <= 2^19 | n·Σx² < 2^19·2^19·2^24 = 2^62 |
| readings of a sign in a window, for slopes | <= 2^13 | n·Σt² < 2^13·2^13·2^36 = 2^62, |t| <= 72 h < 2^18 |
| results taken in the same second | <= 2^8 | numerators of change and rate |

Above the last three the same formula runs in Python's integers: slower, as exact.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ml.contracts.signals import SIGNAL_NAMES
from ml.contracts.signs import SIGN_BY_NAME
from ml.facts import ABSENT, Facts, Int
from ml.features.table import TEMPORAL_SIGNS

TIME_BITS = 36
TIME_LIMIT = 2 ** (TIME_BITS - 1)
INFINITE = TIME_LIMIT - 1
"""As an end: never."""
SPREAD_LIMIT = 2**19
SLOPE_LIMIT = 2**13
TIES_LIMIT = 2**8
VALUE_LIMIT = 2**36
CENTRED_LIMIT = 2**12

CENTRE: dict[str, int] = {
    name: round((sign.impossible_below + sign.impossible_above) / 2 * 10**sign.decimals)
    for name, sign in SIGN_BY_NAME.items()
    if name in TEMPORAL_SIGNS
}
"""Fixed-point middle of what is possible: spread and slope do not change with it, overflow does."""

for _name, _centre in CENTRE.items():
    _scale = 10 ** SIGN_BY_NAME[_name].decimals
    _reach = max(
        SIGN_BY_NAME[_name].impossible_above * _scale - _centre, _centre - SIGN_BY_NAME[_name].impossible_below * _scale
    )
    if _reach >= CENTRED_LIMIT:
        raise AssertionError(f"{_name} may lie {_reach} from its centre; the kernel's sums allow {CENTRED_LIMIT}.")

_CENTRE_OF = np.zeros(512, np.int64)
_LIMIT_OF = np.full(512, VALUE_LIMIT, np.int64)
for _code, _name in SIGNAL_NAMES.items():
    if _name in CENTRE:
        _CENTRE_OF[_code], _LIMIT_OF[_code] = CENTRE[_name], CENTRED_LIMIT


def check_facts(facts: Facts) -> None:
    """OverflowError, naming the signal or column, when a fact lies beyond what the arithmetic is proven for."""
    if not len(facts):
        return
    for name in ("event_time", "known_time"):
        column = getattr(facts, name)
        if int(column.min()) <= -TIME_LIMIT or int(column.max()) >= INFINITE:
            raise OverflowError(f"A fact's {name} lies outside {-TIME_LIMIT} to {TIME_LIMIT} seconds since 1970.")
    signal = facts.signal.astype(np.intp)
    distance, limit = facts.value - _CENTRE_OF.take(signal), _LIMIT_OF.take(signal)
    beyond = (distance >= limit) | (distance <= -limit)
    if beyond.any() and (beyond := beyond & (facts.value != ABSENT)).any():
        row = int(np.flatnonzero(beyond)[0])
        name = SIGNAL_NAMES.get(int(facts.signal[row]), str(facts.signal[row]))
        raise OverflowError(f"{name} has the fixed-point value {facts.value[row]}, beyond its contract's limits.")


def check_times(as_of: Int) -> None:
    """OverflowError when an as-of time lies outside the range of times."""
    if len(as_of) and (int(as_of.min()) <= -TIME_LIMIT // 2 or int(as_of.max()) >= TIME_LIMIT // 2):
        raise OverflowError(f"An as-of time lies outside {-TIME_LIMIT // 2} to {TIME_LIMIT // 2} seconds since 1970.")


Columns = tuple[NDArray[np.int64], ...]


def exactly(
    formula: Callable[..., tuple[NDArray[np.generic], NDArray[np.generic]]],
    fits: NDArray[np.bool_],
    valid: NDArray[np.bool_],
    *columns: NDArray[np.int64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Numerator and denominator of `formula(*columns)` as float64, each rounded once from the exact integer.

    Where `fits` is false for a valid entry the formula runs on Python integers. Entries that are not `valid` come back
    as 0 / 1 and are to be ignored. All arrays have the same shape.
    """
    if fits.all():
        above, below = formula(*columns)
        return above.astype(np.float64), below.astype(np.float64)
    safe = [np.where(fits, column, 0) for column in columns]
    above, below = formula(*safe)
    numerator, denominator = above.astype(np.float64), below.astype(np.float64)
    wide = valid & ~fits
    if wide.any():
        above, below = formula(*(column[wide].astype(object) for column in columns))
        numerator[wide], denominator[wide] = above.astype(np.float64), below.astype(np.float64)
    return numerator, denominator
