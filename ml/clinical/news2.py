"""NEWS2, the National Early Warning Score 2, as a table.

Source: Royal College of Physicians, "National Early Warning Score (NEWS) 2", London 2017; reproduced with
acknowledgement, thresholds unchanged. For adults of 16 and over who are not pregnant. Values are rounded to the chart's
precision first (whole numbers, temperature 0.1 °C; halves up), then scored, for the chart does not define values between
its steps. A parameter that was not measured scores nothing: the total is then a lower bound and says so.
Scale 2 of oxygen saturation (target 88 to 92 %) only where a competent clinician has prescribed it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ml.contracts.signs import CONSCIOUSNESS

NEWS2_VERSION = "RCP 2017"
Risk = Literal["low", "low-medium", "medium", "high"]
Float = NDArray[np.float64]

INFINITE = float("inf")
DECIMALS = {"temperature": 1}
"""Precision of the chart; whole numbers where not named."""

BANDS: dict[str, tuple[tuple[float, int], ...]] = {
    "respiratory_rate": ((8, 3), (11, 1), (20, 0), (24, 2), (INFINITE, 3)),
    "spo2": ((91, 3), (93, 2), (95, 1), (INFINITE, 0)),
    "blood_pressure_systolic": ((90, 3), (100, 2), (110, 1), (219, 0), (INFINITE, 3)),
    "heart_rate": ((40, 3), (50, 1), (90, 0), (110, 1), (130, 2), (INFINITE, 3)),
    "temperature": ((35.0, 3), (36.0, 1), (38.0, 0), (39.0, 1), (INFINITE, 2)),
}
"""Parameter → (up to and including, points), rising."""
SPO2_SCALE_2_ON_AIR = ((83, 3), (85, 2), (87, 1), (INFINITE, 0))
SPO2_SCALE_2_ON_OXYGEN = ((83, 3), (85, 2), (87, 1), (92, 0), (94, 1), (96, 2), (INFINITE, 3))
OXYGEN_POINTS = 2
NOT_ALERT_POINTS = 3
PARAMETERS = (*BANDS, "supplemental_oxygen", "consciousness")
"""The seven parameters, by the contract's names. supplemental_oxygen in L/min (0 = air), consciousness as ACVPU."""


@dataclass(frozen=True, slots=True)
class News2:
    """`points` by measured parameter; `total` is a lower bound unless `complete`."""

    total: int
    points: Mapping[str, int]
    any_three: bool

    @property
    def measured(self) -> int:
        """How many parameters were measured."""
        return len(self.points)

    @property
    def expected(self) -> int:
        """How many there are."""
        return len(PARAMETERS)

    @property
    def complete(self) -> bool:
        """Whether all were measured, so that the total is the score."""
        return self.measured == self.expected

    @property
    def risk(self) -> Risk:
        """The chart's clinical risk of the total; of an incomplete score, the least it can be."""
        if self.total >= 7:
            return "high"
        if self.total >= 5:
            return "medium"
        return "low-medium" if self.any_three else "low"


def rounded(name: str, values: Float) -> Float:
    """To the chart's precision, halves up. Values have at most three decimals, so halves are recognised exactly."""
    thousandths = np.rint(values * 1000.0)
    step = 10.0 ** (3 - DECIMALS.get(name, 0))
    scaled: Float = np.floor((thousandths + step / 2.0) / step) / 10.0 ** DECIMALS.get(name, 0)
    return scaled


def _banded(bands: tuple[tuple[float, int], ...], values: Float) -> Float:
    bounds = np.array([bound for bound, _ in bands[:-1]])
    points = np.array([point for _, point in bands], np.float64)
    return np.where(np.isnan(values), np.nan, points[np.searchsorted(bounds, np.nan_to_num(values), side="left")])


def points(signs: Mapping[str, Float], *, scale: Literal[1, 2] = 1) -> dict[str, Float]:
    """Points of each of `PARAMETERS`, NaN where it was not measured.

    `signs`: parameter → float64[n] in the contract's units, NaN where missing (a parameter may be left out);
    consciousness as the position in A, C, V, P, U.
    """
    size = max((len(np.atleast_1d(column)) for column in signs.values()), default=0)
    unknown = np.full(size, np.nan)
    given = {name: np.atleast_1d(np.asarray(signs.get(name, unknown), np.float64)) for name in PARAMETERS}
    found = {name: _banded(bands, rounded(name, given[name])) for name, bands in BANDS.items()}
    oxygen = given["supplemental_oxygen"]
    found["supplemental_oxygen"] = np.where(np.isnan(oxygen), np.nan, np.where(oxygen > 0, OXYGEN_POINTS, 0.0))
    level = given["consciousness"]
    found["consciousness"] = np.where(np.isnan(level), np.nan, np.where(level > 0, NOT_ALERT_POINTS, 0.0))
    if scale == 2:
        saturation = rounded("spo2", given["spo2"])
        # Not knowing whether oxygen is given, the lower of the two: on air.
        found["spo2"] = np.where(
            oxygen > 0, _banded(SPO2_SCALE_2_ON_OXYGEN, saturation), _banded(SPO2_SCALE_2_ON_AIR, saturation)
        )
    return found


def totals(signs: Mapping[str, Float], *, scale: Literal[1, 2] = 1) -> tuple[Float, NDArray[np.bool_]]:
    """(sum of the points of what was measured, whether everything was), by row; NaN where nothing was measured."""
    found = points(signs, scale=scale)
    columns = np.stack([found[name] for name in PARAMETERS])
    there = ~np.isnan(columns)
    total = np.where(there, columns, 0.0).sum(axis=0)
    complete: NDArray[np.bool_] = np.asarray(there.all(axis=0))
    return np.where(there.any(axis=0), total, np.nan), complete


def score(signs: Mapping[str, float | str | None], *, scale: Literal[1, 2] = 1) -> News2:
    """NEWS2 of one set of vital signs, by the contract's names; consciousness as its letter; None = not measured.

    ValueError for a letter that is not ACVPU.
    """
    row: dict[str, Float] = {}
    for name in PARAMETERS:
        value = signs.get(name)
        if isinstance(value, str):
            if value not in CONSCIOUSNESS:
                raise ValueError(f"Consciousness is one of {', '.join(CONSCIOUSNESS)}; {value!r} is not.")
            value = CONSCIOUSNESS.index(value)
        row[name] = np.array([np.nan if value is None else float(value)])
    scored = {name: column[0] for name, column in points(row, scale=scale).items()}
    measured = {name: int(point) for name, point in scored.items() if not np.isnan(point)}
    return News2(sum(measured.values()), measured, any(point == 3 for point in measured.values()))
