"""The real pilot's honest figure: blinded, 24 h, grouped folds. More than 0.70 would be a leak."""

from __future__ import annotations

import numpy as np
import pytest

from ml.training.crossval import cross_validate
from ml.training.source import hidden_features
from ml.training.train import TrainingConfig
from tests.support.study_rows import rows_of_study


@pytest.mark.slow
def test_the_pilot_gives_between_0_60_and_0_70(pilot_dir):
    data, profile = rows_of_study(pilot_dir)
    assert np.isnan(data.column("trial_arm")).all()
    assert 0.01 < data.label.mean() < 0.04
    assert data.left_out["not treated"] > 0
    body = cross_validate(TrainingConfig(), data, profile, masked=hidden_features(profile), draws=200)
    auroc = body["figures"]["auroc"]
    assert 0.60 <= auroc["value"] <= 0.70, auroc
    assert body["figures"]["ece"]["value"] < 0.05
    assert body["simulated"] is False
