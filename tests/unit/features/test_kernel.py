"""The kernel gives the reference's bits, whatever is passed beside, in whatever order and number."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from ml.facts import INT_COLUMNS, Facts
from ml.features import NAMES, compare, compute, kernel, reference, windows
from ml.features.baseline import anchor_times, baseline_bounds
from ml.features.series import lay_out
from ml.features.table import DAY
from ml.features.versions import resolve
from tests.unit.features.histories import PROFILE, cohort, facts_from, joined, pairs, small

drawn = settings(max_examples=120, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
few = settings(drawn, max_examples=40)


def same(first: np.ndarray, second: np.ndarray) -> None:
    differences = compare(first, second)
    assert not differences, "\n".join(map(str, differences[:10]))


@drawn
@given(small())
def test_kernel_equals_reference_on_drawn_histories(history):
    facts, patient, as_of = history
    same(compute(facts, patient, as_of, PROFILE), reference.compute(facts, patient, as_of, PROFILE))


@pytest.fixture(scope="module")
def trial():
    facts = cohort(7)
    patient, as_of = pairs(8, facts, 400)
    return facts, patient, as_of, compute(facts, patient, as_of, PROFILE)


def test_kernel_equals_reference_on_a_trial(trial):
    facts, patient, as_of, matrix = trial
    same(matrix, reference.compute(facts, patient, as_of, PROFILE))


def test_every_feature_has_a_value_often_enough(trial):
    valued = np.isfinite(trial[3]).sum(axis=0)
    assert {name: int(n) for name, n in zip(NAMES, valued, strict=True) if n < 40} == {}
    distinct = [len(np.unique(column[np.isfinite(column)])) for column in trial[3].T]
    assert [name for name, n in zip(NAMES, distinct, strict=True) if n < 2] == []


def test_late_and_corrected_records_are_among_the_cases(trial):
    facts, patient, as_of, matrix = trial
    prompt = replace(facts, known_time=facts.event_time)
    told_later = (compute(prompt, patient, as_of, PROFILE) != matrix) & np.isfinite(matrix)
    assert told_later.any(axis=1).sum() >= 80


@few
@given(small())
def test_order_and_duplicates_of_facts_do_not_matter(history):
    facts, patient, as_of = history
    matrix = compute(facts, patient, as_of, PROFILE)
    order = np.random.default_rng(len(facts)).permutation(len(facts))
    same(matrix, compute(facts.take(order), patient, as_of, PROFILE))
    same(matrix, compute(joined(facts, facts), patient, as_of, PROFILE))


def test_order_does_not_matter_on_a_trial(trial):
    facts, patient, as_of, matrix = trial
    same(matrix, compute(facts.take(np.random.default_rng(1).permutation(len(facts))), patient, as_of, PROFILE))


def test_one_at_a_time_and_in_any_company(trial):
    facts, patient, as_of, matrix = trial
    rng = np.random.default_rng(2)
    for row in rng.choice(len(patient), 40, replace=False):
        one = slice(row, row + 1)
        same(matrix[one], compute(facts, patient[one], as_of[one], PROFILE))
        alone = facts.take(facts.patient == patient[row])
        same(matrix[one], compute(alone, patient[one], as_of[one], PROFILE))
    for _ in range(5):
        rows = rng.choice(len(patient), 60)
        same(matrix[rows], compute(facts, patient[rows], as_of[rows], PROFILE))


def test_patients_may_be_numbered_otherwise(trial):
    facts, patient, as_of, matrix = trial
    other = np.array([5, 0, 3])
    names = tuple(f"X/{number}" for number in range(7))
    moved = replace(facts, patients=names, patient=other[facts.patient].astype(np.int32))
    same(matrix, compute(moved, other[patient], as_of, PROFILE))


def test_groups_of_patients_and_of_times_do_not_matter(trial, monkeypatch):
    facts, patient, as_of, matrix = trial
    monkeypatch.setattr(kernel, "PAIRS_AT_ONCE", 37)
    for rows in (1, 2500):
        monkeypatch.setattr(kernel, "ROWS_AT_ONCE", rows)
        same(matrix, compute(facts, patient, as_of, PROFILE))


def test_older_history_changes_nothing(trial):
    """Vital signs before every look-back, of records without an id: another year of them."""
    facts, patient, as_of, matrix = trial
    old = facts.take(np.isin(facts.signal, np.arange(1, 7)) & (facts.extra == 0))
    shift = 400 * DAY
    old = replace(old, event_time=old.event_time - shift, known_time=old.known_time - shift, key=old.key + 10**6)
    same(matrix, compute(joined(facts, old), patient, as_of, PROFILE))


def _both_ways(facts: Facts, patient: np.ndarray, as_of: np.ndarray) -> None:
    series = lay_out(resolve(facts, facts.patient.astype(np.int64)))
    first_dose, enrolment = anchor_times(series, patient, as_of)
    baseline = baseline_bounds(first_dose, enrolment, 3)
    quick, slow = (windows.moments(series, patient, as_of, baseline, by_row=way) for way in (False, True))
    for name in ("n", "x", "xx"):
        np.testing.assert_array_equal(getattr(quick, name), getattr(slow, name))
    for name in ("t", "tt", "tx"):
        np.testing.assert_array_equal(getattr(quick, name)[:5], getattr(slow, name)[:5])
    for name in ("least", "greatest"):
        there = quick.n[:3] > 0
        np.testing.assert_array_equal(getattr(quick, name)[there], getattr(slow, name)[there])


def test_both_ways_of_adding_up_give_the_same_integers(trial):
    facts, patient, as_of, _ = trial
    _both_ways(facts, patient, as_of)


@settings(drawn, max_examples=150)
@given(small(signals=("heart_rate", "spo2", "study_dose", "enrolment")))
def test_both_ways_on_drawn_histories(history):
    _both_ways(*history)


def test_nothing_known_of_a_patient_still_has_flags_and_counts():
    empty = Facts.empty(["DEMO/0"])
    matrix = compute(empty, np.array([0]), np.array([10**9]), PROFILE)
    same(matrix, reference.compute(empty, np.array([0]), np.array([10**9]), PROFILE))
    assert np.nansum(matrix) == 4  # three missing signs, no laboratory result
    assert compute(empty, np.array([], int), np.array([], int), PROFILE).shape == (0, 120)


def test_a_patient_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match="outside the 1 patients"):
        compute(Facts.empty(["DEMO/0"]), np.array([1]), np.array([10**9]), PROFILE)


def test_what_the_kernel_is_given_stays_as_it_was(trial):
    facts, patient, as_of, _ = trial
    before = [getattr(facts, name).copy() for name in INT_COLUMNS]
    compute(facts, patient, as_of, PROFILE)
    for name, column in zip(INT_COLUMNS, before, strict=True):
        np.testing.assert_array_equal(getattr(facts, name), column)


def test_versions_of_one_second_are_ordered_by_epoch_and_offset():
    rows = [
        {"patient": 0, "signal": "heart_rate", "key": 1, "event_time": 1000, "known_time": 1000, "value": 700 + number,
         "epoch": epoch, "offset": offset}
        for number, (epoch, offset) in enumerate([(0, 9), (1, 3), (1, 2)])
    ]  # fmt: skip
    matrix = compute(facts_from(rows, 1), np.array([0]), np.array([1000]), PROFILE)
    assert matrix[0, NAMES.index("heart_rate_latest")] == 70.1
