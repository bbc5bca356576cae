"""Which facts feed which feature: the reach of each way of summarising, as a table.

For every feature the facts named here are enough: the kernel gives the same bits from them alone. They hold what the
feature reads itself, and what its baseline period hangs on (first dose, enrolment).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.contracts.signals import DOSE_TAKEN, SEX_CODES, SIGNAL_CODES
from ml.contracts.signs import SIGN_BY_NAME
from ml.facts import ABSENT, Facts
from ml.features import FEATURES
from ml.features.baseline import WITH_ID, baseline_period
from ml.features.table import DAY, LOOKBACK_SECONDS, Feature
from ml.profile import StudyProfile

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Held:
    """One patient's facts that hold at ``t``, and their baseline period (None = none yet)."""

    facts: Facts
    t: int
    period: tuple[int, int] | None

    def of(self, *sources: str) -> Mask:
        """Facts of these signals."""
        return np.isin(self.facts.signal, [SIGNAL_CODES[name] for name in sources])

    def valued(self, source: str) -> Mask:
        """Facts of this signal that carry a value; a sex that is unknown is none."""
        there = self.of(source) & (self.facts.value != ABSENT)
        return there & (self.facts.value != SEX_CODES["U"]) if source == "sex" else there

    def since(self, seconds: int) -> Mask:
        """Facts of (t - seconds, t]."""
        return self.facts.event_time > self.t - seconds

    def baseline(self) -> Mask:
        """Facts of the baseline period."""
        if self.period is None:
            return np.zeros(len(self.facts), np.bool_)
        return (self.facts.event_time >= self.period[0]) & (self.facts.event_time <= self.period[1])

    def edge(self, chosen: Mask, *, last: bool = True, times: int = 1) -> Mask:
        """Of the chosen those at their newest (or oldest) ``times`` different moments."""
        moments = np.unique(self.facts.event_time[chosen])
        kept = moments[-times:] if last else moments[:times]
        return chosen & np.isin(self.facts.event_time, kept)

    def anchors(self) -> Mask:
        """What the baseline period hangs on: the first dose taken, else the enrolment."""
        taken = self.of("study_dose") & (self.facts.extra == DOSE_TAKEN)
        return self.edge(taken if taken.any() else self.of("enrolment"), last=False)


#: how versions of a record are ordered, least first: content is the last resort, as in the kernel
_RANK = (
    "extra", "code", "end_time", "high", "low", "value", "event_time", "retracted", "offset", "epoch", "known_time", "key", "signal",
)  # fmt: skip


def holding(facts: Facts, t: int) -> Mask:
    """Which facts of one patient hold at ``t``: of each record and signal the newest version known by then, unless it
    is a retraction."""
    there = (facts.event_time <= t) & (facts.known_time <= t)
    rows = np.flatnonzero(there)
    columns: tuple[NDArray[Any], ...] = tuple(getattr(facts, name) for name in _RANK)
    order = rows[np.lexsort(tuple(column[rows] for column in columns))]
    same = np.zeros(len(order), np.bool_)
    if len(order) > 1:
        same[:-1] = (facts.key[order][1:] == facts.key[order][:-1]) & (
            facts.signal[order][1:] == facts.signal[order][:-1]
        )
    newest = np.zeros(len(facts), np.bool_)
    newest[order[~same]] = True
    return newest & ~facts.retracted


def _window(feature: Feature, held: Held) -> Mask:
    return held.of(*feature.sources) & held.since(feature.window or 0)


def _two_days(feature: Feature, held: Held) -> Mask:
    return held.of(*feature.sources) & held.since(2 * DAY)


def _against_baseline(feature: Feature, held: Held) -> Mask:
    return (held.of(*feature.sources) & (held.since(feature.window or 0) | held.baseline())) | held.anchors()


def _readable(source: str, held: Held) -> Mask:
    """Of a sign what may be read without a window: the look-back, the baseline period, records with an id."""
    chosen = held.valued(source)
    if source not in SIGN_BY_NAME:
        return chosen
    return chosen & (held.since(LOOKBACK_SECONDS) | held.baseline() | (held.facts.extra == WITH_ID))


def _newest(feature: Feature, held: Held) -> Mask:
    found = np.zeros(len(held.facts), np.bool_)
    for source in feature.sources:
        found |= held.edge(_readable(source, held))
    if any(source in SIGN_BY_NAME for source in feature.sources):
        found |= held.anchors()
    return found


def _newest_and_baseline(feature: Feature, held: Held) -> Mask:
    then = held.edge(held.valued(feature.sources[0]) & held.baseline())
    return _newest(feature, held) | then | held.anchors()


def _newest_two(feature: Feature, held: Held) -> Mask:
    return held.edge(held.valued(feature.sources[0]), times=2)


def _first(feature: Feature, held: Held) -> Mask:
    chosen = held.of(*feature.sources)
    if feature.sources == ("study_dose",):
        chosen &= held.facts.extra == DOSE_TAKEN
    return held.edge(chosen, last=False)


def _all(feature: Feature, held: Held) -> Mask:
    return held.of(*feature.sources)


def _current_dose(feature: Feature, held: Held) -> Mask:
    given = held.of(*feature.sources) & (held.facts.extra == DOSE_TAKEN) & (held.facts.value != ABSENT)
    return held.edge(given)


def _missed(feature: Feature, held: Held) -> Mask:
    return _window(feature, held) | held.edge(held.of(*feature.sources))


#: aggregation → what it reads
REACH: dict[str, Callable[[Feature, Held], Mask]] = {
    **dict.fromkeys(
        (
            "mean",
            "std",
            "min",
            "max",
            "variance",
            "trend",
            "difference_of_means",
            "mean_arterial",
            "missing",
            "none_within",
        ),
        _window,
    ),
    "change": _two_days,
    **dict.fromkeys(("deviation", "instability"), _against_baseline),
    **dict.fromkeys(("latest", "value", "bmi", "days_since_last"), _newest),
    "change_from_baseline": _newest_and_baseline,
    "rate": _newest_two,
    "days_since_first": _first,
    **dict.fromkeys(
        (
            "distinct",
            "ongoing",
            "max_grade",
            "active",
            "new",
            "interacting_pairs",
            "interacting_class",
            "interacting_qt",
        ),
        _all,
    ),
    "current": _current_dose,
    "missed": _missed,
}


def reach(facts: Facts, t: int, profile: StudyProfile) -> dict[str, NDArray[np.intp]]:
    """Feature name → positions of the facts that feed it at ``t``; ``facts`` are one patient's."""
    chosen = np.flatnonzero(holding(facts, t))
    period = baseline_period(facts, 0, t, profile) if len(facts) else None
    held = Held(facts.take(chosen), t, period)
    return {feature.name: chosen[REACH[feature.aggregation](feature, held)] for feature in FEATURES}
