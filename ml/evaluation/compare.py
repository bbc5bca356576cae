"""Two models on the same rows: the paired difference of their AUROC, with an interval over draws of patients.

Both are scored on one set of rows, and every draw takes the same patients for both: what is common to the rows (hard
patients, few events) falls out of the difference. The verdict is a table walked in order.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ml.evaluation import measures
from ml.evaluation.bootstrap import DRAWS, Estimate, estimates
from ml.evaluation.measures import Ranked

Float = NDArray[np.float64]
Outcome = Literal["better", "better, by less than required", "no difference shown", "worse", "too few events"]
GAIN_REQUIRED = 0.02
"""How much better than the serving model a candidate must be to be promoted for its AUROC alone."""
FEWEST_EVENTS = 10
"""Rows with an event, and without one, below which two models are not told apart."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """A against B on the same rows; `difference` = A − B. Brier scores are smaller where better."""

    rows: int
    patients: int
    events: int
    draws: int
    seed: int
    auroc_a: Estimate
    auroc_b: Estimate
    difference: Estimate
    brier_a: Estimate
    brier_b: Estimate
    brier_difference: Estimate
    agreement: float | None
    """Rank correlation (Spearman) of the two models' probabilities."""
    outcome: Outcome
    sentence: str

    def to_json(self) -> dict[str, Any]:
        """Plain JSON form."""
        return asdict(self)


VERDICTS: tuple[tuple[Outcome, Callable[[Estimate, float], bool]], ...] = (
    ("worse", lambda d, gain: d.high is not None and d.high < 0),
    ("better", lambda d, gain: (d.low or 0.0) > 0 and (d.value or 0.0) >= gain),
    ("better, by less than required", lambda d, gain: (d.low or 0.0) > 0),
    ("no difference shown", lambda d, gain: True),
)
"""The first that holds; judged by the interval, and *better* also by the size required."""


def compare(
    label: NDArray[np.integer],
    patient: NDArray[np.integer],
    probability_a: Float,
    probability_b: Float,
    *,
    gain: float = GAIN_REQUIRED,
    draws: int = DRAWS,
    seed: int = 0,
) -> Comparison:
    """Compare two models on n rows: `label` 0 or 1, `patient` any integers that tell patients apart.

    ValueError where a probability is missing or the lists are not equally long: leave such rows out for both.
    """
    y = np.asarray(label, np.float64)
    a, b = Ranked.of(y, probability_a), Ranked.of(y, probability_b)
    if len(patient) != len(y):
        raise ValueError("Patients and labels must be two lists of one length.")
    present, events = len(np.unique(patient)), int(y.sum())
    if min(events, len(y) - events) < FEWEST_EVENTS:
        nothing = Estimate(None)
        sentence = f"Not compared: {events} of {len(y):,} rows have an event; at least {FEWEST_EVENTS} with and without one are needed."
        return Comparison(
            rows=len(y),
            patients=present,
            events=events,
            draws=0,
            seed=seed,
            auroc_a=nothing,
            auroc_b=nothing,
            difference=nothing,
            brier_a=nothing,
            brier_b=nothing,
            brier_difference=nothing,
            agreement=_agreement(probability_a, probability_b),
            outcome="too few events",
            sentence=sentence,
        )

    def statistic(weights: Float) -> dict[str, Float]:
        first, second = measures.auroc(*a.groups(weights)), measures.auroc(*b.groups(weights))
        brier_a, _ = measures.brier(y, probability_a, weights)
        brier_b, _ = measures.brier(y, probability_b, weights)
        return {
            "a": first, "b": second, "gain": first - second,
            "brier_a": brier_a, "brier_b": brier_b, "brier_gain": brier_a - brier_b,
        }  # fmt: skip

    found, _ = estimates(statistic, np.asarray(patient), draws=draws, seed=seed)
    difference = found["gain"]
    outcome = next(name for name, holds in VERDICTS if holds(difference, gain))
    return Comparison(
        rows=len(y),
        patients=present,
        events=events,
        draws=draws,
        seed=seed,
        auroc_a=found["a"],
        auroc_b=found["b"],
        difference=difference,
        brier_a=found["brier_a"],
        brier_b=found["brier_b"],
        brier_difference=found["brier_gain"],
        agreement=_agreement(probability_a, probability_b),
        outcome=outcome,
        sentence=_sentence(found["a"], found["b"], difference, outcome, gain),
    )


def _sentence(a: Estimate, b: Estimate, difference: Estimate, outcome: Outcome, gain: float) -> str:
    reach = "" if difference.low is None else f", 95 % interval {difference.low:+.3f} to {difference.high:+.3f}"
    words = {
        "better": f"better by at least the {gain:g} required",
        "better, by less than required": f"better, but by less than the {gain:g} required",
    }.get(outcome, outcome)
    return (
        f"AUROC {a.value or 0:.3f} against {b.value or 0:.3f}, difference {difference.value or 0:+.3f}{reach}: {words}."
    )


def _agreement(a: Float, b: Float) -> float | None:
    """Spearman's rank correlation, ties by their mean rank; None where one of the two is constant."""
    first, second = _ranks(np.asarray(a, np.float64)), _ranks(np.asarray(b, np.float64))
    if len(first) < 2 or not np.ptp(first) or not np.ptp(second):
        return None
    return float(np.corrcoef(first, second)[0, 1])


def _ranks(values: Float) -> Float:
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    middle: Float = np.cumsum(counts) - (counts - 1) / 2.0
    return middle[place]
