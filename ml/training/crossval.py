"""Grouped cross-validation: an honest figure for a trial too small to spare a test set."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.evaluation.bootstrap import DRAWS
from ml.evaluation.evaluate import Rows, evaluate
from ml.profile import StudyProfile
from ml.splits import TEST, TRAIN, VALIDATION, grouped_folds
from ml.training.assess import groups_of
from ml.training.data import TrainingData
from ml.training.train import TrainingConfig, train

Float = NDArray[np.float64]
FOLDS = 5


def out_of_fold(
    config: TrainingConfig,
    data: TrainingData,
    *,
    masked: Collection[str] = (),
    folds: int = FOLDS,
    report: Callable[[int], None] = lambda fold: None,
) -> Float:
    """Probability [n] of each row from a network that saw none of its patient's rows, recalibrated on a further fold."""
    fold = grouped_folds(data.patient, data.patients, data.label, folds=folds, seed=config.seed)
    probability = np.full(len(data), np.nan)
    for number in range(folds):
        part = np.full(len(data), TRAIN, dtype=np.int8)
        part[fold == (number + 1) % folds] = VALIDATION
        part[fold == number] = TEST
        trained = train(replace(config, seed=config.seed + number), data, masked=masked, part=part)
        probability[part == TEST] = trained.bundle.probabilities(data.features[part == TEST])
        report(number + 1)
    return probability


def cross_validate(
    config: TrainingConfig,
    data: TrainingData,
    profile: StudyProfile,
    *,
    masked: Collection[str] = (),
    folds: int = FOLDS,
    draws: int = DRAWS,
    report: Callable[[int], None] = lambda fold: None,
) -> dict[str, Any]:
    """Evaluate the out-of-fold probabilities of all rows together; the layout is that of `ml.evaluation.evaluate`."""
    probability = out_of_fold(config, data, masked=masked, folds=folds, report=report)
    rows = Rows(data.patient, data.label, probability, data.hours_to_onset, groups_of(data), oracle=data.oracle)
    return evaluate(rows, simulated=profile.simulated, bands=profile.bands, draws=draws, extra={"folds": folds})
