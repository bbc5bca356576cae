"""When no score may be given: a table of rules, each with its reason and the cheapest remedy.

A rule reads the feature vector that is stored with the prediction, so that a replay comes to the same verdict.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml.contracts.signs import SIGN_BY_NAME
from ml.profile import StudyProfile

Float = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a patient has no score, what would give one, and about how many minutes of work that is."""

    rule: str
    sentence: str
    remedy: str
    minutes: int


LATEST_FEATURE = "{sign}_latest"
WINDOW_FEATURES = {1: "{sign}_mean_1h", 6: "{sign}_mean_6h", 24: "{sign}_mean_24h"}
"""Hours → the feature that has no value when the sign was not measured in that time."""
ENROLMENT_FEATURE = "days_since_enrolment"
LABS_FEATURE, LABS_FEATURE_DAYS = "labs_missing_30d", 30
LABS = "labs"
"""Key of the laboratory results among the ages."""


@dataclass(frozen=True)
class Inputs:
    """What the rules may look at: `vectors` [n, f] in the order of `names`, and `ages`, hours [n] since the newest value
    by sign, from callers that have them (NaN = never measured). Without ages, windows of the vector speak for them.
    """

    names: Sequence[str]
    vectors: Float
    profile: StudyProfile
    ages: Mapping[str, Float]

    def column(self, name: str) -> Float | None:
        """The values [n] of a feature, None where the model has no such feature."""
        return self.vectors[:, self.names.index(name)] if name in self.names else None

    def never(self, sign: str) -> NDArray[np.bool_]:
        """Where no value of a sign is known at all."""
        if sign in self.ages:
            return ~np.isfinite(self.ages[sign])
        latest = self.column(LATEST_FEATURE.format(sign=sign))
        return np.zeros(len(self.vectors), np.bool_) if latest is None else ~np.isfinite(latest)

    def stale(self, sign: str) -> NDArray[np.bool_]:
        """Where a value is known, but none within the study's limit; by windows: within the next longer window.

        ValueError if a required sign can be judged in neither way: the rule would be dead.
        """
        if sign in self.ages:
            return np.asarray(self.ages[sign] > self.profile.vitals_stale_hours)
        for hours, feature in WINDOW_FEATURES.items():
            values = self.column(feature.format(sign=sign))
            if hours >= self.profile.vitals_stale_hours and values is not None:
                return ~np.isfinite(values) & ~self.never(sign)
        if self.column(LATEST_FEATURE.format(sign=sign)) is None:
            raise ValueError(f"The study asks for {sign}, but neither the features nor the caller say how old it is.")
        return np.zeros(len(self.vectors), np.bool_)


@dataclass(frozen=True, slots=True)
class Rule:
    """One reason for no score.

    `subjects` lists what it is asked for (signs, or one empty text); `applies` gives True [n] where it holds;
    `sentence` and `remedy` are made for one row that it holds for.
    """

    name: str
    minutes: int
    subjects: Callable[[StudyProfile], Sequence[str]]
    applies: Callable[[Inputs, str], NDArray[np.bool_]]
    sentence: Callable[[Inputs, str, int], str]
    remedy: Callable[[str], str]


def _label(sign: str) -> str:
    return SIGN_BY_NAME[sign].label.lower() if sign in SIGN_BY_NAME else sign.replace("_", " ")


def _hours(value: float) -> str:
    if value < 2:
        return f"{round(value * 60)} minutes"
    return f"{value:.0f} hours" if value < 48 else f"{value / 24:.0f} days"


def _stale_sentence(inputs: Inputs, sign: str, row: int) -> str:
    limit = _hours(inputs.profile.vitals_stale_hours)
    if sign in inputs.ages:
        age = _hours(float(inputs.ages[sign][row]))
        return f"The newest {_label(sign)} is {age} old; this study asks for one within {limit}."
    return f"No {_label(sign)} is known within the last {limit}."


def _not_enrolled(inputs: Inputs, _: str) -> NDArray[np.bool_]:
    days = inputs.column(ENROLMENT_FEATURE)
    return np.zeros(len(inputs.vectors), np.bool_) if days is None else ~np.isfinite(days)


def _labs_stale(inputs: Inputs, _: str) -> NDArray[np.bool_]:
    limit = inputs.profile.labs_stale_days
    if limit is not None and LABS in inputs.ages:
        return np.asarray(~(inputs.ages[LABS] <= 24 * limit))
    flag = inputs.column(LABS_FEATURE)
    if limit is None or flag is None or limit > LABS_FEATURE_DAYS:
        return np.zeros(len(inputs.vectors), np.bool_)
    return np.asarray(flag == 1)


def _required(profile: StudyProfile) -> Sequence[str]:
    return profile.signs_required


def _once(_: StudyProfile) -> Sequence[str]:
    return ("",)


RULES: tuple[Rule, ...] = (
    Rule(
        "not_enrolled",
        10,
        _once,
        _not_enrolled,
        lambda inputs, subject, row: "No enrolment of this patient is known at this time.",
        lambda subject: "Record the enrolment.",
    ),
    Rule(
        "sign_never_measured",
        5,
        _required,
        Inputs.never,
        lambda inputs, sign, row: f"No {_label(sign)} is known.",
        lambda sign: f"Measure {_label(sign)}.",
    ),
    Rule(
        "sign_stale",
        5,
        _required,
        Inputs.stale,
        _stale_sentence,
        lambda sign: f"Measure {_label(sign)}.",
    ),
    Rule(
        "labs_stale",
        60,
        _once,
        _labs_stale,
        lambda inputs, subject, row: f"No laboratory result within {inputs.profile.labs_stale_days:g} days is known.",
        lambda subject: "Draw the study's laboratory panel.",
    ),
)


def reasons(inputs: Inputs) -> tuple[tuple[Reason, ...], ...]:
    """Per row [n] the reasons for which it has no score, the cheapest remedy first; empty = it may be scored."""
    found: list[list[Reason]] = [[] for _ in range(len(inputs.vectors))]
    for rule in sorted(RULES, key=lambda rule: rule.minutes):
        for subject in rule.subjects(inputs.profile):
            for row in np.flatnonzero(rule.applies(inputs, subject)).tolist():
                sentence = rule.sentence(inputs, subject, row)
                found[row].append(Reason(rule.name, sentence, rule.remedy(subject), rule.minutes))
    return tuple(tuple(row) for row in found)
