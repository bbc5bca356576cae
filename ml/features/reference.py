"""The plain reference: the same 120 features, one at a time, in loops that follow the table's words.

It imports nothing of the kernel, only the table and the contracts. Sums are Python integers, which have no bounds; the
last step is the kernel's: numerator and denominator each rounded once to float64, one division, and where the table
asks for a spread one square root. It exists to be read and to be compared with; nothing in production calls it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from ml.clinical.interactions import HIGH_PRIORITY_PAIRS, QT_PAIRS
from ml.contracts.analytes import ANALYTE_BY_NAME
from ml.contracts.signals import DOSE_MISSED, SEX_CODES, SIGNAL_NAMES
from ml.contracts.signs import SIGN_BY_NAME
from ml.facts import ABSENT, INT_COLUMNS, Facts, name_code
from ml.features.table import DAY, FEATURES, HOUR, LOOKBACK_SECONDS, TEMPORAL_SIGNS, Feature
from ml.profile import StudyProfile

CONTROL_NAMES = ("pbo", "placebo", "p", "control", "ctrl", "sham", "soc", "standard of care", "vehicle")
CONTROL_CODES = {name_code(name) for name in CONTROL_NAMES}


@dataclass(frozen=True, slots=True)
class Row:
    """One fact."""

    signal: str
    key: int
    event_time: int
    known_time: int
    epoch: int
    offset: int
    value: int
    low: int
    high: int
    end_time: int
    code: int
    extra: int
    retracted: bool

    @property
    def rank(self) -> tuple[int, ...]:
        """Order of versions; content last, so that there is always one winner."""
        return (
            *(
                self.known_time,
                self.epoch,
                self.offset,
                self.retracted,
                self.event_time,
                self.value,
                self.low,
                self.high,
            ),
            *(self.end_time, self.code, self.extra),
        )


def compute(
    facts: Facts, patient: NDArray[np.integer], as_of: NDArray[np.integer], profile: StudyProfile
) -> NDArray[np.float64]:
    """float64[n, 120], as `ml.features.compute`, slowly."""
    rows: dict[int, list[Row]] = {int(number): [] for number in patient}
    columns = {name: getattr(facts, name).tolist() for name in INT_COLUMNS}
    for index, (number, code, retracted) in enumerate(
        zip(facts.patient.tolist(), facts.signal.tolist(), facts.retracted.tolist(), strict=True)
    ):
        if number in rows and code in SIGNAL_NAMES:
            fields = {name: column[index] for name, column in columns.items()}
            rows[number].append(Row(SIGNAL_NAMES[code], retracted=retracted, **fields))
    result = np.full((len(patient), len(FEATURES)), np.nan)
    for index, (number, time) in enumerate(zip(patient.tolist(), as_of.tolist(), strict=True)):
        result[index] = Patient(rows[number], time, profile.baseline_days).features()
    return result


class Patient:
    """What is known of one patient at one time."""

    def __init__(self, rows: list[Row], as_of: int, baseline_days: int) -> None:
        self.as_of = as_of
        newest: dict[tuple[str, int], Row] = {}
        for row in rows:
            if row.event_time <= as_of and row.known_time <= as_of:
                before = newest.get((row.signal, row.key))
                if before is None or row.rank > before.rank:
                    newest[row.signal, row.key] = row
        self.rows: dict[str, list[Row]] = {}
        for row in newest.values():
            if not row.retracted:
                self.rows.setdefault(row.signal, []).append(row)
        self.taken = [row for row in self.of("study_dose") if row.extra != DOSE_MISSED]
        self.first_dose = min((row.event_time for row in self.taken), default=None)
        self.enrolment = min((row.event_time for row in self.of("enrolment")), default=None)
        self.baseline = self._baseline(baseline_days)

    def of(self, signal: str) -> list[Row]:
        """All records of a signal that hold."""
        return self.rows.get(signal, [])

    def measured(self, signal: str) -> list[Row]:
        """Those with a value."""
        return [row for row in self.of(signal) if row.value != ABSENT]

    def window(self, signal: str, seconds: int, before: int = 0) -> list[Row]:
        """Measured in (t - before - seconds, t - before]."""
        until = self.as_of - before
        return [row for row in self.measured(signal) if until - seconds < row.event_time <= until]

    def in_baseline(self, signal: str) -> list[Row]:
        """Measured in the baseline period."""
        if self.baseline is None:
            return []
        first, last = self.baseline
        return [row for row in self.measured(signal) if first <= row.event_time <= last]

    def in_use(self, signal: str) -> list[Row]:
        """Begun and not known to have ended."""
        return [row for row in self.of(signal) if row.end_time == ABSENT or row.end_time > self.as_of]

    def readable(self, sign: str) -> list[Row]:
        """Signs that the newest reading is chosen from: what an online window keeps."""
        recent = self.window(sign, LOOKBACK_SECONDS)
        first, last = self.baseline if self.baseline is not None else (1, 0)
        older = [
            row
            for row in self.measured(sign)
            if row.event_time <= self.as_of - LOOKBACK_SECONDS and (row.extra == 1 or first <= row.event_time <= last)
        ]
        return recent or older

    def features(self) -> list[float]:
        """The vector."""
        return [_AGGREGATIONS[feature.aggregation](self, feature) for feature in FEATURES]

    def _baseline(self, days: int) -> tuple[int, int] | None:
        if self.first_dose is not None:
            day = self.first_dose // DAY * DAY
            return day - (days - 1) * DAY, day + DAY - 1
        if self.enrolment is not None:
            day = self.enrolment // DAY * DAY
            return day, day + DAY - 1
        return None


def ratio(above: int, below: int) -> float:
    """The one division."""
    return float(above) / float(below)


def scale_of(signal: str) -> int:
    """10 to the power of the decimals of a sign or analyte."""
    decimals = SIGN_BY_NAME[signal].decimals if signal in SIGN_BY_NAME else ANALYTE_BY_NAME[signal].decimals
    return int(10**decimals)


def total(rows: list[Row]) -> int:
    """Sum of the values."""
    return sum(row.value for row in rows)


def newest_of(rows: list[Row]) -> list[Row]:
    """Those at the newest event time."""
    latest = max((row.event_time for row in rows), default=None)
    return [row for row in rows if row.event_time == latest]


def mean(rows: list[Row], scale: int) -> float:
    """Their mean."""
    return ratio(total(rows), len(rows) * scale) if rows else math.nan


def difference(rows: list[Row], others: list[Row], scale: int) -> float:
    """Mean of the one less mean of the other."""
    if not rows or not others:
        return math.nan
    n, n0 = len(rows), len(others)
    return ratio(total(rows) * n0 - total(others) * n, n * n0 * scale)


def variance_of(rows: list[Row], scale: int) -> float:
    """With ddof 1."""
    n = len(rows)
    if n < 2:
        return math.nan
    squares = sum(row.value**2 for row in rows)
    return float(n * squares - total(rows) ** 2) / (float(n * (n - 1)) * float(scale**2))


def _windowed(patient: Patient, feature: Feature) -> tuple[list[Row], int]:
    sign = feature.sources[0]
    return patient.window(sign, feature.window or 0), scale_of(sign)


def f_mean(patient: Patient, feature: Feature) -> float:
    rows, scale = _windowed(patient, feature)
    return mean(rows, scale)


def f_std(patient: Patient, feature: Feature) -> float:
    spread = f_variance(patient, feature)
    return spread if math.isnan(spread) else math.sqrt(spread)


def f_variance(patient: Patient, feature: Feature) -> float:
    return variance_of(*_windowed(patient, feature))


def f_min(patient: Patient, feature: Feature) -> float:
    rows, scale = _windowed(patient, feature)
    return ratio(min(row.value for row in rows), scale) if rows else math.nan


def f_max(patient: Patient, feature: Feature) -> float:
    rows, scale = _windowed(patient, feature)
    return ratio(max(row.value for row in rows), scale) if rows else math.nan


def f_trend(patient: Patient, feature: Feature) -> float:
    rows, scale = _windowed(patient, feature)
    n, times = len(rows), [row.event_time - patient.as_of for row in rows]
    below = n * sum(time**2 for time in times) - sum(times) ** 2
    if below == 0:
        return math.nan
    above = n * sum(time * row.value for time, row in zip(times, rows, strict=True)) - sum(times) * total(rows)
    return ratio(above, below) * (float(HOUR) / float(scale))


def f_pulse_pressure(patient: Patient, feature: Feature) -> float:
    systolic, diastolic = (patient.window(sign, feature.window or 0) for sign in feature.sources)
    return difference(systolic, diastolic, scale_of(feature.sources[0]))


def f_mean_arterial(patient: Patient, feature: Feature) -> float:
    systolic, diastolic = (patient.window(sign, feature.window or 0) for sign in feature.sources)
    if not systolic or not diastolic:
        return math.nan
    n, n0 = len(systolic), len(diastolic)
    return ratio(total(systolic) * n0 + 2 * total(diastolic) * n, 3 * n * n0 * scale_of(feature.sources[0]))


def deviation_of(patient: Patient, sign: str, seconds: int) -> float:
    """Mean of the window less the baseline's, in baseline standard deviations."""
    now, then = patient.window(sign, seconds), patient.in_baseline(sign)
    spread = variance_of(then, 1)
    if not now or math.isnan(spread) or spread == 0:
        return math.nan
    return difference(now, then, 1) / math.sqrt(spread)


