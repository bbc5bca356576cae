"""The gates of a study, judged on one evaluation: a table walked by one function."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from ml.profile import Gate, StudyProfile

Outcome = Literal["met", "not met", "not judged"]
_COMPARE: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    ">": operator.gt,
    "<=": operator.le,
    "<": operator.lt,
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """One gate judged. `holds_back` = while this stands, the model may serve as silent only."""

    name: str
    measure: str
    sentence: str
    operator: str
    threshold: float
    value: float | None
    low: float | None
    high: float | None
    outcome: Outcome
    reason: str
    blocking: bool
    holds_back: bool

    def to_json(self) -> dict[str, Any]:
        """Plain JSON form."""
        return asdict(self)


Measure = Mapping[str, Any]


def _figure(name: str) -> Callable[[Mapping[str, Any]], Measure | None]:
    return lambda body: body.get("figures", {}).get(name)


def _gain(name: str) -> Callable[[Mapping[str, Any]], Measure | None]:
    return lambda body: body.get("comparisons", {}).get(name, {}).get("gain")


def _gap(name: str) -> Callable[[Mapping[str, Any]], Measure | None]:
    return lambda body: body.get("gaps", {}).get(name)


MEASURES: dict[str, Callable[[Mapping[str, Any]], Measure | None]] = {
    "test_auroc": _figure("auroc"),
    "test_auprc": _figure("auprc"),
    "test_brier_scaled": _figure("brier_scaled"),
    "test_ece": _figure("ece"),
    "calibration_slope": _figure("calibration_slope"),
    "gain_on_logistic": _gain("logistic"),
    "gain_on_lightgbm": _gain("lightgbm"),
    "gain_on_day_arm_dose": _gain("day_arm_dose"),
    "gain_on_news2": _gain("news2"),
    "auroc_gap_age": _gap("age"),
    "auroc_gap_sex": _gap("sex"),
    "auroc_gap_site": _gap("site"),
    "latency_ms_single": lambda body: body.get("latency_ms_single"),
}
BY_INTERVAL = ("auroc_gap_age", "auroc_gap_sex", "auroc_gap_site", "gain_on_logistic", "gain_on_lightgbm")
"""Judged by their interval: a gap between subgroups, or a loss to a baseline as strong as the model itself, is held
against a model only where chance cannot explain it. With 30 test patients the sign alone is little more than a coin."""


def measures_of(evaluation: Mapping[str, Any]) -> dict[str, Measure]:
    """Every measure that a gate may name, as {value, low, high, …}, from one evaluation."""
    found = {name: read(evaluation) for name, read in MEASURES.items()}
    return {name: measure for name, measure in found.items() if measure is not None}


def gates(profile: StudyProfile, evaluation: Mapping[str, Any]) -> list[Verdict]:
    """Every gate of the study with its number, interval, threshold and outcome."""
    known = measures_of(evaluation)
    return [judge(gate, known.get(gate.measure)) for gate in profile.gates]


def may_serve(verdicts: list[Verdict]) -> bool:
    """Whether a model may serve openly; else it may serve as silent only."""
    return not any(verdict.holds_back for verdict in verdicts)


def judge(gate: Gate, measure: Measure | None) -> Verdict:
    """One gate against its number.

    Where the number could not be computed the gate is *not judged*, and holds the model back, but for a gap between
    subgroups, which small groups leave open. What is judged by its interval is *not met* only if the whole interval
    breaks the limit; if the number breaks it and the interval does not, it is *not judged*, and for people to weigh.
    """
    value = None if measure is None else measure.get("value")
    low = None if measure is None else measure.get("low")
    high = None if measure is None else measure.get("high")
    is_gap = gate.measure.startswith("auroc_gap")
    outcome: Outcome
    if value is None:
        stated = (measure or {}).get("reason")
        outcome, reason = "not judged", f"There is no number: {stated or 'the evaluation does not hold it'}."
    elif _COMPARE[gate.operator](value, gate.threshold):
        outcome, reason = "met", f"{value:.3f} {gate.operator} {gate.threshold:g}"
    elif gate.measure in BY_INTERVAL and _reaches(gate, low, high):
        outcome = "not judged"
        reason = f"{value:.3f} is not {gate.operator} {gate.threshold:g}, but so few events may show this by chance."
    else:
        outcome, reason = "not met", f"{value:.3f} is not {gate.operator} {gate.threshold:g}."
    open_to_people = is_gap or value is not None
    held = gate.blocking and (outcome == "not met" or (outcome == "not judged" and not open_to_people))
    return Verdict(
        gate.name,
        gate.measure,
        gate.sentence,
        gate.operator,
        gate.threshold,
        value,
        low,
        high,
        outcome,
        reason,
        gate.blocking,
        held,
    )


def _reaches(gate: Gate, low: float | None, high: float | None) -> bool:
    """Whether the interval holds a number that would meet the gate; a gap without an interval does, being too small."""
    if low is None or high is None:
        return gate.measure.startswith("auroc_gap")
    return _COMPARE[gate.operator](low, gate.threshold) or _COMPARE[gate.operator](high, gate.threshold)
