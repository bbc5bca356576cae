"""Nothing wraps silently: what does not fit is computed in unbounded integers, or refused by name."""

from __future__ import annotations

import numpy as np
import pytest

from ml.contracts.signals import SIGNAL_CODES
from ml.contracts.signs import SIGN_BY_NAME
from ml.facts import Facts
from ml.features import bounds, compute, reference
from ml.features.table import DAY, HOUR, TEMPORAL_SIGNS
from tests.unit.features.histories import PROFILE, START, facts_from
from tests.unit.features.test_kernel import same

EXTREMES = [
    (name, round(limit * 10**sign.decimals))
    for name, sign in SIGN_BY_NAME.items()
    if name in TEMPORAL_SIGNS
    for limit in (sign.impossible_below, sign.impossible_above)
]


def _dense(signal: str, values: np.ndarray, times: np.ndarray) -> Facts:
    """Many readings of one sign of one patient."""
    size = len(values)
    whole = facts_from([{"patient": 0, "signal": signal, "key": 0, "event_time": 0, "known_time": 0, "value": 0}], 1)
    columns = {
        name: np.repeat(getattr(whole, name), size)
        for name in ("epoch", "offset", "low", "high", "end_time", "code", "extra")
    }
    return Facts(
        whole.patients,
        np.zeros(size, np.int32),
        np.full(size, SIGNAL_CODES[signal], np.int16),
        np.zeros(size, np.bool_),
        key=np.arange(size),
        event_time=times,
        known_time=times,
        value=values,
        **columns,
    )


@pytest.mark.parametrize(("signal", "value"), EXTREMES)
def test_the_ends_of_the_possible(signal, value):
    now = START + 5 * DAY
    other = dict(EXTREMES)[signal]
    rows = [
        {"patient": 0, "signal": signal, "key": number, "event_time": now - number * 1800, "known_time": 0,
         "value": value if number % 2 else other}
        for number in range(200)
    ]  # fmt: skip
    rows.append(
        {"patient": 0, "signal": "enrolment", "key": 0, "event_time": now - 2 * DAY, "known_time": 0, "value": 1}
    )
    facts = facts_from(rows, 1)
    question = (np.array([0]), np.array([now]))
    same(compute(facts, *question, PROFILE), reference.compute(facts, *question, PROFILE))


def test_more_readings_than_int64_holds():
    """A reading every ten seconds for 72 h: 26,000 in a window, beyond the slopes' bound of 8,192."""
    now, size = START + 5 * DAY, 72 * 360
    times = now - np.arange(size) * 10
    values = np.where(np.arange(size) % 3 == 0, 3900, np.where(np.arange(size) % 7 == 0, 0, 700)).astype(np.int64)
    facts = _dense("heart_rate", values, times)
    question = (np.array([0, 0]), np.array([now, now - HOUR]))
    assert size > bounds.SLOPE_LIMIT
    same(compute(facts, *question, PROFILE), reference.compute(facts, *question, PROFILE))


def test_histories_far_apart():
    """Two questions four hundred years apart: prefix sums count modulo 2^64, windows come back whole."""
    far = 400 * 365 * DAY
    times = np.concatenate([START + np.arange(500) * 900, START + far + np.arange(500) * 900])
    values = np.random.default_rng(0).integers(0, 3900, 1000)
    facts = _dense("heart_rate", values, times)
    as_of = np.concatenate([START + np.arange(300) * 1500, START + far + np.arange(300) * 1500])
    patient = np.zeros(600, np.int64)
    matrix = compute(facts, patient, as_of, PROFILE)
    rows = np.arange(0, 600, 40)
    same(matrix[rows], reference.compute(facts, patient[rows], as_of[rows], PROFILE))


def test_the_slow_integers_are_the_same_numbers(monkeypatch):
    from ml.features import clinical, temporal
    from tests.unit.features.histories import cohort, pairs

    facts = cohort(3, patients=1, per_day=24)
    patient, as_of = pairs(4, facts, 60)
    matrix = compute(facts, patient, as_of, PROFILE)
    monkeypatch.setattr(temporal, "SLOPE_LIMIT", 3)
    monkeypatch.setattr(temporal, "SPREAD_LIMIT", 3)
    monkeypatch.setattr(clinical, "TIES_LIMIT", 0)
    same(matrix, compute(facts, patient, as_of, PROFILE))


def test_many_results_of_one_second():
    now = START + 3 * DAY
    rows = [
        {
            "patient": 0,
            "signal": signal,
            "key": number,
            "event_time": now - back,
            "known_time": 0,
            "value": 10**6 - number,
        }
        for signal in ("alt", "weight", "height")
        for back in (100, 50)
        for number in range(back * 10, back * 10 + 300)
    ]
    for row in rows:
        row["value"] = row["value"] if row["signal"] == "alt" else 20_000 + row["key"]
    rows.append({"patient": 0, "signal": "enrolment", "key": 0, "event_time": now - 60, "known_time": 0, "value": 1})
    facts = facts_from(rows, 1)
    question = (np.array([0]), np.array([now]))
    same(compute(facts, *question, PROFILE), reference.compute(facts, *question, PROFILE))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"value": 9000}, "heart_rate has the fixed-point value 9000"),
        ({"value": 2**63 - 1}, "heart_rate has the fixed-point value"),
        ({"event_time": 2**36}, "event_time lies outside"),
        ({"known_time": -(2**40)}, "known_time lies outside"),
    ],
)
def test_what_is_beyond_the_proof_is_refused_by_name(change, words):
    row = {
        "patient": 0,
        "signal": "heart_rate",
        "key": 0,
        "event_time": START,
        "known_time": START,
        "value": 700,
    } | change
    with pytest.raises(OverflowError, match=words):
        compute(facts_from([row], 1), np.array([0]), np.array([START]), PROFILE)


def test_a_time_beyond_the_proof_is_refused():
    with pytest.raises(OverflowError, match="as-of time"):
        compute(Facts.empty(["DEMO/0"]), np.array([0]), np.array([2**40]), PROFILE)
