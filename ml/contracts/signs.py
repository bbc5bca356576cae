"""Vital signs: name, code, unit, resolution and the two tiers of limits.

Impossible values (physics; MIMIC-Extract outlier limits, corrected) are quarantined. Implausible values (the floor's
range where it names one, else ricu's concept limits) are kept and flagged: a real crisis is the signal.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sign:
    """One vital sign. Limits are inclusive, in `unit`; `decimals` is the resolution of its fixed-point form."""

    name: str
    label: str
    loinc: str
    unit: str
    decimals: int
    impossible_below: float
    impossible_above: float
    implausible_below: float
    implausible_above: float
    reference_low: float | None
    reference_high: float | None
    accepted_units: tuple[str, ...] = ()


CONSCIOUSNESS = ("A", "C", "V", "P", "U")
"""ACVPU as NEWS2 uses it: alert, new confusion, voice, pain, unresponsive; its fixed-point value is the position."""

SIGNS: tuple[Sign, ...] = (
    Sign("heart_rate", "Heart rate", "8867-4", "/min", 1, 0, 390, 40, 200, 60, 100),
    Sign("blood_pressure_systolic", "Systolic blood pressure", "8480-6", "mm[Hg]", 1, 0, 375, 60, 250, 90, 130),
    Sign("blood_pressure_diastolic", "Diastolic blood pressure", "8462-4", "mm[Hg]", 1, 0, 375, 30, 150, 60, 85),
    Sign("temperature", "Temperature", "8310-5", "Cel", 2, 14.2, 47, 32, 42, 36.1, 37.8, ("Cel", "[degF]")),
    Sign("spo2", "Oxygen saturation", "59408-5", "%", 1, 0, 100, 50, 100, 94, 100),
    Sign("respiratory_rate", "Respiratory rate", "9279-1", "/min", 1, 0, 330, 4, 60, 12, 20),
    Sign("supplemental_oxygen", "Supplemental oxygen", "3151-8", "L/min", 1, 0, 100, 0, 60, None, None),
    Sign("consciousness", "Consciousness (ACVPU)", "67775-7", "1", 0, 0, 4, 0, 4, None, None),
    Sign("weight", "Weight", "29463-7", "kg", 2, 1, 500, 25, 300, None, None, ("kg", "[lb_av]")),
    Sign("height", "Height", "8302-2", "cm", 1, 10, 260, 100, 230, None, None, ("cm", "[in_i]")),
)
SIGN_BY_NAME: dict[str, Sign] = {sign.name: sign for sign in SIGNS}
