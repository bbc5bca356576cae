"""Drawing (patient, time) pairs for the parity check, many of them where computing differently would show."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml.contracts.signals import SIGN_CODES, SIGNAL_CODES
from ml.facts import Facts, Int
from ml.features.table import DAY, FEATURES, HOUR

WINDOWS = tuple(sorted({0, 2 * DAY, *(feature.window for feature in FEATURES if feature.window)}))
"""Seconds before the time at which a window of some feature begins; 0 is its end."""
KINDS = ("anywhere", "edge", "version")
SHARES = (0.4, 0.3, 0.3)
LATE_SECONDS = 600
RECENT = DAY


@dataclass(frozen=True, slots=True)
class Pairs:
    """`who[i]` is a position in `patients`, `when[i]` seconds since 1970, `kind[i]` a position in KINDS: where it was drawn."""

    patients: tuple[str, ...]
    who: NDArray[np.int32]
    when: Int
    kind: NDArray[np.int8]
    touched: dict[str, NDArray[np.bool_]]
    """What lies near a pair: "late" (learned over ten minutes after it happened), "corrected", "retracted" records of the
    day before it; "edge": an event within a second of where a window begins or ends."""

    def __len__(self) -> int:
        return len(self.who)

    @property
    def any_touched(self) -> NDArray[np.bool_]:
        """Pairs touched by any of these."""
        return np.logical_or.reduce(list(self.touched.values()))


def draw(facts: Facts, count: int, rng: np.random.Generator) -> Pairs:
    """`count` random pairs: anywhere, at edges of windows, and around late, corrected and retracted records."""
    kind = rng.choice(len(KINDS), count, p=SHARES).astype(np.int8)
    odd = np.flatnonzero(_late(facts) | (_versions(facts) > 1) | facts.retracted)
    if not len(odd):
        kind[kind == KINDS.index("version")] = KINDS.index("edge")
    signs = np.flatnonzero(np.isin(facts.signal, SIGN_CODES))
    signs = signs if len(signs) else np.arange(len(facts))
    who = np.zeros(count, np.int32)
    when = np.zeros(count, np.int64)
    begins, ends = _spans(facts)
    for index, name in enumerate(KINDS):
        rows = np.flatnonzero(kind == index)
        if name == "anywhere":
            who[rows] = rng.choice(np.unique(facts.patient), len(rows))
            when[rows] = begins[who[rows]] + (rng.random(len(rows)) * (ends - begins)[who[rows]]).astype(np.int64)
            continue
        chosen = rng.choice(signs if name == "edge" else odd, len(rows)) if len(rows) else np.empty(0, np.intp)
        who[rows] = facts.patient[chosen]
        moment = facts.event_time[chosen] + rng.choice(np.array(WINDOWS), len(rows))
        if name == "version":
            near = rng.choice(np.array([0, 0, 60, HOUR, 6 * HOUR]), len(rows))
            moment = np.where(rng.random(len(rows)) < 0.7, facts.known_time[chosen] + near, moment)
        when[rows] = moment + rng.integers(-1, 2, len(rows))
    return Pairs(facts.patients, who, when, kind, _touched(facts, who, when))


def _spans(facts: Facts) -> tuple[Int, Int]:
    """From each patient's enrolment (else first event) to the last thing known of them."""
    begins = np.full(len(facts.patients), 2**40, np.int64)
    ends = np.full(len(facts.patients), -(2**40), np.int64)
    enrolled = facts.signal == SIGNAL_CODES["enrolment"]
    np.minimum.at(begins, facts.patient[enrolled], facts.event_time[enrolled])
    first = np.full(len(facts.patients), 2**40, np.int64)
    np.minimum.at(first, facts.patient, facts.event_time)
    begins = np.where(begins == 2**40, first, begins)
    np.maximum.at(ends, facts.patient, np.maximum(facts.event_time, facts.known_time))
    return begins, np.maximum(ends, begins)


def _late(facts: Facts) -> NDArray[np.bool_]:
    signs = np.isin(facts.signal, SIGN_CODES)
    return signs & (facts.known_time - facts.event_time > LATE_SECONDS)


def _versions(facts: Facts) -> Int:
    """How many versions the record of each row has."""
    named = np.stack([facts.patient.astype(np.int64), facts.signal.astype(np.int64), facts.key])
    _, place, counts = np.unique(named, axis=1, return_inverse=True, return_counts=True)
    found: Int = counts[place.ravel()]
    return found


def _touched(facts: Facts, who: NDArray[np.int32], when: Int) -> dict[str, NDArray[np.bool_]]:
    marks = {"late": _late(facts), "corrected": (_versions(facts) > 1) & ~facts.retracted, "retracted": facts.retracted}
    found = {name: np.zeros(len(who), np.bool_) for name in (*marks, "edge")}
    for number in np.unique(who).tolist():
        own = facts.patient == number
        rows = np.flatnonzero(who == number)
        times = when[rows]
        for name, mark in marks.items():
            events = np.sort(facts.event_time[own & mark])
            found[name][rows] = _any_in(events, times - RECENT + 1, times)
        events = np.sort(facts.event_time[own & np.isin(facts.signal, SIGN_CODES)])
        for back in WINDOWS:
            found["edge"][rows] |= _any_in(events, times - back - 1, times - back + 1)
    return found


def _any_in(ordered: Int, low: Int, high: Int) -> NDArray[np.bool_]:
    """Whether any of the ordered times lies in [low, high]."""
    return np.searchsorted(ordered, high, "right") > np.searchsorted(ordered, low, "left")
