"""Grouped cross-validation: an honest figure for a trial too small to spare a test set."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.evaluation.baselines import BaselineInput, fit_baselines
from ml.evaluation.bootstrap import DRAWS
from ml.evaluation.evaluate import Rows, evaluate
from ml.profile import StudyProfile
from ml.splits import TEST, TRAIN, VALIDATION, grouped_folds
from ml.training.data import TrainingData
from ml.training.groups import groups_of
from ml.training.train import TrainingConfig, recalibration, train

Float = NDArray[np.float64]
FOLDS = 5


def out_of_fold(
    config: TrainingConfig,
    data: TrainingData,
    *,
    masked: Collection[str] = (),
    folds: int = FOLDS,
    baselines: bool = False,
    report: Callable[[int], None] = lambda fold: None,
) -> dict[str, Float]:
    """Probability [n] of each row from a network ("ours") that saw none of its patient's rows, recalibrated on a further
    fold; with `baselines` theirs too, on the same folds and recalibrated alike, by name.
    """
    fold = grouped_folds(data.patient, data.patients, data.label, folds=folds, seed=config.seed)
    found: dict[str, Float] = {}
    for number in range(folds):
        part = np.full(len(data), TRAIN, dtype=np.int8)
        part[fold == (number + 1) % folds] = VALIDATION
        part[fold == number] = TEST
        test, held = part == TEST, part == VALIDATION
        trained = train(replace(config, seed=config.seed + number), data, masked=masked, part=part)
        given = BaselineInput(data.features, trained.bundle.scaler, data.label, part, config.seed)
        told = {"ours": trained.bundle.probabilities(data.features)}
        for name, scores in (fit_baselines(given) if baselines else {}).items():
            usable = held & np.isfinite(scores)
            slope, offset = recalibration(data.label[usable], scores[usable])
            told[name] = 1 / (1 + np.exp(-(slope * scores + offset)))
        for name, scores in told.items():
            found.setdefault(name, np.full(len(data), np.nan))[test] = scores[test]
        report(number + 1)
    return found


def cross_validate(
    config: TrainingConfig,
    data: TrainingData,
    profile: StudyProfile,
    *,
    masked: Collection[str] = (),
    folds: int = FOLDS,
    draws: int = DRAWS,
    baselines: bool = False,
    report: Callable[[int], None] = lambda fold: None,
) -> dict[str, Any]:
    """Evaluate the out-of-fold probabilities of all rows together; the layout is that of `ml.evaluation.evaluate`."""
    found = out_of_fold(config, data, masked=masked, folds=folds, baselines=baselines, report=report)
    rows = Rows(
        patient=data.patient,
        label=data.label,
        probability=found.pop("ours"),
        hours_to_onset=data.hours_to_onset,
        groups=groups_of(data),
        others=found,
        oracle=data.oracle,
    )
    return evaluate(rows, simulated=profile.simulated, bands=profile.bands, draws=draws, extra={"folds": folds})
