"""Why a row may be refused: every rule by name, with what is wrong and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rule:
    """`why` is read after the row's name; `cure` says what would let the row in."""

    name: str
    why: str
    cure: str


RULES: dict[str, Rule] = {
    rule.name: rule
    for rule in (
        Rule("not_done", "was planned and not done (--STAT): it has no result.", "Nothing is missing."),
        Rule("no_result", "has no result.", "Give a result, or a status that says why there is none."),
        Rule("not_a_number", "has a result that is no number.", "Correct the result in the source."),
        Rule("unknown_test", "is of a test that the tables do not know.", "Add the test to ml/sdtm/findings.py."),
        Rule("unknown_unit", "is in a unit that the tables do not know.", "Add the unit to ml/sdtm/findings.py."),
        Rule("unknown_subject", "is of a subject that DM does not have.", "Add the subject to DM or correct USUBJID."),
        Rule("no_subject", "names no subject (USUBJID).", "Fill USUBJID."),
        Rule("no_date", "has no date, and neither its visit nor its subject has one.", "Give the record a date."),
        Rule("not_a_date", "has a date that is not of the calendar.", "Correct the date: ISO 8601, as far as it is known."),
        Rule("no_name", "names nothing: neither a coded nor a reported term.", "Fill --TERM, --TRT or --DECOD."),
        Rule("unknown_severity", "has a severity that is none of MILD, MODERATE, SEVERE.", "Correct AESEV or give AETOXGR."),
        Rule("no_parent", "belongs to a row that is not there or was refused.", "Correct IDVARVAL, or the row it names."),
        Rule("twice", "repeats the key of a row before it.", "Number the rows anew (--SEQ)."),
        Rule("not_a_disposition", "says that a visit was made; it does not say how the subject's part ended.", "Nothing is missing."),
        Rule("timing_only", "says when visits and elements were; events carry their own dates.", "Nothing is missing."),
        Rule("trial_design", "describes the trial's plan, not a subject.", "Nothing is missing."),
        Rule("derived", "was derived by the sponsor from other rows.", "Nothing is missing: it is computed from them again."),
        Rule("no_place", "has no column in any event's contract, and no feature reads it.", "Add a column to the contract first."),
        Rule("unknown_domain", "is of a domain that the import does not know.", "Add the domain to ml/sdtm/package.py."),
        Rule("breaks_contract", "makes a message that breaks its topic's contract.", "Correct the value that is named."),
    )
}  # fmt: skip
