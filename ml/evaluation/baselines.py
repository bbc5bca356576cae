"""Simple models on the same rows: what the network must beat.

Fitted on the training rows only; each gives a score [n] for every row (any rising scale; NaN = it cannot say).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import lightgbm
import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from ml.clinical.news2 import totals
from ml.scoring.bundle import Scaler
from ml.splits import TRAIN, VALIDATION

Float = NDArray[np.float64]

DAY_ARM_DOSE = (
    "days_since_enrolment",
    "days_since_first_dose",
    "trial_arm",
    "study_dose_current",
    "study_dose_missed_7d",
)
NEWS2_SOURCES = {
    "heart_rate": ("heart_rate_latest",),
    "blood_pressure_systolic": ("blood_pressure_systolic_latest",),
    "temperature": ("temperature_latest",),
    "spo2": ("spo2_mean_6h", "spo2_mean_24h"),
    "respiratory_rate": ("respiratory_rate_mean_6h", "respiratory_rate_mean_24h"),
}
"""Sign → the features its newest value is taken from, the first that has one."""
BOOSTING: dict[str, Any] = {
    "objective": "binary",
    "metric": "auc",
    "learning_rate": 0.05,
    "num_leaves": 31,
    "min_data_in_leaf": 40,
    "feature_fraction": 0.5,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "lambda_l2": 5.0,
    "deterministic": True,
    "force_row_wise": True,
    "num_threads": 1,
    "verbosity": -1,
}
BOOSTING_ROUNDS, BOOSTING_PATIENCE = 400, 40


@dataclass(frozen=True)
class BaselineInput:
    """Raw features float32 [n, f] with their scaler (fitted on train), labels and parts [n], and the seed of the run."""

    features: NDArray[np.float32]
    scaler: Scaler
    label: NDArray[np.integer]
    part: NDArray[np.int8]
    seed: int


def logistic(given: BaselineInput) -> Float:
    """Logistic regression on the network's own inputs, ridge penalty 1."""
    z = given.scaler.standardise(given.features)
    return _logistic(z, given.label, given.part == TRAIN)


def day_arm_dose(given: BaselineInput) -> Float:
    """Logistic regression on study day, arm and dose alone: what the schedule itself gives away."""
    names = given.scaler.names
    chosen = [names.index(name) for name in DAY_ARM_DOSE if name in names]
    if not chosen:
        return np.full(len(given.label), np.nan)
    z = given.scaler.standardise(given.features)[:, chosen]
    return _logistic(np.concatenate([z, z**2], axis=1), given.label, given.part == TRAIN)


def _logistic(z: Float, label: NDArray[np.integer], fit: NDArray[np.bool_]) -> Float:
    model = LogisticRegression(C=1.0, max_iter=500).fit(z[fit], label[fit])
    return np.asarray(model.decision_function(z), dtype=np.float64)


def boosting(given: BaselineInput) -> Float:
    """Gradient-boosted trees on the raw features, missing values as they are, stopped early on validation."""
    x = given.features[:, ~given.scaler.masked]
    fit, held = given.part == TRAIN, given.part == VALIDATION
    rows = lightgbm.Dataset(x[fit], given.label[fit], free_raw_data=False)
    model = lightgbm.train(
        {**BOOSTING, "seed": given.seed},
        rows,
        num_boost_round=BOOSTING_ROUNDS,
        valid_sets=[lightgbm.Dataset(x[held], given.label[held], reference=rows)],
        callbacks=[lightgbm.early_stopping(BOOSTING_PATIENCE, verbose=False)],
    )
    return np.asarray(model.predict(x, raw_score=True, num_threads=1), dtype=np.float64)


def news2(given: BaselineInput) -> Float:
    """NEWS2 of the newest values that the features hold; NaN where none of its signs is known."""
    names = given.scaler.names
    signs = {}
    for sign, sources in NEWS2_SOURCES.items():
        value = np.full(len(given.label), np.nan)
        for name in sources:
            if name in names:
                value = np.where(np.isnan(value), given.features[:, names.index(name)].astype(np.float64), value)
        signs[sign] = value
    total, _ = totals(signs)
    return total


BASELINES: Mapping[str, Callable[[BaselineInput], Float]] = {
    "logistic": logistic,
    "lightgbm": boosting,
    "day_arm_dose": day_arm_dose,
    "news2": news2,
}


def fit_baselines(given: BaselineInput, report: Callable[[str], None] = lambda name: None) -> dict[str, Float]:
    """Scores [n] of every baseline, by name; those that cannot be fitted on these rows are left out."""
    found = {}
    for name, fit in BASELINES.items():
        report(name)
        scores = fit(given)
        if np.isfinite(scores).any():
            found[name] = scores
    return found
