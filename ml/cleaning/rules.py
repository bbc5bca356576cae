"""The rules of cleaning, as a table. A rule has one name: in quarantine, flags, reports and on pages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ml.contracts.signs import SIGNS
from ml.contracts.tables import NEVER_FILLED

RULES_VERSION = 1
FUTURE_SECONDS = 60
"""An event may lie this far after the moment it became known (clocks differ); beyond it, the time is wrong."""
FILL_SECONDS = 2 * 3600
"""A vital sign is carried forward at most this long."""

Outcome = Literal["quarantine", "flag"]


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: its name, whether it sets aside or flags, what it applies to (row or field) and why, in a sentence."""

    name: str
    outcome: Outcome
    scope: Literal["row", "field"]
    topics: tuple[str, ...]
    sentence: str


_VITALS, _LABS = ("patient-vitals",), ("lab-results",)
_ALL = ("patient-vitals", "lab-results", "medications", "adverse-events", "patient-context")

QUARANTINE_RULES: tuple[Rule, ...] = (
    Rule(
        "future_time", "quarantine", "row", _ALL, f"The event lies more than {FUTURE_SECONDS} s after it became known."
    ),
    Rule(
        "unknown_patient",
        "quarantine",
        "row",
        _ALL[:4],
        "Nothing is known of the patient yet; re-run when the context comes.",
    ),
    Rule(
        "impossible_value", "quarantine", "field", _VITALS, "No living person has this value; the other signs are kept."
    ),
    Rule("impossible_value", "quarantine", "row", _LABS, "No living person has this result."),
    Rule("no_sign_left", "quarantine", "row", _VITALS, "Every sign of the message was impossible."),
    Rule(
        "unknown_unit",
        "quarantine",
        "row",
        _LABS,
        "The unit is absent or not in the table for this analyte; it is never guessed.",
    ),
)

# fmt: off
FLAG_RULES: tuple[Rule, ...] = (
    *(
        Rule(f"implausible_{sign.name}", "flag", "field", _VITALS,
             f"{sign.label} outside {sign.implausible_below:g} to {sign.implausible_above:g} {sign.unit}.")
        for sign in SIGNS
    ),
    Rule("implausible_blood_pressure", "flag", "field", _VITALS, "The diastolic pressure is not below the systolic."),
    *(
        Rule(f"filled_{sign.name}", "flag", "field", _VITALS,
             f"{sign.label} carried forward from a measurement at most 2 h older.")
        for sign in SIGNS
        if sign.name not in NEVER_FILLED
    ),
    Rule("implausible_value", "flag", "field", _LABS, "The result lies outside the analyte's plausible limits."),
    Rule("unmapped_analyte", "flag", "row", _LABS, "The test is not in the table of analytes; kept as reported."),
    Rule("reference_range_unread", "flag", "field", _LABS, "The reference range is not of the form 7-56, <5 or >60."),
    Rule("no_result", "flag", "row", _LABS, "Neither a number nor a text came as result."),
    Rule("end_before_start", "flag", "field", ("medications", "adverse-events", "patient-context"),
         "The end lies before the start."),
)
# fmt: on

RULES: tuple[Rule, ...] = QUARANTINE_RULES + FLAG_RULES
FLAGS: tuple[str, ...] = tuple(rule.name for rule in FLAG_RULES)