def f_deviation(patient: Patient, feature: Feature) -> float:
    return deviation_of(patient, feature.sources[0], feature.window or 0)


def f_instability(patient: Patient, feature: Feature) -> float:
    parts = [deviation_of(patient, sign, feature.window or 0) for sign in TEMPORAL_SIGNS]
    score, found = 0.0, False
    for part in parts:
        if not math.isnan(part):
            score, found = score + abs(part), True
    return score if found else math.nan


def f_change(patient: Patient, feature: Feature) -> float:
    sign, seconds = feature.sources[0], feature.window or 0
    return difference(patient.window(sign, seconds), patient.window(sign, seconds, before=seconds), scale_of(sign))


def f_missing(patient: Patient, feature: Feature) -> float:
    return float(not patient.window(feature.sources[0], feature.window or 0))


def _newest(patient: Patient, signal: str) -> list[Row]:
    return newest_of(patient.readable(signal) if signal in SIGN_BY_NAME else patient.measured(signal))


def f_latest(patient: Patient, feature: Feature) -> float:
    return mean(_newest(patient, feature.sources[0]), scale_of(feature.sources[0]))


def f_change_from_baseline(patient: Patient, feature: Feature) -> float:
    signal = feature.sources[0]
    return difference(_newest(patient, signal), newest_of(patient.in_baseline(signal)), scale_of(signal))


