"""Why a value of a table may be refused: every rule by name, with what is wrong and what would mend it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rule:
    """`why` is read after the row's name; `cure` says what would let the value in within minutes."""

    name: str
    why: str
    cure: str


RULES: dict[str, Rule] = {
    rule.name: rule
    for rule in (
        Rule("no_patient", "names no patient.", "Fill the patient's column, or choose another column for it."),
        Rule("bad_patient", "names a patient in a way the platform cannot keep.",
             "Use at most 64 letters, digits and . _ : - , beginning with a letter or digit."),
        Rule("bad_site", "names a site in a way the platform cannot keep.", "Use at most 64 letters, digits and . _ : - ."),
        Rule("other_trial", "is of another trial than the one chosen.", "Import it into its own trial, or choose no trial column."),
        Rule("no_time", "has no time.", "Fill the time's column."),
        Rule("not_a_time", "has a time that cannot be read.", "Correct it, or choose the form in which the file writes times."),
        Rule("no_such_time", "has a local time that the clocks skipped that night.", "Give the time with its offset, such as +01:00."),
        Rule("bad_zone", "names no time zone.", "Use a name such as Europe/Madrid, or choose one zone for the whole file."),
        Rule("future", "lies in the future.", "Correct the time, the zone or the form in which the file writes times."),
        Rule("no_test", "names no test.", "Fill the test's column."),
        Rule("no_value", "has no value in any mapped column.", "Nothing is missing, or another column was meant."),
        Rule("not_a_number", "has a value that is no number.",
             "Correct it, choose the file's decimal sign, or leave it empty where nothing was measured."),
        Rule("not_a_level", "is none of the levels A, C, V, P, U.", "Write the level of consciousness as one of these letters."),
        Rule("unknown_unit", "is in a unit that the tables do not know for this sign.", "Choose the unit in the mapping."),
        Rule("twice", "repeats the patient and time of a row before it.",
             "Remove the repeated row, or map a column that numbers the rows."),
        Rule("ragged", "has more or fewer cells than the first line names.", "Put texts that hold the separator into quotes."),
        Rule("breaks_contract", "makes a message that breaks its topic's contract.", "Correct the value that is named."),
    )
}  # fmt: skip
