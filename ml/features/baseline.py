"""The patient's baseline period, and what an online window must keep so that nothing it drops can change a bit.

The baseline period is fixed by the first study dose known to have been taken: the profile's `baseline_days` whole UTC
days up to and including the day of that dose. Before any dose it is the UTC day of enrolment; before enrolment is
known there is none.

What features read of vital signs: the last `LOOKBACK_SECONDS`, the baseline period, and of records that carry an id
everything. So an online window keeps exactly that. When first dose or enrolment become known, or change, the baseline
period can come to lie where readings were already dropped: `must_rebuild` says so, and the window is built anew from
bronze.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml.contracts.signals import SIGN_CODES, SIGNAL_CODES
from ml.facts import Facts, Int
from ml.features.newest import NONE, first
from ml.features.series import SLOT, Series, lay_out, series_key
from ml.features.table import DAY, HOUR, LOOKBACK_SECONDS
from ml.features.versions import resolve
from ml.profile import StudyProfile

MARGIN_SECONDS = HOUR
"""Kept beyond the look-back, for as-of times that lie a little before the newest one."""
_ANCHORING = (SIGNAL_CODES["study_dose"], SIGNAL_CODES["enrolment"])
_ANCHOR_SLOTS = np.array([SLOT["dose_taken"], SLOT["enrolment"]])
WITH_ID = 1
"""`Facts.extra` of a vital sign whose record carries a `record_id`; ABSENT or 0 for the others."""


def baseline_bounds(first_dose: Int, enrolment: Int, baseline_days: int) -> tuple[Int, Int]:
    """First and last second of the baseline period (inclusive); last < first where there is none.

    `first_dose`, `enrolment`: seconds, `NONE` where unknown.
    """
    dosed = first_dose != NONE
    moment = np.where(dosed, first_dose, enrolment)
    day = moment - moment % DAY
    known = moment != NONE
    begin = np.where(known, day - np.where(dosed, (baseline_days - 1) * DAY, 0), 0)
    return begin, np.where(known, day + (DAY - 1), -1)


@dataclass(frozen=True, slots=True)
class Anchors:
    """What the baseline period hangs on, as known at some time; seconds, None where unknown."""

    first_dose: int | None
    enrolment: int | None

    def period(self, profile: StudyProfile) -> tuple[int, int] | None:
        """First and last second of the baseline period, both inside; None where there is none."""
        dose, enrolment = (np.array([NONE if at is None else at]) for at in (self.first_dose, self.enrolment))
        begin, last = baseline_bounds(dose, enrolment, profile.baseline_days)
        return None if last[0] < begin[0] else (int(begin[0]), int(last[0]))


def anchor_times(series: Series, patient: Int, as_of: Int) -> tuple[Int, Int]:
    """(first dose taken, enrolment) as known at each pair's time; NONE where unknown."""
    key = series_key(patient[:, None], _ANCHOR_SLOTS)
    found = first(series, key.ravel(), np.repeat(as_of, 2)).reshape(-1, 2)
    return found[:, 0], found[:, 1]


def anchors(facts: Facts, patient: int, as_of: int) -> Anchors:
    """The anchors of one patient (position in `facts.patients`) as known at `as_of`."""
    mine = facts.take((facts.patient == patient) & np.isin(facts.signal, _ANCHORING))
    series = lay_out(resolve(mine, np.zeros(len(mine), np.int64)))
    found = anchor_times(series, np.zeros(1, np.int64), np.array([as_of], np.int64))
    dose, enrolment = (None if at[0] == NONE else int(at[0]) for at in found)
    return Anchors(dose, enrolment)


def baseline_period(facts: Facts, patient: int, as_of: int, profile: StudyProfile) -> tuple[int, int] | None:
    """First and last second of one patient's baseline period as known at `as_of`, both inside; None = none yet."""
    return anchors(facts, patient, as_of).period(profile)


def needed_for_window(
    event_time: Int, has_record_id: NDArray[np.bool_], as_of: int, known: Anchors, profile: StudyProfile
) -> NDArray[np.bool_]:
    """Which vital-sign events of one patient an online window must keep at `as_of` (all other topics: every event)."""
    keep = has_record_id | (event_time > as_of - LOOKBACK_SECONDS - MARGIN_SECONDS)
    period = known.period(profile)
    if period is not None:
        keep |= (event_time >= period[0]) & (event_time <= period[1])
    return keep


def needed_facts(facts: Facts, as_of: int, known: Anchors, profile: StudyProfile) -> NDArray[np.bool_]:
    """The same for one patient's facts. A vital-sign key stays while any of its versions is needed."""
    sign = np.isin(facts.signal, SIGN_CODES)
    needed = needed_for_window(facts.event_time, facts.extra == WITH_ID, as_of, known, profile)
    return ~sign | needed | np.isin(facts.key, facts.key[sign & needed])


def must_rebuild(before: Anchors, after: Anchors, kept_since: int, profile: StudyProfile) -> bool:
    """Whether readings dropped under `before` may be read under `after`.

    `kept_since`: every event later than this is still in the window (as_of - LOOKBACK_SECONDS - MARGIN_SECONDS of the
    last time the window was pruned).
    """
    wanted, had = after.period(profile), before.period(profile)
    if wanted is None or wanted[0] > kept_since:
        return False
    last = min(wanted[1], kept_since)
    return had is None or wanted[0] < had[0] or last > had[1]
