"""The scaler, fitted on training rows only."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from ml.scoring.bundle import Scaler

FEWEST_VALUES = 20
"""A feature with fewer values among the training rows is masked: its mean and spread would be chance."""

TAILS = (0.01, 0.99)


def fit_scaler(
    names: tuple[str, ...], features: NDArray[np.float32], *, masked: Collection[str], clip: float
) -> Scaler:
    """Median, mean, standard deviation (after imputation) and range of each feature over rows [n, f].

    Mean and standard deviation are those of values held within the 1st and 99th percentile: rates of change have tails
    so long that a plain deviation would press everything else to nothing. Where that leaves one value (a rare flag),
    they are the plain ones. Masked: the features named, and those that have too few values or only one value.
    """
    x = features.astype(np.float64)
    present = np.isfinite(x)
    count = present.sum(axis=0)
    known = np.where(present, x, np.nan)
    usable = count >= FEWEST_VALUES
    filled = np.where(usable, known, 0.0)
    median = np.nanmedian(filled, axis=0)
    low, high = np.nanmin(filled, axis=0), np.nanmax(filled, axis=0)
    complete = np.where(present & usable, x, median)
    held = np.clip(complete, *np.quantile(complete, TAILS, axis=0))
    held = np.where(np.ptp(held, axis=0) > 0, held, complete)
    mean, std = held.mean(axis=0), held.std(axis=0)
    constant = ~(std > 1e-9 * np.maximum(1.0, np.abs(mean)))
    off = constant | ~usable | np.isin(np.array(names), list(masked))
    return Scaler(
        names=names,
        median=np.where(off, 0.0, median),
        mean=np.where(off, 0.0, mean),
        std=np.where(off, 1.0, std),
        lowest=np.where(off, 0.0, low),
        highest=np.where(off, 0.0, high),
        missing_share=1.0 - count / max(1, len(x)),
        masked=off,
        clip=clip,
    )
