"""Exponential and logistic function whose bits are the same on every processor.

`np.exp` picks its code by the processor's features, so its last bit differs between machines. These use only separate
additions, multiplications, divisions, `rint` and `ldexp`, each of which IEEE 754 fixes to the last bit.
Reduction and coefficients: Sun's fdlibm `e_exp.c` (error below 1 ulp).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]

_INV_LN2 = 1.44269504088896338700e00
_LN2_HIGH = 6.93147180369123816490e-01  # its last 32 bits are zero, so k × high is exact
_LN2_LOW = 1.90821492927058770002e-10
_P1, _P2, _P3, _P4, _P5 = (
    1.66666666666666019037e-01,
    -2.77777777770155933842e-03,
    6.61375632143793436117e-05,
    -1.65339022054652515390e-06,
    4.13813679705723846039e-08,
)
_LOWEST, _HIGHEST = -745.0, 709.0
_SMALL = 0.5
_SERIES = 18


def exp(x: Float) -> Float:
    """e^x, elementwise. Below -745 it gives the value at -745 (about 5e-324), above 709 that at 709; NaN stays NaN."""
    x = np.minimum(np.maximum(x, _LOWEST), _HIGHEST)
    k = np.rint(x * _INV_LN2)
    high = x - k * _LN2_HIGH
    low = k * _LN2_LOW
    r = high - low
    t = r * r
    c = r - t * (_P1 + t * (_P2 + t * (_P3 + t * (_P4 + t * _P5))))
    y = 1.0 - ((low - (r * c) / (2.0 - c)) - high)
    return np.ldexp(y, np.where(np.isnan(k), 0.0, k).astype(np.int32))


def sigmoid(x: Float) -> Float:
    """1 / (1 + e^-x), elementwise, without overflow and without loss for large negative x."""
    e = exp(-np.abs(x))
    return np.where(x >= 0, 1.0, e) / (1.0 + e)


def sigmoid_slope(u: Float, v: float) -> Float:
    """(sigmoid(u) − sigmoid(v)) / (u − v), elementwise; the derivative where u = v. Accurate where u is near v, too."""
    p, q = sigmoid(u), float(sigmoid(np.array([v]))[0])
    d = u - v
    near = np.abs(d) < _SMALL
    # σ(u) − σ(v) = σ(u) (1 − σ(v)) (1 − e^−d), and (1 − e^−d) / d = Σ (−d)^n / (n+1)! loses nothing for small d
    e = np.where(near, d, 0.0)
    series = np.ones_like(e)
    for n in range(_SERIES, 1, -1):
        series = 1.0 - series * e / n
    return np.where(near, p * (1.0 - q) * series, (p - q) / np.where(near, 1.0, d))
