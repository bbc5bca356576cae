"""What would mend a refused or quarantined message, by the rule it fell under; one row a rule."""

from __future__ import annotations

from typing import NamedTuple


class Cure(NamedTuple):
    """``title``: the rule in words. ``cure``: what somebody would have to do."""

    title: str
    cure: str


_SOURCE = "Mend the source, which then sends a new message"

#: rules of ``ml.contracts.wire``
CONTRACT: dict[str, Cure] = {
    "empty": Cure("No body", f"{_SOURCE}; an empty one cannot be replayed."),
    "too_large": Cure("Too large", f"{_SOURCE}, one record in each."),
    "unknown_version": Cure(
        "Unknown version of the contract", "Install the release that knows this version, then replay."
    ),
    "not_json": Cure("No JSON", f"{_SOURCE} as JSON in UTF-8."),
    "not_utf8": Cure("Not UTF-8", f"{_SOURCE} as JSON in UTF-8."),
    "not_a_date": Cure("No date of the calendar", f"{_SOURCE} with a date that exists."),
    "schema_required": Cure("A field is missing", f"{_SOURCE} with the field, or make it optional and replay."),
    "schema_type": Cure("A field of another type", f"{_SOURCE} with the type the contract names."),
    "schema_pattern": Cure("A text of another form", f"{_SOURCE} in the form the contract names."),
    "schema_enum": Cure("A word that is not in the list", f"{_SOURCE}, or add the word to the contract and replay."),
    "schema_minimum": Cure("A number below its limit", f"{_SOURCE}, or move the contract's limit and replay."),
    "schema_maximum": Cure("A number above its limit", f"{_SOURCE}, or move the contract's limit and replay."),
    "schema_maxLength": Cure("A text that is too long", f"{_SOURCE} with a shorter text."),
    "schema_minLength": Cure("A text that is empty", f"{_SOURCE} with the text."),
    "schema_maxItems": Cure("A list that is too long", f"{_SOURCE} with a shorter list."),
    "schema_anyOf": Cure("No vital sign", f"{_SOURCE} with at least one vital sign."),
    "schema_rule": Cure("Another rule of the contract", f"{_SOURCE} as the contract wants it."),
}

#: rules of ``ml.cleaning.rules``
QUARANTINE: dict[str, Cure] = {
    "future_time": Cure(
        "Time in the future", "Set the clock of the source right and let it send a correction under the same identity."
    ),
    "unknown_patient": Cure(
        "Unknown patient", "Send the patient's enrolment; the next cleaning then lets the record in by itself."
    ),
    "impossible_value": Cure(
        "Impossible value", "Let the source send a correction, or mend the table of limits and clean again."
    ),
    "no_sign_left": Cure("No sign left", "Let the source send a correction with at least one possible value."),
    "unknown_unit": Cure("Unknown unit", "Add the unit to the closed table, then clean again; it is never guessed."),
}


def of_contract(rule: str) -> Cure:
    """The row of a contract's rule; a rule that an older release named keeps its name."""
    return CONTRACT.get(rule) or Cure(rule.replace("_", " ").capitalize(), f"{_SOURCE}.")


def of_quarantine(rule: str) -> Cure:
    """The row of a cleaning rule; likewise."""
    return QUARANTINE.get(rule) or Cure(rule.replace("_", " ").capitalize(), f"{_SOURCE}.")
