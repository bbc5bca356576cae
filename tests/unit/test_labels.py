"""Labels as known then, and as-of times."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ml.features.table import DAY, HOUR
from ml.labels import (
    CENSORED,
    COUNTS,
    IMMATURE,
    NOT_ENROLLED,
    NOT_TREATED,
    REASONS,
    as_of_times,
    first_doses,
    follow_up_ends,
    label,
)
from ml.profile import StudyProfile
from tests.unit.features.histories import START, facts_from

PROFILE = StudyProfile("DEMO", label_maturity_days=2)
LATE = START + 100 * DAY


def _facts(*events: dict[str, int], end: int | None = None):
    rows = [{"patient": 0, "signal": "enrolment", "key": 1, "event_time": START, "known_time": START, "value": 1}]
    if end is not None:
        rows.append({"patient": 0, "signal": "disposition", "key": 2, "event_time": end, "known_time": end, "value": 0})
    for number, event in enumerate(events):
        rows.append({"patient": 0, "signal": "adverse_event", "key": 10 + number, "known_time": event["event_time"], "value": 2,
                     "code": number} | event)  # fmt: skip
    return facts_from(rows, 1)


def _label(facts, *times: int, known_by: int = LATE, profile: StudyProfile = PROFILE):
    return label(facts, np.zeros(len(times), int), np.array(times), profile, known_by=known_by)


def test_the_horizon_is_open_at_t_and_closed_at_its_end():
    onset = START + 10 * DAY
    times = (onset, onset - 1, onset - DAY, onset - DAY - 1, onset - 2 * DAY, onset - 2 * DAY - 1)
    found = _label(_facts({"event_time": onset}), *times)
    assert found.label.tolist() == [0, 1, 1, 0, 0, 0]
    assert found.second.tolist() == [0, 0, 0, 1, 1, 0]
    assert found.onset.tolist() == [-1, onset, onset, onset, onset, -1]
    assert found.counts.all()


def test_the_first_of_several():
    first = START + 10 * DAY
    found = _label(
        _facts({"event_time": first + HOUR}, {"event_time": first}, {"event_time": first + 30 * HOUR}), first - 1
    )
    assert (found.label[0], found.second[0], found.onset[0]) == (1, 1, first)


def test_labels_are_known_then():
    onset, recorded = START + 10 * DAY, START + 40 * DAY
    facts = _facts({"event_time": onset, "known_time": recorded})
    assert _label(facts, onset - 1, known_by=recorded - 1).label[0] == 0
    assert _label(facts, onset - 1, known_by=recorded).label[0] == 1


def test_retracted_and_moved_events():
    onset = START + 10 * DAY
    gone = _facts({"event_time": onset}, {"event_time": onset, "key": 10, "known_time": onset + DAY, "retracted": True})
    assert _label(gone, onset - 1).label[0] == 0
    moved = _facts({"event_time": onset}, {"event_time": onset + 5 * DAY, "key": 10, "known_time": onset + 6 * DAY})
    assert _label(moved, onset - 1, onset + 5 * DAY - 1).label.tolist() == [0, 1]


def test_immature_rows_are_left_out():
    time = START + 10 * DAY
    ripe = time + DAY + 2 * DAY
    assert _label(_facts(), time, known_by=ripe).reason[0] == COUNTS
    early = _label(_facts({"event_time": time + HOUR}), time, known_by=ripe - 1)
    assert (early.reason[0], early.label[0], early.second[0]) == (IMMATURE, -1, -1)


def test_the_second_horizon_ripens_later():
    time = START + 10 * DAY
    found = _label(_facts({"event_time": time + 30 * HOUR}), time, known_by=time + 3 * DAY)
    assert (found.label[0], found.second[0]) == (0, -1)


def test_follow_up_ends_with_the_day_of_disposition():
    end = START + 20 * DAY + 12 * HOUR
    facts = _facts(end=end)
    assert follow_up_ends(facts, LATE).tolist() == [START + 21 * DAY]
    found = _label(facts, START + 20 * DAY, START + 20 * DAY + 1)
    assert found.reason.tolist() == [COUNTS, CENSORED]
    given = label(
        facts, np.array([0]), np.array([START + 20 * DAY]), PROFILE, known_by=LATE, follow_up_end=np.array([START])
    )
    assert given.reason.tolist() == [CENSORED]


def test_rows_before_enrolment_are_left_out_and_counted():
    found = _label(_facts(), START - 1, START)
    assert found.reason.tolist() == [NOT_ENROLLED, COUNTS]
    assert found.left_out() == {
        REASONS[NOT_ENROLLED]: 1, REASONS[CENSORED]: 0, REASONS[IMMATURE]: 0, REASONS[NOT_TREATED]: 0
    }  # fmt: skip


def _treated(*doses: tuple[int, int, str, int]):
    """Two patients, enrolled at START; (patient, time, signal, extra) of doses and arms."""
    rows = [
        {"patient": p, "signal": "enrolment", "key": 1, "event_time": START, "known_time": START, "value": 1}
        for p in (0, 1)
    ]
    rows += [
        {
            "patient": p,
            "signal": signal,
            "key": 20 + n,
            "event_time": time,
            "known_time": time,
            "value": 0,
            "extra": extra,
        }
        for n, (p, time, signal, extra) in enumerate(doses)
    ]
    return facts_from(rows, 2)


def test_days_before_the_first_dose_do_not_count_where_risk_begins_with_it():
    dose, treated = START + 14 * DAY, replace(PROFILE, risk_from_first_dose=True)
    missed, arm = (0, START + DAY, "study_dose", 1), (0, dose, "arm", 1)
    facts = _treated(missed, (0, dose + DAY, "study_dose", 0), arm, (1, START + 3 * DAY, "arm", 0))
    assert first_doses(facts, LATE).tolist()[0] == dose
    assert _label(facts, dose - 1, dose, profile=treated).reason.tolist() == [NOT_TREATED, COUNTS]
    never = label(facts, np.array([1]), np.array([dose]), treated, known_by=LATE)
    assert never.reason.tolist() == [NOT_TREATED]
    assert _label(facts, dose - 1, dose).counts.all()


def test_where_nobody_has_a_dose_risk_begins_with_enrolment():
    found = _label(_treated(), START - 1, START, profile=replace(PROFILE, risk_from_first_dose=True))
    assert found.reason.tolist() == [NOT_ENROLLED, COUNTS]


def test_midnights_where_a_study_has_no_live_data():
    who, when = as_of_times(
        replace(PROFILE, live=False), ("DEMO/a", "DEMO/b"), np.array([START + 1, START]), START + 2 * DAY
    )
    assert who.tolist() == [0, 0, 1, 1, 1]
    assert ((when - START) // DAY).tolist() == [1, 2, 0, 1, 2]
    assert (when % DAY == 0).all()


def test_one_drawn_time_a_patient_day():
    who, when = as_of_times(PROFILE, tuple(f"DEMO/{number}" for number in range(40)), START, START + 30 * DAY - 1)
    assert len(when) == 40 * 30
    assert len({(patient, time // DAY) for patient, time in zip(who.tolist(), when.tolist(), strict=True)}) == 1200
    hours = np.bincount(when % DAY // HOUR, minlength=24)
    assert hours.min() > 20
    alone = as_of_times(PROFILE, ("DEMO/7",), START, START + 30 * DAY - 1)[1]
    assert alone.tolist() == when[who == 7].tolist()


@pytest.mark.parametrize("live", [True, False])
def test_no_time_outside_the_bounds(live):
    _, when = as_of_times(replace(PROFILE, live=live), ("DEMO/a",), START + HOUR, START + 5 * DAY + HOUR)
    assert (when >= START + HOUR).all()
    assert (when <= START + 5 * DAY + HOUR).all()
