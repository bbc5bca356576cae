"""The feature kernel: facts of some patients and as-of times in, all 120 features out, exact and free of order.

The bits of a row depend only on the facts of its patient that are known at its time and lie within the declared
look-backs: not on the order of facts, on other patients, on other times, on history passed beyond the look-backs.
Everything is integer arithmetic (ml.features.bounds) up to one division, or a square root of it, per feature.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ml.contracts.signals import SIGNAL_CODES
from ml.facts import Facts, Int
from ml.features import clinical, temporal
from ml.features.baseline import anchor_times, baseline_bounds
from ml.features.bounds import check_facts, check_times
from ml.features.series import lay_out
from ml.features.table import FEATURES
from ml.features.versions import resolve
from ml.features.windows import check_key_room
from ml.profile import StudyProfile

Matrix = NDArray[np.float64]
ROWS_AT_ONCE = 400_000
"""Facts are worked through in groups of whole patients of about this many rows, to stay in the processor's caches."""
PAIRS_AT_ONCE = 4096
"""Questions answered at once about such a group: bounds the memory of the window sums (about 5 kB a question)."""

_USED = np.zeros(512, np.bool_)
_USED[[SIGNAL_CODES[source] for feature in FEATURES for source in feature.sources]] = True


def compute(facts: Facts, patient: NDArray[np.integer], as_of: NDArray[np.integer], profile: StudyProfile) -> Matrix:
    """float64[n, 120]: the features of `patient[i]` (position in `facts.patients`) as known at `as_of[i]` (seconds).

    NaN where a feature has no value. Errors: OverflowError when a value or time lies beyond what the exact arithmetic is
    proven for; ValueError for a patient that is not in `facts.patients`.
    """
    who, when = np.asarray(patient, np.int64), np.asarray(as_of, np.int64)
    result = np.full((len(who), len(FEATURES)), np.nan)
    if not len(who):
        return result
    if int(who.min()) < 0 or int(who.max()) >= len(facts.patients):
        raise ValueError(f"A patient number lies outside the {len(facts.patients)} patients of these facts.")
    check_times(when)
    number = np.full(len(facts.patients), -1, np.int64)
    number[who] = 0
    asked = np.flatnonzero(number == 0)
    check_key_room(len(asked))
    number[asked] = np.arange(len(asked))
    local, owner = number[who], number[facts.patient]
    wanted = (owner >= 0) & _USED[facts.signal]
    if not wanted.all():
        facts, owner = facts.take(wanted), owner[wanted]
    check_facts(facts)
    for first, last in _groups(owner, len(asked)):
        if last - first == len(asked):
            return _compute(facts, owner, local, when, profile)
        rows = np.flatnonzero((owner >= first) & (owner < last))
        pairs = np.flatnonzero((local >= first) & (local < last))
        result[pairs] = _compute(facts.take(rows), owner[rows] - first, local[pairs] - first, when[pairs], profile)
    return result


def _groups(owner: Int, patients: int) -> list[tuple[int, int]]:
    """Ranges of patients with about `ROWS_AT_ONCE` facts each."""
    if len(owner) <= ROWS_AT_ONCE:
        return [(0, patients)]
    upto = np.cumsum(np.bincount(owner, minlength=patients))
    cuts = [0]
    while cuts[-1] < patients:
        done = upto[cuts[-1] - 1] if cuts[-1] else 0
        cuts.append(max(cuts[-1] + 1, int(np.searchsorted(upto, done + ROWS_AT_ONCE, side="right"))))
    return list(pairwise(cuts))


def _compute(facts: Facts, owner: Int, patient: Int, as_of: Int, profile: StudyProfile) -> Matrix:
    held = resolve(facts, owner)
    series = lay_out(held)
    result = np.full((len(patient), len(FEATURES)), np.nan)
    for begin in range(0, len(patient), PAIRS_AT_ONCE):
        some = slice(begin, begin + PAIRS_AT_ONCE)
        who, when, part = patient[some], as_of[some], result[some]
        first_dose, enrolment = anchor_times(series, who, when)
        baseline = baseline_bounds(first_dose, enrolment, profile.baseline_days)
        temporal.fill(part, series, who, when, baseline)
        clinical.fill(part, held, series, who, when, baseline, first_dose, enrolment)
    return result
