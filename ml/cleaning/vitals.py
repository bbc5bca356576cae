"""Vital signs: units, resolution, two tiers of limits, derived pressures and the quality score."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from ml.cleaning.batch import Batch
from ml.cleaning.body import Body, number_array
from ml.cleaning.numbers import Bool, Float, Int, fixed, in_unit, unfixed
from ml.cleaning.units import sign_in_canonical
from ml.contracts.signs import CONSCIOUSNESS, SIGNS
from ml.contracts.tables import NEVER_FILLED
from ml.facts import ABSENT

QUALITY_SIGNS = ("heart_rate", "blood_pressure_systolic", "blood_pressure_diastolic", "temperature", "spo2")
_LEVELS = {level: float(position) for position, level in enumerate(CONSCIOUSNESS)}


def vitals(batch: Batch) -> Body:
    """Body of patient-vitals. A sign that is impossible is set aside alone; a message with none left, whole."""
    n = batch.n
    signs: dict[str, Int] = {}
    masks: list[tuple[str, Bool]] = []
    left = batch.retracted.copy()
    implausible: dict[str, Bool] = {}
    for sign in SIGNS:
        came = batch.texts(sign.name)
        if sign.name == "consciousness":
            raw = np.array([_LEVELS.get(value, np.nan) for value in came], np.float64)
        else:
            raw = np.array(came, np.float64)
            if sign.accepted_units:
                raw = sign_in_canonical(sign.name, raw, batch.texts(f"{sign.name}_unit"))
        values = fixed(raw, sign.decimals)
        possible = in_unit(values, sign.impossible_below, sign.impossible_above, sign.decimals)
        if not possible.all():
            wrong = np.flatnonzero(~possible)
            limits = f"{sign.label} {{}} is outside {sign.impossible_below:g} to {sign.impossible_above:g} {sign.unit}."
            batch.set_aside(wrong[~batch.retracted[wrong]], "impossible_value", sign.name, came, limits)
            values = np.where(possible, values, ABSENT)
        odd = ~in_unit(values, sign.implausible_below, sign.implausible_above, sign.decimals)
        implausible[sign.name] = odd
        masks.append((f"implausible_{sign.name}", odd))
        left |= values != ABSENT
        signs[sign.name] = values
    gone = np.flatnonzero(~left)
    batch.set_aside(gone, "no_sign_left", "", None, "Every sign of the message was impossible.")

    high, low = signs["blood_pressure_systolic"], signs["blood_pressure_diastolic"]
    both = (high != ABSENT) & (low != ABSENT)
    crossed = both & (low >= high)
    masks.append(("implausible_blood_pressure", crossed))
    pulse, mean = _pressures(high, low, both & ~crossed)
    columns: dict[str, pa.Array] = {"source": batch.column("source")}
    for sign in SIGNS:
        columns[sign.name] = number_array(unfixed(signs[sign.name], sign.decimals))
        if sign.name not in NEVER_FILLED:
            columns[f"{sign.name}_filled"] = pa.nulls(n, pa.float64())
    columns["pulse_pressure"] = number_array(pulse)
    columns["mean_arterial_pressure"] = number_array(mean)
    columns["quality_score"] = number_array(quality(signs, implausible, crossed))
    return Body(columns, masks, left)


def _pressures(high: Int, low: Int, both: Bool) -> tuple[Float, Float]:
    """Pulse pressure, and mean arterial pressure (diastolic + pulse pressure / 3), to 0.1 mmHg; NaN where not both."""
    top, bottom = np.where(both, high, 0), np.where(both, low, 0)
    pulse = np.where(both, top - bottom, ABSENT)
    mean = np.where(both, np.rint((2 * bottom + top) / 3.0).astype(np.int64), ABSENT)
    return unfixed(pulse, 1), unfixed(mean, 1)


def quality(signs: dict[str, Int], implausible: dict[str, Bool], crossed: Bool) -> Float:
    """Quality score of a message, 0 to 1: the mean over five signs (heart rate, both pressures, temperature, SpO2).

    A sign counts 1 if measured and plausible, 0.5 if measured but implausible (a pressure also where the diastolic is
    not below the systolic), 0 if absent or set aside as impossible. It says how much a row can carry, not how ill a
    patient is, and no feature reads it.
    """
    halves = np.zeros(len(crossed), np.int64)
    for name in QUALITY_SIGNS:
        odd = implausible[name]
        if name.startswith("blood_pressure"):
            odd = odd | crossed
        halves += np.where(signs[name] == ABSENT, 0, np.where(odd, 1, 2))
    return halves / (2.0 * len(QUALITY_SIGNS))
