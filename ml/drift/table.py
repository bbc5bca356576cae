"""Drift of each feature: the Kolmogorov-Smirnov distance between recent values and the training sample, with its size.

KS alone says that two samples differ, not by how much and not whether there were enough values. So each row also has the
standardised difference of means, the shift of the share missing, and the share outside the range of training; and a row
is judged only where chance alone would give the limit once in a thousand times (`enough`): about a hundred features are
looked at together, and at one in twenty five of them would drift by chance, which is where retraining begins. No p-value
is given: days of one patient are not independent, and a p-value would pretend that they are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.features.table import FEATURES
from ml.scoring.bundle import Scaler

Float = NDArray[np.float64]
KS_LIMIT = 0.2
"""A feature with a greater distance has drifted (the requirement's number)."""
CRITICAL = 1.949
"""c(0.001) of the two-sample test: by chance the distance exceeds c · √(1/n + 1/m) once in a thousand times, with
c(α) = √(−½ ln(α/2)) (Smirnov 1948)."""
FEWEST = 100
"""Values that either side must have, whatever the other side's number."""

MOVES_WITH_TIME = frozenset({"days_since_enrolment", "days_since_first_dose", "days_since_last_adverse_event", "age"})
"""Features that move because the trial grows older: shown, but never counted as drift."""
CONTINUOUS = tuple(feature.name for feature in FEATURES if feature.kind == "number")


@dataclass(frozen=True, slots=True)
class FeatureDrift:
    """One feature. `distance` is KS, 0 to 1; `effect` the difference of means in standard deviations of the training
    sample; shares are 0 to 1; a number is None where there are no values. `judged` = there were enough values; `reason`
    says why not, or why the feature is not counted."""

    feature: str
    distance: float | None
    effect: float | None
    mean_training: float | None
    mean_recent: float | None
    values_training: int
    values_recent: int
    missing_training: float
    missing_recent: float
    outside_range: float | None
    judged: bool
    counted: bool
    drifted: bool
    reason: str

    def to_json(self) -> dict[str, Any]:
        """Plain JSON form."""
        return asdict(self)


def ks(first: Float, second: Float) -> float:
    """Greatest distance between two empirical distribution functions (values finite, any order). NaN without values."""
    if not len(first) or not len(second):
        return math.nan
    a, b = np.sort(first), np.sort(second)
    places = np.concatenate([a, b])
    below_a = np.searchsorted(a, places, side="right") / len(a)
    below_b = np.searchsorted(b, places, side="right") / len(b)
    return float(np.abs(below_a - below_b).max())


def effect_size(training: Float, recent: Float) -> float:
    """(mean of recent − mean of training) / SD of training (ddof 1). NaN where that SD is 0 or there are no values."""
    if len(training) < 2 or not len(recent):
        return math.nan
    spread = float(training.std(ddof=1))
    return float(recent.mean() - training.mean()) / spread if spread > 0 else math.nan


def chance_distance(n: int, m: int) -> float:
    """The distance that samples of n and m values of one distribution exceed once in a thousand times."""
    return math.inf if not n or not m else CRITICAL * math.sqrt(1 / n + 1 / m)


def enough(n: int, m: int, limit: float = KS_LIMIT) -> bool:
    """Whether a distance of `limit` means more than chance with n and m values."""
    return min(n, m) >= FEWEST and chance_distance(n, m) <= limit


def drift_table(
    names: Sequence[str],
    sample: NDArray[np.floating[Any]],
    recent: NDArray[np.floating[Any]],
    scaler: Scaler,
    *,
    limit: float = KS_LIMIT,
) -> list[FeatureDrift]:
    """Drift of every continuous feature the model reads, the greatest distance first, those not judged last.

    `sample` [n, f] and `recent` [m, f] are raw features in the order of `names`, NaN = no value; `scaler` is the
    model's, for the range of training. Features it masks (blinded, or constant in training) are left out.
    """
    if sample.shape[1] != len(names) or recent.shape[1] != len(names) or tuple(names) != scaler.names:
        raise ValueError("The samples and the model are not of the same features.")
    place = {name: position for position, name in enumerate(names)}
    found = []
    for name in CONTINUOUS:
        if name in place and not scaler.masked[place[name]]:
            column = place[name]
            limits = (float(scaler.lowest[column]), float(scaler.highest[column]))
            found.append(_row(name, _column(sample, column), _column(recent, column), limits, limit))
    return sorted(found, key=lambda row: (not row.judged, -(row.distance or 0.0), row.feature))


def drifted(table: Sequence[FeatureDrift]) -> list[FeatureDrift]:
    """The rows that count as drifted."""
    return [row for row in table if row.drifted]


def _column(matrix: NDArray[np.floating[Any]], column: int) -> Float:
    return np.asarray(matrix[:, column], np.float64)


def _row(name: str, training: Float, recent: Float, limits: tuple[float, float], limit: float) -> FeatureDrift:
    known, now = training[np.isfinite(training)], recent[np.isfinite(recent)]
    distance = ks(known, now)
    judged = enough(len(known), len(now), limit)
    counted = judged and name not in MOVES_WITH_TIME
    reason = ""
    if not judged:
        reason = f"too few values: {len(now)} recent, {len(known)} of training; at least {FEWEST} of each are needed"
        if min(len(known), len(now)) >= FEWEST:
            reason = f"with {len(now)} and {len(known)} values chance alone gives {chance_distance(len(known), len(now)):.2f}"
    elif not counted:
        reason = "moves as the trial grows older; not counted"
    outside = float(((now < limits[0]) | (now > limits[1])).mean()) if len(now) else math.nan
    return FeatureDrift(
        feature=name,
        distance=_plain(distance),
        effect=_plain(effect_size(known, now)),
        mean_training=_plain(float(known.mean()) if len(known) else math.nan),
        mean_recent=_plain(float(now.mean()) if len(now) else math.nan),
        values_training=len(known),
        values_recent=len(now),
        missing_training=_share_missing(training, known),
        missing_recent=_share_missing(recent, now),
        outside_range=_plain(outside),
        judged=judged,
        counted=counted,
        drifted=counted and distance > limit,
        reason=reason,
    )


def _share_missing(all_values: Float, known: Float) -> float:
    return 1.0 - len(known) / len(all_values) if len(all_values) else 0.0


def _plain(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
