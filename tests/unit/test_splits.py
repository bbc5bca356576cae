"""Splits keep patients whole, follow from seed and name alone, and share out who ever had an event."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.splits import PARTS, TEST, TRAIN, VALIDATION, grouped_folds, split_by_patient


def cohort(patients: int, seed: int) -> tuple[np.ndarray, tuple[str, ...], np.ndarray]:
    rng = np.random.default_rng(seed)
    patient = np.repeat(np.arange(patients), rng.integers(1, 9, patients)).astype(np.int32)
    return patient, tuple(f"T/{i}" for i in range(patients)), (rng.random(len(patient)) < 0.1).astype(np.int8)


@settings(max_examples=40, deadline=None)
@given(patients=st.integers(1, 120), seed=st.integers(0, 10_000))
def test_no_patient_stands_in_two_parts_and_shares_hold_within_one(patients, seed):
    patient, names, label = cohort(patients, seed)
    part = split_by_patient(patient, names, label, seed=seed)
    for p in range(patients):
        assert len(set(part[patient == p].tolist())) == 1
    ever = np.array([label[patient == p].any() for p in range(patients)])
    of_patient = np.array([part[patient == p][0] for p in range(patients)])
    for flag in (True, False):
        size = int((ever == flag).sum())
        for number, share in zip((TRAIN, VALIDATION, TEST), (0.70, 0.15, 0.15), strict=True):
            assert abs((of_patient[ever == flag] == number).sum() - share * size) <= 1


def test_the_split_does_not_depend_on_the_order_of_rows_or_patients():
    patient, names, label = cohort(50, 1)
    part = split_by_patient(patient, names, label, seed=7)
    order = np.random.default_rng(0).permutation(len(patient))
    assert (split_by_patient(patient[order], names, label[order], seed=7) == part[order]).all()
    turned = split_by_patient(49 - patient, names[::-1], label, seed=7)
    assert (turned == part).all()
    assert (split_by_patient(patient, names, label, seed=8) != part).any()


def test_the_test_patients_of_a_seed_never_change():
    """A frozen list: were it to change, models registered before and after could not be compared."""
    names = tuple(f"T/{i}" for i in range(20))
    part = split_by_patient(np.arange(20), names, np.zeros(20, np.int8), seed=1)
    assert np.flatnonzero(part == TEST).tolist() == FROZEN
    assert len(PARTS) == 3


FROZEN = [1, 9, 17]


def test_folds_are_whole_patients_of_nearly_equal_number():
    patient, names, label = cohort(53, 3)
    fold = grouped_folds(patient, names, label, folds=5, seed=1)
    of_patient = np.array([set(fold[patient == p].tolist()) for p in range(53)])
    assert all(len(one) == 1 for one in of_patient)
    counts = np.bincount([one.pop() for one in of_patient], minlength=5)
    assert counts.max() - counts.min() <= 1


def test_odd_requests_are_refused_in_words():
    patient, names, label = cohort(5, 0)
    with pytest.raises(ValueError, match="add up to 1"):
        split_by_patient(patient, names, label, seed=1, fractions=(0.5, 0.2, 0.2))
    with pytest.raises(ValueError, match="two folds"):
        grouped_folds(patient, names, label, folds=1, seed=1)
    with pytest.raises(ValueError, match="equally many"):
        split_by_patient(patient, names, label[:-1], seed=1)
