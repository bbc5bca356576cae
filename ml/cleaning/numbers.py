"""Measured numbers at their contract's resolution, exactly."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal

import numpy as np
from numpy.typing import NDArray

from ml.facts import ABSENT

Int = NDArray[np.int64]
Float = NDArray[np.float64]
Bool = NDArray[np.bool_]
_ONE = Decimal(1)


def fixed(values: Float, decimals: int) -> Int:
    """Fixed-point integers of decimal numbers, half-even *as written*: 36.645 with 2 decimals is 3664. NaN is ABSENT.

    A double nearest to a decimal tie may lie on either side of it; those few are decided on the decimal text.
    """
    scaled = np.asarray(values, np.float64) * float(10**decimals)
    missing = np.isnan(scaled)
    if missing.any():
        scaled = np.where(missing, 0.0, scaled)
    whole = np.rint(scaled)
    near = np.abs(np.abs(scaled - whole) - 0.5) <= np.maximum(1e-9, np.abs(scaled) * 1e-15)
    result = whole.astype(np.int64)
    for row in np.flatnonzero(near):
        text = Decimal(repr(float(values[row]))).scaleb(decimals)
        result[row] = int(text.quantize(_ONE, rounding=ROUND_HALF_EVEN))
    if missing.any():
        result[missing] = ABSENT
    return result


def unfixed(integers: Int, decimals: int) -> Float:
    """The double nearest to integer / 10^decimals; ABSENT is NaN."""
    return np.where(integers == ABSENT, np.nan, integers / float(10**decimals))


def in_unit(fixed_values: Int, low: float, high: float, decimals: int) -> Bool:
    """Whether low <= value <= high (limits inclusive, in the value's unit); ABSENT counts as within."""
    scale = 10**decimals
    within: Bool = (fixed_values >= low * scale - 1e-6) & (fixed_values <= high * scale + 1e-6)
    missing: Bool = fixed_values == ABSENT
    return np.asarray(within | missing, np.bool_)
