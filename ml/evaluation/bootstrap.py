"""95 % intervals by drawing patients with replacement, so that a patient's days stay together.

All figures of one evaluation are computed on the same draws; differences between models are therefore paired.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]
DRAWS = 1000
LEVEL = 0.95
CELLS = 750_000
"""About how many row weights are worked on at once; more would leave the processor's cache."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its percentile interval. None = it cannot be computed. `skipped` draws could not give it."""

    value: float | None
    low: float | None = None
    high: float | None = None
    skipped: int = 0

    def to_json(self) -> dict[str, Any]:
        """Plain JSON form."""
        return asdict(self)


def finite(value: float) -> float | None:
    """The number, or None for NaN and infinities, which JSON cannot say."""
    return float(value) if np.isfinite(value) else None


def estimates(
    statistic: Callable[[Float], Mapping[str, Float]],
    patient: NDArray[np.integer],
    *,
    draws: int = DRAWS,
    seed: int = 0,
    level: float = LEVEL,
) -> tuple[dict[str, Estimate], dict[str, Float]]:
    """Every figure that `statistic` gives, with its interval, and the draws themselves by name [draws].

    `statistic` takes row weights [d, n] and gives named figures [d] (NaN = not to be had from that draw); `patient` [n]
    are any integers that tell patients apart. The same seed gives the same draws.
    """
    whole = statistic(np.ones((1, len(patient))))
    present, row = np.unique(patient, return_inverse=True)
    rng = np.random.default_rng(seed)
    parts: dict[str, list[Float]] = {name: [] for name in whole}
    block = max(1, min(draws, CELLS // max(1, len(patient))))
    for start in range(0, draws, block):
        size = min(block, draws - start)
        chosen = rng.integers(0, len(present), size=(size, len(present)))
        flat = (chosen + np.arange(size)[:, None] * len(present)).ravel()
        counts = np.bincount(flat, minlength=size * len(present)).reshape(size, len(present)).astype(np.float64)
        for name, values in statistic(counts[:, row]).items():
            parts[name].append(values)
    drawn = {name: np.concatenate(values) if values else np.empty(0) for name, values in parts.items()}
    return {name: interval(float(whole[name][0]), drawn[name], level) for name in whole}, drawn


def interval(value: float, drawn: Float, level: float = LEVEL) -> Estimate:
    """The percentile interval of the draws that gave a figure."""
    usable = drawn[np.isfinite(drawn)]
    skipped = len(drawn) - len(usable)
    if not np.isfinite(value) or len(usable) < max(20, len(drawn) // 2):
        return Estimate(finite(value), skipped=skipped)
    tail = (1 - level) / 2
    low, high = np.quantile(usable, (tail, 1 - tail))
    return Estimate(float(value), float(low), float(high), skipped)
