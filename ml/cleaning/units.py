"""Units to the canonical ones: vital signs by their unit column, laboratory results by the closed table."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ml.cleaning.numbers import Float
from ml.contracts.analytes import Analyte, analyte_of, unit_rule

LB_KG = 0.45359237
IN_CM = 2.54

SIGN_UNITS: dict[tuple[str, str], Callable[[Float], Float]] = {
    ("temperature", "[degF]"): lambda values: (values - 32.0) * 5.0 / 9.0,
    ("weight", "[lb_av]"): lambda values: values * LB_KG,
    ("height", "[in_i]"): lambda values: values * IN_CM,
}
"""(sign, unit) → conversion to the sign's canonical unit. Any other breaks the contract."""


def sign_in_canonical(sign: str, values: Float, units: Sequence[str | None]) -> Float:
    """The values of a sign in its canonical unit; `units` says each value's own (None = canonical)."""
    result = values
    for unit in {unit for unit in units if unit is not None}:
        convert = SIGN_UNITS.get((sign, unit))
        if convert is not None:
            result = np.where(np.array([u == unit for u in units], np.bool_), convert(values), result)
    return result


_NUMBER = r"([+-]?\d+(?:\.\d*)?|[+-]?\.\d+)"
_BETWEEN = re.compile(rf"^\(?\s*{_NUMBER}\s*(?:-|–|to)\s*{_NUMBER}\s*\)?$")
_BELOW = re.compile(rf"^(?:<=?|≤)\s*{_NUMBER}$")
_ABOVE = re.compile(rf"^(?:>=?|≥)\s*{_NUMBER}$")


@dataclass(frozen=True, slots=True)
class Range:
    """A laboratory's reference range in the unit as reported; `read` is False where the text says no range."""

    low: float
    high: float
    read: bool = True


NO_RANGE = Range(np.nan, np.nan)


def reference_range(text: str | None) -> Range:
    """Read "7-56", "<5" (up to 5), ">60" (from 60). No text is no range; another text is one that cannot be read."""
    stripped = (text or "").strip()
    if not stripped:
        return NO_RANGE
    if found := _BETWEEN.match(stripped):
        low, high = float(found[1]), float(found[2])
        if low <= high:
            return Range(low, high)
    elif found := _BELOW.match(stripped):
        return Range(np.nan, float(found[1]))
    elif found := _ABOVE.match(stripped):
        return Range(float(found[1]), np.nan)
    return Range(np.nan, np.nan, read=False)


@dataclass(frozen=True, slots=True)
class LabUnit:
    """How a (test, unit) pair is read: analyte (None = not in the table) and factor (None = unknown unit)."""

    analyte: Analyte | None
    factor: float | None


def lab_unit(test_name: str, unit: str | None) -> LabUnit:
    """Analyte and factor to its canonical unit."""
    analyte = analyte_of(test_name)
    if analyte is None:
        return LabUnit(None, None)
    rule = unit_rule(analyte, unit)
    return LabUnit(analyte, None if rule is None else rule.factor)