def f_rate(patient: Patient, feature: Feature) -> float:
    signal = feature.sources[0]
    now = _newest(patient, signal)
    then = newest_of([row for row in patient.measured(signal) if now and row.event_time < now[0].event_time])
    if not then:
        return math.nan
    n, n0, seconds = len(now), len(then), now[0].event_time - then[0].event_time
    return ratio((total(now) * n0 - total(then) * n) * DAY, n * n0 * scale_of(signal) * seconds)


def f_value(patient: Patient, feature: Feature) -> float:
    signal = feature.sources[0]
    if signal == "arm":
        arms = newest_of(patient.of("arm"))
        codes = [0 if row.extra == 0 else 1 if row.code in CONTROL_CODES else 2 for row in arms]
        return ratio(sum(codes), len(codes)) if codes else math.nan
    if signal == "sex":
        return mean(newest_of([row for row in patient.measured("sex") if row.value != SEX_CODES["U"]]), 1)
    return mean(newest_of(patient.measured(signal)), 10)


def f_bmi(patient: Patient, feature: Feature) -> float:
    weight, height = (_newest(patient, sign) for sign in feature.sources)
    if not weight or not height or total(height) <= 0:
        return math.nan
    n, n0 = len(weight), len(height)
    return ratio(total(weight) * n0 * n0 * 10_000, n * total(height) ** 2)


