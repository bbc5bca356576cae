"""Two models on the same rows."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from ml.evaluation import compare


def rows(seed: int = 0, patients: int = 60, days: int = 20) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, patients and true probabilities."""
    rng = np.random.default_rng(seed)
    patient = np.repeat(np.arange(patients), days)
    risk = 1 / (1 + np.exp(-(rng.normal(-2.0, 1.0, patients)[patient] + rng.normal(0, 1.0, len(patient)))))
    return (rng.random(len(patient)) < risk).astype(int), patient, risk


def test_the_figures_are_those_of_scikit_learn_and_scipy() -> None:
    label, patient, risk = rows()
    other = np.clip(risk + np.random.default_rng(1).normal(0, 0.2, len(risk)), 0.001, 0.999)
    found = compare(label, patient, risk, other, draws=50)
    assert found.auroc_a.value == pytest.approx(roc_auc_score(label, risk))
    assert found.auroc_b.value == pytest.approx(roc_auc_score(label, other))
    assert found.difference.value == pytest.approx(roc_auc_score(label, risk) - roc_auc_score(label, other))
    assert found.agreement == pytest.approx(spearmanr(risk, other).statistic)
    assert (found.rows, found.patients, found.events) == (1200, 60, int(label.sum()))


def test_a_model_against_itself_differs_by_nothing_in_every_draw() -> None:
    label, patient, risk = rows()
    found = compare(label, patient, risk, risk, draws=100)
    assert (found.difference.value, found.difference.low, found.difference.high) == (0.0, 0.0, 0.0)
    assert found.outcome == "no difference shown"


def test_pairing_makes_the_interval_of_the_difference_narrower_than_the_figures_own() -> None:
    label, patient, risk = rows()
    near = np.clip(risk + np.random.default_rng(2).normal(0, 0.02, len(risk)), 0.001, 0.999)
    found = compare(label, patient, risk, near)

    def width(one: object) -> float:
        return float(one.high - one.low)  # type: ignore[attr-defined]

    assert width(found.difference) < 0.3 * width(found.auroc_a)


@pytest.mark.parametrize(("noise", "outcome"), [(0.6, "better"), (0.02, "no difference shown")])
def test_better_only_where_the_interval_says_so(noise: float, outcome: str) -> None:
    label, patient, risk = rows(3)
    worse = np.clip(risk + np.random.default_rng(4).normal(0, noise, len(risk)), 0.001, 0.999)
    assert compare(label, patient, risk, worse).outcome == outcome
    if outcome == "better":
        assert compare(label, patient, worse, risk).outcome == "worse"
        assert compare(label, patient, risk, worse, gain=0.9).outcome == "better, by less than required"


def test_the_same_seed_gives_the_same_interval_and_order_of_rows_does_not_matter() -> None:
    label, patient, risk = rows()
    other = 1 - risk
    turned = np.random.default_rng(5).permutation(len(label))
    first = compare(label, patient, risk, other, draws=100)
    again = compare(label[turned], patient[turned], risk[turned], other[turned], draws=100)
    assert first.difference.low == pytest.approx(again.difference.low, abs=1e-12)


def test_too_few_events_are_said_and_not_judged() -> None:
    label = np.array([1] * 9 + [0] * 91)
    found = compare(label, np.arange(100), np.linspace(1, 0.01, 100), np.linspace(0.01, 1, 100))
    assert found.outcome == "too few events"
    assert found.difference.value is None
    assert "9 of 100" in found.sentence


def test_what_cannot_be_compared() -> None:
    with pytest.raises(ValueError, match="one length"):
        compare(np.array([0, 1]), np.array([1]), np.array([0.1, 0.2]), np.array([0.1, 0.2]))
    with pytest.raises(ValueError, match="missing"):
        compare(np.array([0, 1]), np.array([1, 2]), np.array([0.1, np.nan]), np.array([0.1, 0.2]))
