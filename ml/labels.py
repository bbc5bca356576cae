"""Labels as known then, and the as-of times at which patients are asked about.

The label of (patient, t) is 1 when a new adverse event begins in (t, t + horizon]. It is itself known at a time: as of
X it comes from the adverse events known by X and not retracted, one per (patient, term, onset). An event is often
recorded late (half of the pilot's later than 11 days), so a row counts only once its label had time to ripen:
t + horizon + label maturity <= X, and only while the patient was followed: t + horizon <= end of follow-up. Where the
study's risk begins with the first dose (`StudyProfile.risk_from_first_dose`), it counts from that dose on, and who was
never treated does not count.
Rows that do not count are left out with the reason, never taken for 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml.contracts.signals import DOSE_TAKEN, SIGNAL_CODES
from ml.facts import Facts, Int, stable_code
from ml.features.bounds import INFINITE, check_facts
from ml.features.table import DAY, HOUR
from ml.features.versions import Holdings, resolve
from ml.profile import StudyProfile

LABELS_VERSION = 3
REASONS = ("", "not enrolled", "censored", "immature", "not treated")
"""Why a row is left out: before enrolment · its horizon reaches past the end of follow-up · too recent to be known · not
treated yet, in a study whose risk begins with the first dose."""
COUNTS, NOT_ENROLLED, CENSORED, IMMATURE, NOT_TREATED = range(5)


@dataclass(frozen=True, slots=True)
class Labels:
    """One row a (patient, as-of time). `reason` is a position in `REASONS`; labels of rows that do not count are -1."""

    label: NDArray[np.int8]
    second: NDArray[np.int8]
    """Onset in (t + horizon, t + second horizon]; -1 where that reach itself is censored or immature."""
    onset: Int
    """First onset after t within the second horizon, seconds; -1 where there is none."""
    reason: NDArray[np.int8]

    @property
    def counts(self) -> NDArray[np.bool_]:
        """Rows that count."""
        counting: NDArray[np.bool_] = self.reason == COUNTS
        return counting

    def left_out(self) -> dict[str, int]:
        """Number of rows by reason, of those that do not count."""
        return {name: int((self.reason == code).sum()) for code, name in enumerate(REASONS) if code}


def _held(facts: Facts, signal: str, known_by: int) -> Holdings:
    chosen = facts.take(facts.signal == SIGNAL_CODES[signal])
    check_facts(chosen)
    held = resolve(chosen, chosen.patient.astype(np.int64))
    return held.take((held.start <= known_by) & (known_by < held.stop))


def follow_up_ends(facts: Facts, known_by: int) -> Int:
    """End of follow-up of each of `facts.patients`, seconds: the day's end of the disposition known by `known_by`.

    Patients without one are followed still; theirs is far in the future.
    """
    ends = np.full(len(facts.patients), INFINITE, np.int64)
    held = _held(facts, "disposition", known_by)
    np.minimum.at(ends, held.patient, held.event - held.event % DAY + DAY)
    return ends


def enrolments(facts: Facts, known_by: int) -> Int:
    """Enrolment of each of `facts.patients`, seconds; far in the future where none is known."""
    times = np.full(len(facts.patients), INFINITE, np.int64)
    held = _held(facts, "enrolment", known_by)
    np.minimum.at(times, held.patient, held.event)
    return times


def first_doses(facts: Facts, known_by: int) -> Int:
    """First dose of each of `facts.patients`, seconds: of the study doses taken and of the arm's beginning the earlier;
    far in the future where there is neither. Zeros where no patient has one: then nobody knows when risk began."""
    times = np.full(len(facts.patients), INFINITE, np.int64)
    doses, arms = _held(facts, "study_dose", known_by), _held(facts, "arm", known_by)
    for held in (doses.take(doses.extra == DOSE_TAKEN), arms.take(arms.extra == 1)):
        np.minimum.at(times, held.patient, held.event)
    return times if (times < INFINITE).any() else np.zeros_like(times)


def label(
    facts: Facts,
    patient: NDArray[np.integer],
    as_of: NDArray[np.integer],
    profile: StudyProfile,
    *,
    known_by: int,
    follow_up_end: Int | None = None,
) -> Labels:
    """Labels of (patient[i], as_of[i]) as known at `known_by` (seconds).

    `follow_up_end` (int64, one for each of `facts.patients`) replaces what the dispositions say.
    """
    who, when = np.asarray(patient, np.int64), np.asarray(as_of, np.int64)
    ends = follow_up_ends(facts, known_by) if follow_up_end is None else follow_up_end
    near, far = profile.horizon_hours * HOUR, profile.second_horizon_hours * HOUR
    maturity = profile.label_maturity_days * DAY
    events = _held(facts, "adverse_event", known_by)
    order = np.lexsort((events.event, events.patient))
    packed = (events.patient[order] << 36) + events.event[order] + 2**35

    def until(time: Int) -> NDArray[np.intp]:
        return np.searchsorted(packed, (who << 36) + time + 2**35, side="right")

    begun, soon, later = until(when), until(when + near), until(when + far)
    reason = np.full(len(who), COUNTS, np.int8)
    reason[when + near + maturity > known_by] = IMMATURE
    reason[when + near > ends[who]] = CENSORED
    if profile.risk_from_first_dose:
        reason[first_doses(facts, known_by)[who] > when] = NOT_TREATED
    reason[enrolments(facts, known_by)[who] > when] = NOT_ENROLLED
    known_far = (when + far + maturity <= known_by) & (when + far <= ends[who]) & (reason == COUNTS)
    first = np.full(len(who), -1, np.int64)
    some = later > begun
    first[some] = events.event[order][begun[some]]
    return Labels(
        label=np.where(reason == COUNTS, soon > begun, -1).astype(np.int8),
        second=np.where(known_far, later > soon, -1).astype(np.int8),
        onset=first,
        reason=reason,
    )


def as_of_times(
    profile: StudyProfile, patients: tuple[str, ...], start: Int | int, end: Int | int
) -> tuple[NDArray[np.int32], Int]:
    """(patient, as-of time) of every patient-day: one time a UTC day, with start <= t <= end.

    `start`, `end`: seconds, for all or one for each patient. A study with live data is asked at a time drawn by hash of
    patient and day, so that training sees all hours of the day; another at 00:00 UTC.
    """
    size = len(patients)
    begin, last = (np.broadcast_to(np.asarray(bound, np.int64), (size,)) for bound in (start, end))
    who: list[NDArray[np.int32]] = [np.empty(0, np.int32)]
    when: list[Int] = [np.empty(0, np.int64)]
    for number, name in enumerate(patients):
        days = np.arange(begin[number] // DAY, last[number] // DAY + 1, dtype=np.int64) * DAY
        shift = [stable_code("as-of", name, str(day)) % DAY for day in days.tolist()] if profile.live else 0
        times = days + np.asarray(shift, np.int64)
        times = times[(times >= begin[number]) & (times <= last[number])]
        who.append(np.full(len(times), number, np.int32))
        when.append(times)
    return np.concatenate(who), np.concatenate(when)
