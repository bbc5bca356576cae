# ruff: noqa: E501 - a table reads best with one row a line
"""Why a row is refused, and what is decided where a package leaves something open: two tables of rules.

A *refusal* is a row that no event carries. A *note* is something that was imported otherwise than it stands, or not there
at all: a date told by the visit, a number without its unit, a whole domain. Every rule says why, and what would mend it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rule:
    """`why` is read after the name of the row (or of the domain); `cure` says what would mend it."""

    name: str
    why: str
    cure: str


NOTHING = "Nothing is missing."

# fmt: off
RULES: dict[str, Rule] = {
    rule.name: rule
    for rule in (
        Rule("not_done", "was planned and not done (--STAT): it has no result.", NOTHING),
        Rule("no_result", "has no result.", "Give a result (--ORRES or --STRESC), or a status that says why there is none."),
        Rule("not_a_number", "has a result that is no number.", "Correct the result in the source."),
        Rule("unknown_test", "is of a test that has no place among the vital signs.", "If it is one of them, use its CDISC test code (SYSBP, DIABP, PULSE, RESP, OXYSAT, TEMP, WEIGHT, HEIGHT)."),
        Rule("unknown_unit", "is in a unit that the table of units does not have for this test.", "Give the unit as CDISC spells it, or the standardised result (--STRESN, --STRESU)."),
        Rule("unknown_subject", "is of a subject that DM does not have.", "Add the subject to DM or correct USUBJID."),
        Rule("no_subject", "names no subject (neither USUBJID nor SUBJID).", "Fill USUBJID."),
        Rule("no_date", "has no date, and neither its study day nor its visit has one.", "Give the record a date (--DTC), or its visit one in SV."),
        Rule("not_a_date", "has a date that cannot be one.", "Correct the date: ISO 8601, as far as it is known."),
        Rule("no_name", "names nothing: neither a coded nor a reported term.", "Fill --TERM, --TRT or --DECOD."),
        Rule("unknown_severity", "has a severity that is none of MILD, MODERATE, SEVERE, and no grade.", "Correct AESEV, give AETOXGR (1 to 5), or say in define.xml what the code means."),
        Rule("not_an_event", "says that an event did not occur (--OCCUR = N, or not done).", NOTHING),
        Rule("no_parent", "belongs to a row that is not there or was refused.", "Correct IDVARVAL, or the row it names."),
        Rule("twice", "repeats a row before it, word for word.", "Take one of them out; nothing is lost."),
        Rule("subject_twice", "is a further row of a subject: DM has one row for each.", "Keep one row for each subject."),
        Rule("not_a_disposition", "says that a visit was made or a milestone reached; it does not say how the subject's part ended.", NOTHING),
        Rule("earlier_disposition", "ends a part of the study that another followed; the subject's last disposition is carried.", NOTHING),
        Rule("derived", "was derived by the sponsor from other rows.", "Nothing is missing: it is computed from them again."),
        Rule("no_place", "has no column in any event's contract, and no feature reads it.", "If it matters, ask for a column in the contract; the file itself is kept as it came."),
        Rule("unknown_domain", "is of a domain that the import does not read.", "If it is one of the domains read, name it in the column DOMAIN."),
        Rule("breaks_contract", "makes a message that breaks its topic's contract.", "Correct the value that is named."),
        Rule("unreadable_file", "cannot be read.", "Export or copy the file again, then import the package again: what is new is added."),
    )
}

NOTES: dict[str, Rule] = {
    rule.name: rule
    for rule in (
        Rule("domain_absent", "is not in the package.", "Add the domain's file and import again: what is new is added."),
        Rule("column_absent", "lacks columns that are read.", "Add them and import again, if the study has them."),
        Rule("dated_by_study_day", "has no date of its own that can be read: its day is told from --DY and RFSTDTC (there is no day 0).", "Fill --DTC."),
        Rule("dated_by_visit", "has no date of its own that can be read: it is dated by its visit (SV, else what was measured at it), marked as of unknown precision.", "Fill --DTC."),
        Rule("dated_by_treatment", "has no date of its own that can be read: the first dose's day (RFSTDTC) stands for it.", "Fill --STDTC."),
        Rule("dated_by_recording", "has no onset: the day on which it was recorded stands for it, marked as of unknown precision.", "Fill --STDTC, as far as it is known."),
        Rule("ended_by_reference", "has no date: the end of the subject's part (RFPENDTC, RFENDTC) stands for it.", "Fill DSSTDTC."),
        Rule("date_respelled", "has a date that is not written in ISO 8601, but can mean one day only.", "Write dates as 2019-02-28."),
        Rule("date_said_unknown", "has a text for a date that is not known; it counts as empty.", "Leave an unknown date empty, or write as much of it as is known."),
        Rule("ends_before_it_begins", "has an end before its beginning; it counts as ended when it began.", "Correct the earlier or the later of the two dates."),
        Rule("narrowed", "has a date without its day: a day within that month or year is known from elsewhere (its visit, the first dose, the last contact), and is taken.", "Give the whole date."),
        Rule("date_left_out", "has a further date that cannot be read (an end, a recording); the row is carried without it.", "Correct the date."),
        Rule("sas_date", "has dates stored as SAS numbers; they were read by their format.", "Store --DTC as ISO 8601 text."),
        Rule("not_numeric", "has a text where a number is expected; the row is carried without it.", "Store the column as a number."),
        Rule("left_out", "has a value beyond what its column can hold; the row is carried without it.", "Correct the value."),
        Rule("cut", "has a text that is longer than its column; it is cut at the end.", "Nothing needs to be done; the source has the whole text."),
        Rule("renumbered", "has a sequence number (--SEQ) that is missing or stands on another row too; rows are told apart by their order.", "Number the rows of a subject (--SEQ)."),
        Rule("standardised", "has no result as collected that can be read: the standardised one (--STRES-) is carried.", "Give --ORRES with --ORRESU."),
        Rule("unit_by_standard", "has a number without a unit as collected, equal to the standardised result: that one's unit is taken.", "Fill --ORRESU."),
        Rule("unit_unknown", "is in a unit that the table of units does not have: cleaning will set the results aside, none is guessed.", "Give the unit as CDISC spells it, or the standardised result; or have the unit added to the table."),
        Rule("test_as_reported", "is of a test that the table of analytes does not have: kept as reported, read by no feature.", NOTHING),
        Rule("severity_by_rule", "has no severity: it counts as grade 3 where it was serious, else as grade 1.", "Fill AESEV or AETOXGR."),
        Rule("severity_by_grade", "has a toxicity grade in AESEV; it is read as that grade.", "Write grades in AETOXGR."),
        Rule("decimal_comma", "has numbers with a decimal comma; they were read as such.", "Write numbers with a point."),
        Rule("decoded", "has codes that are read by the codelists of define.xml.", NOTHING),
        Rule("site_unknown", "has no SITEID: the site is called UNKNOWN.", "Fill SITEID in DM."),
        Rule("identifier_respelled", "has identifiers with other characters than letters, digits, . _ : and -, or too long ones; they are respelled.", "Nothing needs to be done; the rows keep the order and number of the source."),
        Rule("subject_by_subjid", "has no USUBJID: subjects are told by STUDYID and SUBJID.", "Fill USUBJID."),
        Rule("enrolled_by_rule", "has no date of collection: the subject counts as enrolled on the first day on which anything was measured, given or recorded.", "Fill DMDTC (or RFICDTC) in DM."),
        Rule("first_dose_by_exposure", "has no RFSTDTC: the first day of exposure (EX) stands for it.", "Fill RFSTDTC."),
        Rule("followed_until_reference", "has no disposition: follow-up ends on RFPENDTC.", "Add the subject's disposition to DS."),
        Rule("followed_until_last_contact", "has no disposition: follow-up ends on the last day on which anything was measured, given or recorded.", "Add the subject's disposition to DS."),
        Rule("death_by_reference", "has a death in DM that DS does not have: follow-up ends on DTHDTC.", "Add the death to DS."),
        Rule("death_by_event", "has a fatal adverse event and no death in DS: follow-up ends on the event's end.", "Add the death to DS."),
        Rule("encoding", "is not in UTF-8.", "Export in UTF-8, or check names with accents."),
        Rule("nul_bytes", "has NUL bytes within texts; they are read as blanks.", "Export the file again."),
        Rule("column_twice", "has two columns of one name; the second fills what the first leaves empty.", "Name each column once."),
        Rule("define_unread", "cannot be read: labels and codelists are those of the files.", "Export define.xml again, without a document type or entities."),
        Rule("visit_twice", "has visits of one number on several days: a row dated by such a visit lies between them.", "Give unscheduled and repeated visits numbers of their own (3.1, 3.2)."),
    )
}
# fmt: on

LOST: dict[str, str] = {
    "DM": "Age, sex, arm and site are not known; subjects are those of the other domains.",
    "AE": "There is no event to learn from or to predict.",
    "VS": "No feature of vital signs has a value, and no score can be given where they are required.",
    "LB": "No laboratory feature has a value.",
    "CM": "Other medicines are not known: no count of them, no interactions.",
    "EX": "Study doses are not known; the first dose is DM's RFSTDTC, where there is one.",
    "DS": "How each subject's part ended is not known; follow-up ends by rule.",
    "MH": "Medical history is not known.",
    "SV": "Visits have no dates of their own: a row without a date is dated by what else was measured at its visit.",
    "SC": "Further characteristics of subjects are not known; no feature reads them.",
}
"""Domain that a package should have → what is lost without it."""

WANTED: dict[str, tuple[tuple[str, ...], ...]] = {
    "DM": (("USUBJID", "SUBJID"), ("SITEID",), ("AGE",), ("SEX",), ("ARMCD", "ARM", "ACTARMCD"), ("RFSTDTC",), ("DMDTC", "RFICDTC")),
    "AE": (("USUBJID", "SUBJID"), ("AEDECOD", "AETERM"), ("AESEV", "AETOXGR"), ("AESTDTC",), ("AEDTC",), ("AEENDTC",)),
    "VS": (("USUBJID", "SUBJID"), ("VSTESTCD", "VSTEST"), ("VSORRES", "VSSTRESC", "VSSTRESN"), ("VSORRESU", "VSSTRESU"), ("VSDTC",)),
    "LB": (("USUBJID", "SUBJID"), ("LBTESTCD", "LBTEST"), ("LBORRES", "LBSTRESC", "LBSTRESN"), ("LBORRESU", "LBSTRESU"), ("LBDTC",)),
    "CM": (("USUBJID", "SUBJID"), ("CMTRT", "CMDECOD"), ("CMSTDTC",), ("CMDTC",), ("CMENDTC",)),
    "EX": (("USUBJID", "SUBJID"), ("EXTRT",), ("EXDOSE",), ("EXSTDTC",), ("EXENDTC",)),
    "DS": (("USUBJID", "SUBJID"), ("DSDECOD", "DSTERM"), ("DSSTDTC", "DSDTC")),
    "MH": (("USUBJID", "SUBJID"), ("MHDECOD", "MHTERM"), ("MHDTC",)),
    "SC": (("USUBJID", "SUBJID"), ("SCTESTCD", "SCTEST"), ("SCORRES", "SCSTRESC")),
    "SV": (("USUBJID", "SUBJID"), ("VISITNUM",), ("SVSTDTC",)),
}  # fmt: skip
"""Domain → columns that are read; of a tuple, one is enough."""

WITHOUT: dict[str, str] = {
    "USUBJID": "its rows are nobody's", "SITEID": "the site is called UNKNOWN", "AGE": "age is not known", "SEX": "sex is not known",
    "ARMCD": "the arm is not known", "RFSTDTC": "the first dose is the first day of EX", "DMDTC": "enrolled on the first contact",
    "AEDECOD": "no event has a name", "AESEV": "grade 3 where it was serious, else grade 1",
    "AESTDTC": "events count from the day on which they were recorded", "AEDTC": "an event counts as known on the day on which it began",
    "AEENDTC": "no event has an end", "VSTESTCD": "nobody knows what was measured", "VSORRES": "there is no result",
    "VSORRESU": "no result has a unit", "VSDTC": "results are dated by study day or visit", "LBTESTCD": "nobody knows what was measured",
    "LBORRES": "there is no result", "LBORRESU": "no result has a unit", "LBDTC": "results are dated by study day or visit",
    "CMTRT": "no medicine has a name", "CMSTDTC": "medicines count from the day on which they were recorded",
    "CMDTC": "a medicine counts as known on enrolment, or when it began if that is later", "CMENDTC": "no medicine has an end",
    "EXTRT": "no treatment has a name", "EXDOSE": "the dose is not known", "EXSTDTC": "doses are dated by study day, visit or first dose",
    "EXENDTC": "no dose has an end", "DSDECOD": "how a part ended is not known", "DSSTDTC": "a part ends on its visit or RFPENDTC",
    "MHDECOD": "no condition has a name", "MHDTC": "history counts as known on enrolment", "SCTESTCD": "no characteristic has a name",
    "SCORRES": "there is no result", "VISITNUM": "visits have no number", "SVSTDTC": "visits are dated by what was measured at them",
}  # fmt: skip
"""Column that is read (the first of its tuple in `WANTED`) → what its rows are without it."""
