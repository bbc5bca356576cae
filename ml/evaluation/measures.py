"""Measures of a prediction, computed for many weightings of the rows at once.

A bootstrap draw is a weighting: how often each row's patient was drawn. Every function takes weights [d, n] (d draws of
n rows) and gives [d]; a plain figure is the draw whose weights are all 1. NaN = the draw cannot give the figure (one
class only, no row above the threshold).

Conventions: area under the precision-recall curve as average precision; scaled Brier = 1 − Brier / (π (1 − π));
calibration slope = logistic regression on the logit, intercept = the offset with the slope fixed at 1 (Van Calster et
al. 2019); calibration error over ten bins of equal mass, ties kept together.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]
BINS = 10
TOLERANCE = 1e-7
LOGIT_LIMIT = 36.0
"""Probabilities of exactly 0 or 1 count as this far out on the logit scale."""


@dataclass(frozen=True)
class Ranked:
    """Rows sorted by rising probability, once for all draws; `starts` = the first row of each group of equal ones."""

    order: NDArray[np.intp]
    probability: Float
    label: Float
    starts: NDArray[np.intp]

    @classmethod
    def of(cls, label: NDArray[np.integer] | Float, probability: Float) -> Ranked:
        """Sort n labels (0, 1) and n scores. ValueError for other labels or scores that are not numbers."""
        y = np.asarray(label, dtype=np.float64)
        p = np.asarray(probability, dtype=np.float64)
        if y.shape != p.shape or y.ndim != 1:
            raise ValueError("Labels and probabilities must be two lists of one length.")
        if not np.isin(y, (0.0, 1.0)).all():
            raise ValueError("A label must be 0 or 1.")
        if not np.isfinite(p).all():
            raise ValueError("A probability is missing or not finite; leave such rows out and count them.")
        order = np.argsort(p, kind="stable")
        ordered = p[order]
        starts = (
            np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1]))) if len(p) else np.empty(0, np.intp)
        )
        return cls(order, ordered, y[order], starts)

    def groups(self, weights: Float) -> tuple[Float, Float]:
        """Weight of the positives and of the negatives [d, g] in each group of ties, rising; weights are [d, n] as given."""
        sorted_weights = weights[:, self.order]
        positive = np.add.reduceat(sorted_weights * self.label, self.starts, axis=1)
        return positive, np.add.reduceat(sorted_weights, self.starts, axis=1) - positive


def _ratio(top: Float, bottom: Float) -> Float:
    """top / bottom, NaN where there is no denominator."""
    out: Float = np.full(len(top), np.nan)
    np.divide(top, bottom, out=out, where=bottom > 0)
    return out


def auroc(positive: Float, negative: Float) -> Float:
    """Area under the ROC curve [d] from `Ranked.groups`; a tie counts one half."""
    below = np.cumsum(negative, axis=1) - negative
    p, n = positive.sum(axis=1), negative.sum(axis=1)
    pairs = p * n
    wins = np.einsum("dg,dg->d", positive, below + 0.5 * negative)
    return _ratio(wins, pairs)


def average_precision(positive: Float, negative: Float) -> Float:
    """Area under the precision-recall curve [d]: Σ precision × step in recall, from the highest score down."""
    hits = np.cumsum(positive[:, ::-1], axis=1)
    flagged = hits + np.cumsum(negative[:, ::-1], axis=1)
    precision = np.divide(hits, flagged, out=np.zeros_like(hits), where=flagged > 0)
    total = hits[:, -1]
    gained = np.einsum("dg,dg->d", precision, positive[:, ::-1])
    return _ratio(gained, np.where(flagged[:, -1] == total, 0.0, total))


def calibration_bins(ranked: Ranked, weights: Float) -> tuple[Float, Float, Float]:
    """Per draw and bin [d, 10]: weight, mean probability, observed rate; NaN means where a bin is empty.

    Groups of ties go whole into the bin in which their middle falls.
    """
    positive, negative = ranked.groups(weights)
    mass = positive + negative
    total = mass.sum(axis=1, keepdims=True)
    middle = np.cumsum(mass, axis=1) - 0.5 * mass
    with np.errstate(divide="ignore", invalid="ignore"):
        place = np.nan_to_num(np.floor(BINS * middle / total))
    bins = np.clip(place, 0, BINS - 1).astype(np.intp)
    draws = len(weights)
    flat = (bins + np.arange(draws)[:, None] * BINS).ravel()
    value = ranked.probability[ranked.starts]

    def collect(part: Float) -> Float:
        summed: Float = np.bincount(flat, weights=part.ravel(), minlength=draws * BINS).astype(np.float64)
        return summed.reshape(draws, BINS)

    weight, predicted, observed = collect(mass), collect(mass * value), collect(positive)
    empty = np.full_like(weight, np.nan)
    return (
        weight,
        np.divide(predicted, weight, out=empty.copy(), where=weight > 0),
        np.divide(observed, weight, out=empty.copy(), where=weight > 0),
    )


def calibration_error(ranked: Ranked, weights: Float) -> Float:
    """Expected calibration error [d]: Σ (bin's share) × |observed − predicted|."""
    weight, predicted, observed = calibration_bins(ranked, weights)
    gap = np.where(weight > 0, np.abs(observed - predicted) * weight, 0.0).sum(axis=1)
    total = weight.sum(axis=1)
    return _ratio(gap, total)


def brier(label: Float, probability: Float, weights: Float) -> tuple[Float, Float]:
    """Brier score [d] and its scaled form [d]; the scaled form is NaN where only one class was drawn."""
    total = weights.sum(axis=1)
    score = weights @ ((probability - label) ** 2) / total
    rate = weights @ label / total
    spread = rate * (1 - rate)
    return score, 1 - _ratio(score, spread)


def logits(probability: Float) -> Float:
    """log(p / (1 − p)), held within ± `LOGIT_LIMIT`."""
    with np.errstate(divide="ignore"):
        limited: Float = np.clip(np.log(probability) - np.log1p(-probability), -LOGIT_LIMIT, LOGIT_LIMIT)
        return limited


def calibration_line(
    label: Float,
    probability: Float,
    weights: Float,
    *,
    start: tuple[float, float, float] | None = None,
    steps: int = 25,
) -> tuple[Float, Float, Float]:
    """Calibration intercept [d] (slope held at 1), slope [d] and the slope's own offset [d], by Newton's method for all
    draws together; `start` (such a triple of the whole sample) saves steps.

    NaN where a draw has one class only; the slope is NaN too where all logits are equal or the classes are separated.
    """
    first = start if start is not None and np.isfinite(start).all() else (0.0, 1.0, 0.0)
    x = logits(probability)
    total = weights.sum(axis=1)
    positives = weights @ label
    draws = len(weights)
    usable = (positives > 0) & (positives < total)

    intercept = np.full(draws, first[0])
    for _ in range(steps):
        mean = 1 / (1 + np.exp(-(x[None, :] + intercept[:, None])))
        step = (positives - np.einsum("dn,dn->d", weights, mean)) / np.maximum(
            np.einsum("dn,dn->d", weights, mean * (1 - mean)), 1e-12
        )
        intercept = np.where(usable, np.clip(intercept + np.clip(step, -5, 5), -80, 80), 0.0)
        if np.abs(step[usable]).max(initial=0.0) < TOLERANCE:
            break
    intercept = np.where(usable, intercept, np.nan)

    slope = np.full(draws, first[1])
    offset = np.full(draws, first[2]) if start is not None else np.where(usable, intercept, 0.0)
    fits = usable & (np.ptp(x) > 1e-9 if len(x) else False)
    for _ in range(steps):
        mean = 1 / (1 + np.exp(-(x[None, :] * slope[:, None] + offset[:, None])))
        v = weights * mean
        g0 = positives - v.sum(axis=1)
        g1 = weights @ (label * x) - v @ x
        v *= 1 - mean
        h0, h1, h2 = v.sum(axis=1), v @ x, v @ (x * x)
        determinant = h0 * h2 - h1 * h1
        fits &= determinant > 1e-12
        safe = np.where(fits, determinant, 1.0)
        step0 = np.where(fits, (h2 * g0 - h1 * g1) / safe, 0.0)
        step1 = np.where(fits, (h0 * g1 - h1 * g0) / safe, 0.0)
        offset, slope = offset + np.clip(step0, -5, 5), slope + np.clip(step1, -2, 2)
        if max(np.abs(step0).max(initial=0.0), np.abs(step1).max(initial=0.0)) < TOLERANCE:
            break
    else:
        fits &= (np.abs(step0) < 1e-4) & (np.abs(step1) < 1e-4)
    return intercept, np.where(fits, slope, np.nan), np.where(fits, offset, np.nan)


def at_threshold(label: Float, probability: Float, weights: Float, threshold: float) -> dict[str, Float]:
    """Counts and rates [d] when rows with probability >= threshold are flagged; a rate without a denominator is NaN."""
    flagged = (probability >= threshold).astype(np.float64)
    tp = weights @ (flagged * label)
    fp = weights @ (flagged * (1 - label))
    fn = weights @ ((1 - flagged) * label)
    tn = weights @ ((1 - flagged) * (1 - label))

    return {
        "true_positive": tp,
        "false_positive": fp,
        "false_negative": fn,
        "true_negative": tn,
        "precision": _ratio(tp, tp + fp),
        "recall": _ratio(tp, tp + fn),
        "specificity": _ratio(tn, tn + fp),
        "f1": _ratio(2 * tp, 2 * tp + fp + fn),
        "flagged_share": _ratio(tp + fp, tp + fp + fn + tn),
    }
