"""What an online window may drop never changes a bit, at any later time and whatever arrives later."""

from __future__ import annotations

import numpy as np
import pytest

from ml.contracts.signals import SIGNAL_CODES
from ml.facts import Facts
from ml.features import (
    LOOKBACK_SECONDS,
    Anchors,
    anchors,
    baseline_period,
    compute,
    must_rebuild,
    needed_facts,
    needed_for_window,
)
from ml.features.baseline import MARGIN_SECONDS
from ml.features.table import DAY, HOUR
from tests.unit.features.histories import PROFILE, START, cohort, facts_from, joined
from tests.unit.features.test_kernel import same

NONE_KNOWN = Anchors(None, None)


def _arriving(facts: Facts) -> Facts:
    """One patient's facts in the order in which they became known."""
    return facts.take(np.lexsort((facts.offset, facts.known_time)))


def _with_late_dose(facts: Facts, known: int) -> Facts:
    """Doses from day 9 on, and one of day 5 that becomes known late: the baseline period moves to where nothing is kept."""
    dose = {"patient": 0, "signal": "study_dose", "key": 77, "event_time": START + 4 * DAY, "known_time": known, "value": 1,
            "extra": 0, "code": 1, "offset": 10**6}  # fmt: skip
    early = (facts.signal == SIGNAL_CODES["study_dose"]) & (facts.event_time < START + 8 * DAY)
    return joined(facts.take(~early), facts_from([dose], 1))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("late_dose", [False, True])
def test_dropping_never_changes_a_bit(seed, late_dose):
    facts = cohort(seed, patients=1, days=14, per_day=12, late=0.1, corrected=0.1)
    if late_dose:
        facts = _with_late_dose(facts, START + 11 * DAY)
    facts = _arriving(facts)
    rng = np.random.default_rng(seed)
    first, last = int(facts.known_time.min()), int(facts.known_time.max())
    steps = np.sort(rng.integers(first, last, 60))
    window, arrived, known, kept_since, rebuilt, dropped = (
        facts.take(np.empty(0, np.intp)),
        0,
        NONE_KNOWN,
        -(2**40),
        0,
        0,
    )
    for time in steps.tolist():
        upto = int(np.searchsorted(facts.known_time, time, side="right"))
        window = joined(window, facts.take(np.arange(arrived, upto)))
        arrived = upto
        now = anchors(window, 0, time)
        if must_rebuild(known, now, kept_since, PROFILE):
            window, rebuilt = facts.take(np.arange(upto)), rebuilt + 1
        patient, as_of = np.array([0]), np.array([time])
        same(compute(window, patient, as_of, PROFILE), compute(facts, patient, as_of, PROFILE))
        known = now
        keep = needed_facts(window, time, known, PROFILE)
        dropped += int((~keep).sum())
        window, kept_since = window.take(keep), time - LOOKBACK_SECONDS - MARGIN_SECONDS
    assert dropped > 200
    assert rebuilt >= late_dose
    assert rebuilt <= 4


def test_without_the_rebuild_bits_would_change():
    facts = _arriving(_with_late_dose(cohort(1, patients=1, days=14, per_day=12), START + 12 * DAY))
    before, after = START + 12 * DAY - 1, START + 12 * DAY
    upto = facts.known_time <= before
    window = facts.take(upto)
    window = window.take(needed_facts(window, before, anchors(window, 0, before), PROFILE))
    window = joined(window, facts.take((facts.known_time > before) & (facts.known_time <= after)))
    patient, as_of = np.array([0]), np.array([after])
    pruned, whole = (compute(one, patient, as_of, PROFILE) for one in (window, facts))
    assert not np.array_equal(pruned, whole, equal_nan=True)
    assert must_rebuild(anchors(facts, 0, before), anchors(facts, 0, after), before - LOOKBACK_SECONDS, PROFILE)


def test_needed_for_window_by_its_rules():
    at = START + 30 * DAY
    known = Anchors(first_dose=START + 5 * DAY + HOUR, enrolment=START)
    times = np.array([
        at,
        at - LOOKBACK_SECONDS - MARGIN_SECONDS + 1,
        at - LOOKBACK_SECONDS - MARGIN_SECONDS,
        START + 3 * DAY - 1,
        START + 3 * DAY,
        START + 6 * DAY - 1,
        START + 6 * DAY,
    ])  # fmt: skip
    keep = needed_for_window(times, np.zeros(7, bool), at, known, PROFILE)
    assert keep.tolist() == [True, True, False, False, True, True, False]
    assert needed_for_window(times, np.ones(7, bool), at, known, PROFILE).all()


def test_baseline_period():
    dose = {"patient": 0, "signal": "study_dose", "key": 1, "event_time": START + 5 * DAY + HOUR, "known_time": START + 7 * DAY,
            "value": 1, "extra": 0}  # fmt: skip
    enrolment = {
        "patient": 0,
        "signal": "enrolment",
        "key": 1,
        "event_time": START + HOUR,
        "known_time": START + HOUR,
        "value": 1,
    }
    facts = facts_from([dose, enrolment], 1)
    assert baseline_period(facts, 0, START, PROFILE) is None
    assert baseline_period(facts, 0, START + 6 * DAY, PROFILE) == (START, START + DAY - 1)
    assert baseline_period(facts, 0, START + 7 * DAY, PROFILE) == (START + 3 * DAY, START + 6 * DAY - 1)


def test_a_shift_inside_what_is_kept_needs_no_rebuild():
    before = Anchors(None, START)
    after = Anchors(START + 10 * DAY, START)
    assert not must_rebuild(before, after, START + 7 * DAY, PROFILE)
    assert must_rebuild(before, after, START + 9 * DAY, PROFILE)
    assert not must_rebuild(after, after, START + 90 * DAY, PROFILE)
    assert not must_rebuild(after, NONE_KNOWN, START + 90 * DAY, PROFILE)
