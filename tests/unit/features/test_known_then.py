"""Nothing that happened or became known after t changes a byte of the vector at t."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given

from ml.facts import Facts
from ml.features import canonical, compute, vector_bytes
from ml.features.table import DAY
from tests.unit.features.histories import PROFILE, cohort, joined, pairs, small
from tests.unit.features.test_kernel import few, same


def _later(facts: Facts, as_of: int, rng: np.random.Generator) -> Facts:
    """Copies of facts, moved so that at least one of their times is later than `as_of`, with other content."""
    rows = rng.choice(len(facts), 300)
    more = facts.take(rows)
    ahead = as_of + 1 + rng.integers(0, 3 * DAY, len(rows))
    event = np.where(
        rng.random(len(rows)) < 0.5, ahead, np.minimum(more.event_time, as_of - rng.integers(0, DAY, len(rows)))
    )
    known = np.where(event <= as_of, ahead, np.where(rng.random(len(rows)) < 0.5, ahead, more.known_time))
    key = np.where(rng.random(len(rows)) < 0.5, more.key, rng.integers(10**7, 10**8, len(rows)))
    gone = rng.random(len(rows)) < 0.2
    return replace(more, event_time=event, known_time=known, key=key, retracted=gone, offset=more.offset + 10**6)


def test_two_hundred_random_times():
    facts = cohort(11, patients=2, per_day=24)
    patient, as_of = pairs(12, facts, 200)
    matrix = compute(facts, patient, as_of, PROFILE)
    rng = np.random.default_rng(13)
    for row in range(200):
        one = slice(row, row + 1)
        until = facts.take((facts.event_time <= as_of[row]) & (facts.known_time <= as_of[row]))
        told = vector_bytes(canonical(matrix[row]))
        for world in (until, joined(until, _later(facts, int(as_of[row]), rng))):
            again = compute(world, patient[one], as_of[one], PROFILE)
            assert vector_bytes(canonical(again[0])) == told


@few
@given(small())
def test_drawn_histories_cut_at_the_time(history):
    facts, patient, as_of = history
    matrix = compute(facts, patient, as_of, PROFILE)
    for row in range(len(patient)):
        one = slice(row, row + 1)
        until = facts.take((facts.event_time <= as_of[row]) & (facts.known_time <= as_of[row]))
        same(matrix[one], compute(until, patient[one], as_of[one], PROFILE))
