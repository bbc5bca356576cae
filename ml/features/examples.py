"""Drawn examples: a few facts, a time, and what some features must be. One text serves people, tests and the docs page.

A line of `given` reads: `d<day> HH:MM <signal> <value>` and then, where it matters, `known d<day> HH:MM`,
`key <word>` (versions of one record share it), `end d<day> HH:MM`, `name <word>` (drug, term or arm), `retracted`,
`missed`, `untreated`, `with id`. Day 1 is 2024-01-01, UTC. Unless said otherwise a fact is known when it happens and is
a record of its own. Values are in the contract's units; sex is F or M.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from ml.contracts.analytes import ANALYTE_BY_NAME
from ml.contracts.signals import DOSE_MISSED, DOSE_TAKEN, SEX_CODES, SIGNAL_CODES
from ml.contracts.signs import SIGN_BY_NAME
from ml.facts import ABSENT, INT_COLUMNS, Facts, name_code, stable_code, to_fixed
from ml.features.table import DAY

FIRST_DAY = int(datetime(2024, 1, 1, tzinfo=UTC).timestamp())
PATIENT = "DEMO/example"
_TIME = r"d(-?\d+) (\d\d):(\d\d)(?::(\d\d))?"


@dataclass(frozen=True, slots=True)
class Example:
    """`expected`: feature → value as text ("none" where there is no value), compared as float64."""

    title: str
    why: str
    given: str
    at: str
    expected: dict[str, str]


def seconds(text: str) -> int:
    """`d2 08:00` in seconds since 1970."""
    found = re.fullmatch(_TIME, text)
    if found is None:
        raise ValueError(f"{text!r} is not a time like 'd2 08:00'.")
    day, hour, minute, second = (int(part or 0) for part in found.groups())
    return FIRST_DAY + (day - 1) * DAY + hour * 3600 + minute * 60 + second


def _fixed(signal: str, text: str) -> int:
    if text == "-":
        return ABSENT
    if signal == "sex":
        return SEX_CODES[text]
    decimals = {"age": 1, "study_dose": 3, "medication": 3}.get(signal)
    if signal in SIGN_BY_NAME:
        decimals = SIGN_BY_NAME[signal].decimals
    elif signal in ANALYTE_BY_NAME:
        decimals = ANALYTE_BY_NAME[signal].decimals
    return int(to_fixed(np.array([float(text)]), decimals or 0)[0])


def _line(number: int, text: str) -> dict[str, int]:
    head = re.match(rf"({_TIME}) (\w+) (\S+)", text)
    if head is None:
        raise ValueError(f"Line {number} of an example cannot be read: {text!r}")
    when, signal, value, rest = head[1], head[6], head[7], text[head.end() :]

    def word(name: str, pattern: str = r"\S+") -> str | None:
        found = re.search(rf" {name} ({pattern})", rest)
        return None if found is None else found[1]

    event, name = seconds(when), word("name")
    known, end = word("known", _TIME), word("end", _TIME)
    extra = {
        "study_dose": DOSE_MISSED if " missed" in rest else DOSE_TAKEN,
        "arm": 0 if " untreated" in rest else 1,
    }.get(signal, 1 if " with id" in rest else 0)
    return {
        "signal": SIGNAL_CODES[signal],
        "retracted": int(" retracted" in rest),
        "key": stable_code(word("key") or str(number)),
        "event_time": event,
        "known_time": event if known is None else seconds(known),
        "epoch": 0,
        "offset": number,
        "value": _fixed(signal, value),
        "low": ABSENT,
        "high": ABSENT,
        "end_time": ABSENT if end is None else seconds(end),
        "code": ABSENT if name is None else name_code(name.replace("_", " ")),
        "extra": extra,
    }


def facts_of(given: str) -> Facts:
    """The facts of an example's lines, of the one patient `PATIENT`. ValueError for a line that cannot be read."""
    lines = [_line(number, text.strip()) for number, text in enumerate(given.strip().splitlines(), 1) if text.strip()]
    columns = {name: np.array([line[name] for line in lines], np.int64) for name in INT_COLUMNS}
    return Facts(
        (PATIENT,),
        np.zeros(len(lines), np.int32),
        np.array([line["signal"] for line in lines], np.int16),
        np.array([line["retracted"] for line in lines], np.bool_),
        **columns,
    )


