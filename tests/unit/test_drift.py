"""Drift of features, and the reference that is kept with a model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ks_2samp, kstwobign

from ml.drift import Reference, drift_table, drifted, sample_rows
from ml.drift.table import CONTINUOUS, MOVES_WITH_TIME, chance_distance, effect_size, enough, ks
from ml.features import NAMES
from ml.lake import ObjectMissing
from ml.scoring import Scaler
from tests.support.serving import bundle

PLACE = {name: position for position, name in enumerate(NAMES)}


def matrix(rows: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 1, (rows, len(NAMES))).astype(np.float32)


def scaler() -> Scaler:
    return bundle().scaler


def row_of(name: str, sample: np.ndarray, recent: np.ndarray) -> Any:
    return next(row for row in drift_table(NAMES, sample, recent, scaler()) if row.feature == name)


values = st.lists(st.one_of(st.floats(-50, 50), st.integers(-3, 3).map(float)), min_size=1, max_size=60)


@settings(deadline=None, max_examples=200)
@given(values, values)
def test_the_distance_is_scipys_with_ties_too(first: list[float], second: list[float]) -> None:
    expected = ks_2samp(first, second).statistic
    assert ks(np.array(first), np.array(second)) == pytest.approx(expected, abs=1e-12)


def test_the_limits_number_is_the_tests_own() -> None:
    """Two samples of one distribution exceed the chance distance once in a thousand times; scipy says the same."""
    limit = chance_distance(800, 1000)
    assert kstwobign.sf(limit * np.sqrt(800 * 1000 / 1800)) == pytest.approx(0.001, rel=0.01)
    rng = np.random.default_rng(1)
    over = [ks(rng.normal(size=120), rng.normal(size=600)) > chance_distance(120, 600) for _ in range(2000)]
    assert np.mean(over) < 0.003


def test_a_hundred_features_without_drift_do_not_ask_for_retraining() -> None:
    """At the smallest number of values that is judged."""
    by_chance = []
    for seed in range(20):
        found = drift_table(NAMES, matrix(2000, 100 + seed), matrix(100, seed), scaler())
        assert all(row.judged for row in found)
        by_chance.append(len(drifted(found)))
    assert max(by_chance) <= 3, "a warning needs more than 3"
    assert np.mean(by_chance) < 0.5


def test_effect_size_is_in_standard_deviations_of_training() -> None:
    training = np.array([1.0, 2.0, 3.0])
    assert effect_size(training, training + 2) == pytest.approx(2.0)
    assert np.isnan(effect_size(np.ones(5), training))


def test_the_same_distribution_does_not_drift_and_a_shifted_one_does() -> None:
    sample, recent = matrix(2000), matrix(300, 1)
    assert drifted(drift_table(NAMES, sample, recent, scaler())) == []
    recent[:, PLACE["heart_rate_mean_6h"]] += 1.0
    found = drift_table(NAMES, sample, recent, scaler())
    assert [row.feature for row in drifted(found)] == ["heart_rate_mean_6h"]
    assert found[0].feature == "heart_rate_mean_6h", "the greatest distance stands first"
    assert found[0].effect == pytest.approx(1.0, abs=0.15)


def test_too_few_values_on_either_side_are_not_judged() -> None:
    sample, recent = matrix(2000), matrix(300, 1) + 5
    assert row_of("heart_rate_mean_6h", sample, recent[:99]).judged is False
    assert row_of("heart_rate_mean_6h", sample[:99], recent).judged is False
    assert row_of("heart_rate_mean_6h", sample, recent[:100]).drifted
    thin = row_of("heart_rate_mean_6h", sample[:110], recent[:110])
    assert not thin.judged
    assert "chance alone" in thin.reason
    assert enough(100, 2000)
    assert not enough(110, 110)


def test_missing_values_leave_the_distance_and_are_shown_as_a_share() -> None:
    sample, recent = matrix(2000), matrix(400, 1)
    recent[:100, PLACE["alt_latest"]] = np.nan
    found = row_of("alt_latest", sample, recent)
    assert (found.values_recent, found.missing_recent, found.missing_training) == (300, 0.25, 0.0)
    assert not found.drifted


def test_values_outside_the_range_of_training_are_counted() -> None:
    sample, recent = matrix(2000), matrix(400, 1)
    recent[:20, PLACE["alt_latest"]] = 2e6
    assert row_of("alt_latest", sample, recent).outside_range == pytest.approx(0.05)


def test_features_that_grow_with_the_trial_are_shown_and_not_counted() -> None:
    recent = matrix(300, 1) + 9
    found = {row.feature: row for row in drift_table(NAMES, matrix(2000), recent, scaler())}
    for name in MOVES_WITH_TIME:
        assert found[name].judged
        assert not found[name].drifted
        assert "older" in found[name].reason
    assert found["alt_latest"].drifted


def test_only_continuous_features_that_the_model_reads() -> None:
    names = {row.feature for row in drift_table(NAMES, matrix(150), matrix(150), scaler())}
    assert names == set(CONTINUOUS) - {"study_dose_current"}, "the arm is masked, flags and counts are not continuous"
    assert not names & {"trial_arm", "sex", "comorbidity_count", "spo2_missing_24h"}


class Shelf(dict[str, bytes]):
    def put(self, path: str, data: bytes) -> None:
        self[path] = data

    def get(self, path: str) -> bytes:
        if path not in self:
            raise ObjectMissing(path)
        return self[path]


def test_a_reference_is_read_back_and_a_changed_one_refused() -> None:
    shelf = Shelf()
    kept = Reference(tuple(NAMES), matrix(10), {"train": ("T/1", "T/2"), "test": ("T/3",)}, 1_772_000_000)
    digests = kept.save(shelf, "models/x")
    found = Reference.load(shelf, "models/x", NAMES, digests)
    assert found is not None
    assert np.array_equal(found.sample, kept.sample)
    assert (found.held_out("test"), found.known_by) == (frozenset({"T/3"}), 1_772_000_000)
    assert Reference.load(shelf, "models/y", NAMES, digests) is None
    assert Reference.load(shelf, "models/x", NAMES, {}) is None
    shelf["models/x/split.json"] = shelf["models/x/split.json"].replace(b"T/3", b"T/4")
    with pytest.raises(ValueError, match="not what was kept"):
        Reference.load(shelf, "models/x", NAMES, digests)


def test_the_sample_does_not_depend_on_the_order_of_rows() -> None:
    names, times = [f"T/{n % 40}" for n in range(400)], np.arange(400)
    turned = np.random.default_rng(0).permutation(400)
    chosen = {(names[i], int(times[i])) for i in sample_rows(names, times, 1, most=50).tolist()}
    again = {
        (names[turned[i]], int(times[turned[i]]))
        for i in sample_rows([names[i] for i in turned], times[turned], 1, most=50).tolist()
    }
    assert chosen == again
    assert len(chosen) == 50
    assert chosen != {(names[i], int(times[i])) for i in sample_rows(names, times, 2, most=50).tolist()}