def f_days_since_first(patient: Patient, feature: Feature) -> float:
    since = patient.first_dose if feature.subject == "first_dose" else patient.enrolment
    return math.nan if since is None else ratio(patient.as_of - since, DAY)


def f_days_since_last(patient: Patient, feature: Feature) -> float:
    events = newest_of(patient.of(feature.sources[0]))
    return ratio(patient.as_of - events[0].event_time, DAY) if events else math.nan


def f_count(patient: Patient, feature: Feature) -> float:
    if feature.subject == "comorbidity":
        return float(len({row.code for row in patient.in_use("history")}))
    return float(len({(row.code, row.event_time) for row in patient.of("adverse_event")}))


def f_ongoing(patient: Patient, feature: Feature) -> float:
    return float(len({(row.code, row.event_time) for row in patient.in_use(feature.sources[0])}))


def f_max_grade(patient: Patient, feature: Feature) -> float:
    return float(max((row.value for row in patient.of(feature.sources[0]) if 1 <= row.value <= 5), default=0))


def f_active(patient: Patient, feature: Feature) -> float:
    return float(len({row.code for row in patient.in_use(feature.sources[0])}))


def f_new(patient: Patient, feature: Feature) -> float:
    since = patient.as_of - (feature.window or 0)
    rows = patient.of(feature.sources[0])
    return float(len({row.code for row in rows} - {row.code for row in rows if row.event_time <= since}))


def f_current(patient: Patient, _feature: Feature) -> float:
    doses = newest_of([row for row in patient.taken if row.value != ABSENT])
    amount = sum(row.value for row in doses if row.end_time == ABSENT or row.end_time > patient.as_of)
    return ratio(amount, 1000) if doses else math.nan


def f_missed(patient: Patient, feature: Feature) -> float:
    doses, since = patient.of("study_dose"), patient.as_of - (feature.window or 0)
    missed = {(row.code, row.event_time) for row in doses if row.extra == DOSE_MISSED and row.event_time > since}
    return float(len(missed)) if doses else math.nan


def _pairs(patient: Patient, table: frozenset[tuple[int, int]]) -> int:
    codes = sorted({row.code for row in patient.in_use("medication")})
    return sum(pair in table for pair in combinations(codes, 2))


def f_interactions(patient: Patient, _feature: Feature) -> float:
    return float(_pairs(patient, HIGH_PRIORITY_PAIRS | QT_PAIRS))


def f_interaction_class(patient: Patient, _feature: Feature) -> float:
    return float(_pairs(patient, HIGH_PRIORITY_PAIRS) > 0)


def f_interaction_qt(patient: Patient, _feature: Feature) -> float:
    return float(_pairs(patient, QT_PAIRS) > 0)


def f_none_within(patient: Patient, feature: Feature) -> float:
    return float(not any(patient.window(signal, feature.window or 0) for signal in feature.sources))


_AGGREGATIONS: dict[str, Callable[[Patient, Feature], float]] = {
    "mean": f_mean,
    "std": f_std,
    "variance": f_variance,
    "min": f_min,
    "max": f_max,
    "trend": f_trend,
    "difference_of_means": f_pulse_pressure,
    "mean_arterial": f_mean_arterial,
    "deviation": f_deviation,
    "instability": f_instability,
    "change": f_change,
    "missing": f_missing,
    "latest": f_latest,
    "change_from_baseline": f_change_from_baseline,
    "rate": f_rate,
    "value": f_value,
    "bmi": f_bmi,
    "days_since_first": f_days_since_first,
    "days_since_last": f_days_since_last,
    "distinct": f_count,
    "ongoing": f_ongoing,
    "max_grade": f_max_grade,
    "active": f_active,
    "new": f_new,
    "current": f_current,
    "missed": f_missed,
    "interacting_pairs": f_interactions,
    "interacting_class": f_interaction_class,
    "interacting_qt": f_interaction_qt,
    "none_within": f_none_within,
}