EXAMPLES: tuple[Example, ...] = (
    Example(
        "Mean, spread, lowest and highest of a window",
        "The window of 6 h at 12:00 is open at 06:00 and closed at 12:00: the reading at its left edge is out.",
        """
        d1 06:00 heart_rate 200
        d1 06:01 heart_rate 70
        d1 09:00 heart_rate 80
        d1 12:00 heart_rate 90
        d1 12:01 heart_rate 30
        """,
        "d1 12:00",
        {
            "heart_rate_mean_6h": "80",
            "heart_rate_std_6h": "10",
            "heart_rate_min_6h": "70",
            "heart_rate_max_6h": "90",
            "heart_rate_max_24h": "200",
            "heart_rate_mean_1h": "90",
            "heart_rate_std_1h": "none",
            "heart_rate_missing_24h": "0",
            "spo2_missing_24h": "1",
        },
    ),
    Example(
        "A slope is per hour of real time",
        "Readings need not be evenly spaced; one time alone has no slope.",
        """
        d1 08:00 blood_pressure_systolic 110
        d1 09:00 blood_pressure_systolic 112
        d1 11:00 blood_pressure_systolic 116
        d1 11:00 blood_pressure_diastolic 70
        """,
        "d1 12:00",
        {
            "blood_pressure_systolic_trend_6h": "2",
            "blood_pressure_diastolic_trend_6h": "none",
            "blood_pressure_systolic_variance_6h": "9.333333333333334",
        },
    ),
    Example(
        "Pulse pressure and mean arterial pressure come from the means",
        "A systolic reading without its diastolic one still counts.",
        """
        d1 10:00 blood_pressure_systolic 120
        d1 10:00 blood_pressure_diastolic 80
        d1 11:00 blood_pressure_systolic 130
        """,
        "d1 12:00",
        {"pulse_pressure_mean_6h": "45", "mean_arterial_pressure_6h": "95", "pulse_pressure_mean_24h": "45"},
    ),
    Example(
        "A late record does not exist before it is known",
        "Measured at 09:00, entered at 11:30: at 11:00 nobody could have used it.",
        """
        d1 08:00 heart_rate 70
        d1 09:00 heart_rate 100 known d1 11:30
        """,
        "d1 11:00",
        {"heart_rate_mean_6h": "70", "heart_rate_max_6h": "70"},
    ),
    Example(
        "The same, once it is known",
        "Its time is still that of the measurement: at 12:00 it lies in the last 6 h, not in the last hour.",
        """
        d1 08:00 heart_rate 70
        d1 09:00 heart_rate 100 known d1 11:30
        """,
        "d1 12:00",
        {"heart_rate_mean_6h": "85", "heart_rate_mean_1h": "none"},
    ),
    Example(
        "A correction replaces, from when it is known",
        "At 10:00 sharp the correction is known: it holds.",
        """
        d1 08:00 temperature 36.6 key a
        d1 08:00 temperature 36.9 key a known d1 10:00
        d1 09:00 temperature 37.1
        """,
        "d1 10:00",
        {"temperature_mean_6h": "37", "temperature_max_24h": "37.1", "temperature_latest": "37.1"},
    ),
    Example(
        "A retracted record is gone, its correction with it",
        "Versions are ordered by when they became known, then by their place in the log.",
        """
        d1 08:00 heart_rate 70 key a
        d1 08:00 heart_rate 75 key a known d1 09:00
        d1 08:00 heart_rate 75 key a known d1 10:00 retracted
        d1 07:00 heart_rate 60
        """,
        "d1 11:00",
        {"heart_rate_mean_6h": "60", "heart_rate_latest": "60"},
    ),
    Example(
        "Deviation from the patient's own baseline",
        "The baseline period ends with the whole day of the first dose; mean 70, standard deviation 10 here.",
        """
        d1 08:00 enrolment 1
        d2 08:00 heart_rate 60
        d2 12:00 heart_rate 80
        d2 16:00 heart_rate 70
        d2 09:00 study_dose 50 name drug
        d5 06:00 heart_rate 85
        d5 07:00 heart_rate 95
        """,
        "d5 08:00",
        {
            "heart_rate_deviation_24h": "2",
            "instability_score_24h": "2",
            "heart_rate_change_24h": "none",
            "days_since_first_dose": "2.9583333333333335",
            "days_since_enrolment": "4",
        },
    ),
    Example(
        "Before any dose the first day is the baseline",
        "The UTC day of enrolment.",
        """
        d1 08:00 enrolment 1
        d1 08:00 spo2 96
        d1 08:30 spo2 98
        d1 08:45 spo2 97
        d2 08:00 spo2 96
        """,
        "d2 09:00",
        {"spo2_deviation_24h": "-1", "spo2_change_24h": "-1", "days_since_first_dose": "none"},
    ),
    Example(
        "Change against the day before",
        "Mean of (t - 24 h, t] less mean of (t - 48 h, t - 24 h]: a reading exactly 24 h old is of the day before.",
        """
        d1 10:00 respiratory_rate 14
        d1 12:00 respiratory_rate 16
        d2 10:00 respiratory_rate 20
        """,
        "d2 12:00",
        {"respiratory_rate_change_24h": "5", "respiratory_rate_mean_24h": "20"},
    ),
    Example(
        "Laboratory: newest, change from baseline, rate",
        "The specimen taken at d4 12:00 with a result of d6 is not known yet at d5.",
        """
        d1 08:00 study_dose 50 name drug
        d1 08:00 alt 20
        d3 08:00 alt 30
        d4 12:00 alt 90 known d6 09:00
        """,
        "d5 08:00",
        {
            "alt_latest": "30",
            "alt_change_from_baseline": "10",
            "alt_rate": "5",
            "labs_missing_30d": "0",
            "ast_latest": "none",
        },
    ),
    Example(
        "Results of one moment count together",
        "Three blood pressures of a visit without a time of day: the newest reading is their mean.",
        """
        d1 12:00 blood_pressure_systolic 120 with id
        d1 12:00 blood_pressure_systolic 126 with id
        d1 12:00 blood_pressure_systolic 132 with id
        d1 12:00 heart_rate 70
        """,
        "d20 00:00",
        {
            "blood_pressure_systolic_latest": "126",
            "blood_pressure_systolic_mean_24h": "none",
            "heart_rate_latest": "none",
        },
    ),
    Example(
        "Doses: the newest taken, missed ones of a week",
        "A missed dose does not begin the treatment and does not change the current dose.",
        """
        d1 08:00 study_dose 50 name drug missed
        d2 08:00 study_dose 50 name drug
        d5 08:00 study_dose 75 name drug
        d6 08:00 study_dose 75 name drug missed
        """,
        "d8 09:00",
        {"study_dose_current": "75", "study_dose_missed_7d": "1", "days_since_first_dose": "6.041666666666667"},
    ),
    Example(
        "A dose that is known to have ended is no longer current",
        "",
        """
        d1 08:00 study_dose 54 name drug end d10 08:00 known d10 08:00 key a
        d1 08:00 study_dose 54 name drug key a
        """,
        "d11 00:00",
        {"study_dose_current": "0"},
    ),
    Example(
        "Medicines: in use, new, interacting",
        "Two reports of one medicine are one. Sertraline with selegiline is on the high-priority list.",
        """
        d1 08:00 medication 50 name sertraline
        d3 08:00 medication 50 name sertraline
        d9 08:00 medication 5 name selegiline
        d9 08:00 medication 100 name aspirin end d11 08:00
        """,
        "d12 00:00",
        {
            "medication_active": "2",
            "medication_new_7d": "2",
            "interaction_pairs": "1",
            "interaction_high_priority": "1",
            "interaction_qt": "0",
        },
    ),
    Example(
        "Adverse events as known then",
        "Onset on day 3, recorded on day 8: at day 5 the patient has had one.",
        """
        d2 08:00 adverse_event 2 name headache end d3 08:00
        d3 12:00 adverse_event 3 name syncope known d8 09:00
        """,
        "d5 08:00",
        {
            "adverse_event_count": "1",
            "adverse_event_ongoing": "0",
            "adverse_event_max_grade": "2",
            "days_since_last_adverse_event": "3",
        },
    ),
    Example(
        "Who the patient is",
        "Weight is in the baseline period (first day here) or within 72 h; a control arm is 1, another 2.",
        """
        d1 08:00 enrolment 1
        d1 08:00 age 64.5
        d1 08:00 sex M
        d1 08:00 arm 1 name Placebo
        d1 08:00 history 1 name hypertension
        d1 08:00 history 1 name diabetes
        d1 08:00 height 200
        d1 08:00 weight 80
        d9 08:00 weight 84
        """,
        "d10 08:00",
        {
            "age": "64.5",
            "sex": "1",
            "trial_arm": "1",
            "comorbidity_count": "2",
            "body_mass_index": "21",
            "weight_change_from_baseline": "4",
            "days_since_enrolment": "9",
        },
    ),
)
"""Each is computed by the kernel and by the reference and must come out as it stands here."""
