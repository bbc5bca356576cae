"""The sixty temporal features: window sums of the vital signs, each ended by one division."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ml.contracts.signs import SIGN_BY_NAME
from ml.facts import Int
from ml.features import windows
from ml.features.bounds import CENTRE, SLOPE_LIMIT, SPREAD_LIMIT, exactly
from ml.features.series import SLOT, Series
from ml.features.table import FEATURES, HOUR, TEMPORAL_SIGNS, of_aggregation
from ml.features.windows import Moments

Matrix = NDArray[np.float64]
_WINDOW = {HOUR: windows.ONE, 6 * HOUR: windows.SIX, 24 * HOUR: windows.DAY, 72 * HOUR: windows.THREE_DAYS}
_SIGNS = np.arange(len(TEMPORAL_SIGNS))
_SCALE = np.array([10 ** SIGN_BY_NAME[name].decimals for name in TEMPORAL_SIGNS], np.int64)
_CENTRE = np.array([CENTRE[name] for name in TEMPORAL_SIGNS], np.int64)
_SYSTOLIC, _DIASTOLIC = SLOT["blood_pressure_systolic"], SLOT["blood_pressure_diastolic"]


class _Columns:
    """Where the features of one aggregation stand: columns of the matrix, their windows and signs."""

    def __init__(self, *aggregations: str) -> None:
        rows = of_aggregation(*aggregations)
        self.at = np.array([position for position, _ in rows])
        self.window = np.array([_WINDOW[feature.window or 0] for _, feature in rows])
        self.sign = np.array([SLOT[feature.sources[0]] for _, feature in rows])
        self.scale = _SCALE[self.sign][:, None]

    def of(self, sums: Int) -> Int:
        """int64[feature, pair] of sums[window, pair, sign]."""
        picked: Int = sums[self.window, :, self.sign]
        return picked


_MEAN, _MIN, _MAX, _TREND = _Columns("mean"), _Columns("min"), _Columns("max"), _Columns("trend")
_STD, _VARIANCE = _Columns("std"), _Columns("variance")
_MISSING, _CHANGE, _DEVIATION = _Columns("missing"), _Columns("change"), _Columns("deviation")
_PULSE, _ARTERIAL = _Columns("difference_of_means"), _Columns("mean_arterial")
_INSTABILITY = [position for position, _ in of_aggregation("instability")]
_DEVIATING: Sequence[int] = [SLOT[FEATURES[position].sources[0]] for position in _DEVIATION.at]


def divide(above: Matrix, below: Matrix, valid: NDArray[np.bool_]) -> Matrix:
    """above / below, NaN where not `valid`."""
    result: Matrix = np.divide(above, below, out=np.full(above.shape, np.nan), where=valid)
    return result


def _difference(x: Int, n: Int, x0: Int, n0: Int) -> tuple[Int, Int]:
    """Difference of two means, over a common denominator."""
    return x * n0 - x0 * n, n * n0


def _spread(n: Int, x: Int, xx: Int) -> tuple[Int, Int]:
    """Variance with ddof 1."""
    return n * xx - x * x, n * (n - 1)


def _slope(n: Int, x: Int, t: Int, tt: Int, tx: Int) -> tuple[Int, Int]:
    """Least-squares slope per second."""
    return n * tx - t * x, n * tt - t * t


def variance(n: Int, x: Int, xx: Int, scale: Int) -> Matrix:
    """Variance in squared units; NaN with fewer than two readings."""
    above, below = exactly(_spread, n <= SPREAD_LIMIT, n >= 2, n, x, xx)
    return divide(above, below * (scale * scale), n >= 2)


def fill(result: Matrix, series: Series, patient: Int, as_of: Int, baseline: tuple[Int, Int]) -> None:
    """Write the temporal columns of `result`."""
    sums = windows.moments(series, patient, as_of, baseline)
    whole = sums.x + sums.n * _CENTRE
    _levels(result, sums, whole)
    _spreads(result, sums)
    _pressures(result, sums, whole)
    _against_before(result, sums)


def _levels(result: Matrix, sums: Moments, whole: Int) -> None:
    n = _MEAN.of(sums.n)
    result[:, _MEAN.at] = divide(_MEAN.of(whole).astype(float), (n * _MEAN.scale).astype(float), n > 0).T
    for columns, extreme in ((_MIN, sums.least), (_MAX, sums.greatest)):
        value = columns.of(extreme) + _CENTRE[columns.sign][:, None]
        there = columns.of(sums.n) > 0
        result[:, columns.at] = divide(
            value.astype(float), np.broadcast_to(columns.scale, value.shape).astype(float), there
        ).T
    result[:, _MISSING.at] = (_MISSING.of(sums.n) == 0).T


def _spreads(result: Matrix, sums: Moments) -> None:
    for columns in (_STD, _VARIANCE):
        spread = variance(columns.of(sums.n), columns.of(sums.x), columns.of(sums.xx), columns.scale)
        result[:, columns.at] = (np.sqrt(spread) if columns is _STD else spread).T
    n, x, t, tt, tx = (_TREND.of(column) for column in (sums.n, sums.x, sums.t, sums.tt, sums.tx))
    above, below = exactly(_slope, n <= SLOPE_LIMIT, n >= 2, n, x, t, tt, tx)
    result[:, _TREND.at] = (divide(above, below, (n >= 2) & (below > 0)) * (float(HOUR) / _TREND.scale)).T


def _pressures(result: Matrix, sums: Moments, whole: Int) -> None:
    for columns, weight, parts in ((_PULSE, -1, 1), (_ARTERIAL, 2, 3)):
        n, n0 = sums.n[columns.window, :, _SYSTOLIC], sums.n[columns.window, :, _DIASTOLIC]
        x, x0 = whole[columns.window, :, _SYSTOLIC], whole[columns.window, :, _DIASTOLIC]
        above, below = x * n0 + weight * x0 * n, parts * n * n0 * columns.scale
        result[:, columns.at] = divide(above.astype(float), below.astype(float), (n > 0) & (n0 > 0)).T


def _against_before(result: Matrix, sums: Moments) -> None:
    n, x = _CHANGE.of(sums.n), _CHANGE.of(sums.x)
    n0, x0 = (column[windows.DAY_BEFORE, :, _CHANGE.sign] for column in (sums.n, sums.x))
    above, below = _difference(x, n, x0, n0)
    result[:, _CHANGE.at] = divide(above.astype(float), (below * _CHANGE.scale).astype(float), (n > 0) & (n0 > 0)).T

    n, x = _DEVIATION.of(sums.n), _DEVIATION.of(sums.x)
    n0, x0, xx0 = (column[windows.BASELINE, :, _DEVIATION.sign] for column in (sums.n, sums.x, sums.xx))
    above, below = _difference(x, n, x0, n0)
    one = np.ones_like(_DEVIATION.scale)
    spread = np.sqrt(variance(n0, x0, xx0, one))
    valid = (n > 0) & (spread > 0)
    deviation = divide(divide(above.astype(float), below.astype(float), valid), spread, valid)
    result[:, _DEVIATION.at] = deviation.T
    score = np.zeros(deviation.shape[1])
    for row in np.argsort(_DEVIATING):  # a float sum has an order: that of TEMPORAL_SIGNS
        score = score + np.where(valid[row], np.abs(deviation[row]), 0.0)
    result[:, _INSTABILITY] = np.where(valid.any(axis=0), score, np.nan)[:, None]
