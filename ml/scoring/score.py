"""The one scoring function: feature vectors in, probability, level, contributions and reasons out.

The same bits whatever the batch size, order of rows, thread or process: API, live stream, batch and replay all call it.
Contributions are integrated gradients of the logit from the training mean patient, scaled to the probability's
difference: baseline probability + their sum = probability, to within 1e-12 (rounding; nothing is left unexplained).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.profile import LEVELS, RiskLevel, StudyProfile
from ml.scoring import exact
from ml.scoring.bundle import Bundle
from ml.scoring.indeterminate import Inputs, Reason, reasons

Float = NDArray[np.float64]


@dataclass(frozen=True)
class Scores:
    """Scores of n patients over f features.

    `probability`, `contributions` and `logit` (recalibrated) are NaN where the level is INDETERMINATE; `reasons` says
    why. `values` are the features as given, `outside` those beyond what training saw.
    """

    names: tuple[str, ...]
    probability: Float
    level: tuple[RiskLevel, ...]
    contributions: Float
    logit: Float
    baseline_probability: float
    values: Float
    outside: NDArray[np.bool_]
    reasons: tuple[tuple[Reason, ...], ...]

    def __len__(self) -> int:
        return len(self.probability)

    def probability_of(self, row: int) -> float | None:
        """The probability of one row; None where it is indeterminate."""
        return None if np.isnan(self.probability[row]) else float(self.probability[row])

    def contribution_bytes(self, row: int) -> bytes | None:
        """The contributions of one row as f little-endian float64; None where it is indeterminate."""
        if np.isnan(self.probability[row]):
            return None
        return bytes(self.contributions[row].astype("<f8").tobytes())


def score(
    bundle: Bundle,
    vectors: NDArray[np.floating[Any]],
    profile: StudyProfile,
    ages: Mapping[str, Float] | None = None,
) -> Scores:
    """Score raw feature vectors [n, f] (float32 as stored, NaN = no value; order of `bundle.names`).

    `ages`: hours [n] since the newest value by sign, where the caller has them at hand; else they are read from the
    vector. BundleError if the vectors have another width.
    """
    z = bundle.scaler.standardise(vectors)
    values = np.asarray(vectors, dtype=np.float64)
    logit = bundle.slope * bundle.network.logit(z) + bundle.offset
    probability = exact.sigmoid(logit)
    # the contributions to the logit, times the mean slope of the probability between baseline and patient
    factor = bundle.slope * exact.sigmoid_slope(logit, bundle.baseline_logit)
    contributions = bundle.network.attribute(z) * factor[:, None]

    why = reasons(Inputs(bundle.names, values, profile, ages or {}))
    unscored = np.array([bool(row) for row in why], dtype=np.bool_)
    if unscored.any():
        probability[unscored] = np.nan
        logit[unscored] = np.nan
        contributions[unscored] = np.nan
    bands = np.searchsorted(np.array(profile.bands), probability, side="right")
    levels: tuple[RiskLevel, ...] = tuple(
        "INDETERMINATE" if none else LEVELS[band] for none, band in zip(unscored.tolist(), bands.tolist(), strict=True)
    )
    return Scores(
        names=bundle.names,
        probability=probability,
        level=levels,
        contributions=contributions,
        logit=logit,
        baseline_probability=bundle.baseline_probability,
        values=values,
        outside=bundle.scaler.outside(values),
        reasons=why,
    )


@dataclass(frozen=True)
class TopFactors:
    """The k features that moved each of n scores most, and what the others came to together.

    `feature` [n, k] positions in `names`, strongest first (equal strength: table order); `contribution` and `value`
    [n, k]; `rest` [n] the sum of the others' contributions, `rest_count` how many they are.
    """

    names: tuple[str, ...]
    feature: NDArray[np.intp]
    contribution: Float
    value: Float
    rest: Float
    rest_count: int

    def row(self, row: int) -> list[dict[str, Any]]:
        """One row for JSON: feature, contribution, direction ("raises", "lowers", "none") and value (None = missing)."""
        factors = []
        for position, contribution, value in zip(
            self.feature[row].tolist(), self.contribution[row].tolist(), self.value[row].tolist(), strict=True
        ):
            if math.isnan(contribution):
                return []
            factors.append(
                {
                    "feature": self.names[position],
                    "contribution": contribution,
                    "direction": "raises" if contribution > 0 else "lowers" if contribution < 0 else "none",
                    "value": value if math.isfinite(value) else None,
                }
            )
        return factors


def top_factors(scores: Scores, k: int = 9) -> TopFactors:
    """The k strongest factors of each row; NaN contributions (an empty list from `row`) where it is indeterminate."""
    k = min(k, len(scores.names))
    order = np.argsort(-np.abs(scores.contributions), axis=1, kind="stable")
    feature = order[:, :k]
    others = np.take_along_axis(scores.contributions, np.sort(order[:, k:], axis=1), axis=1)
    rest = np.cumsum(others, axis=1)[:, -1] if others.shape[1] else np.zeros(len(scores))
    return TopFactors(
        names=scores.names,
        feature=feature,
        contribution=np.take_along_axis(scores.contributions, feature, axis=1),
        value=np.take_along_axis(scores.values, feature, axis=1),
        rest=rest,
        rest_count=len(scores.names) - k,
    )
