"""AE → adverse-events."""

from __future__ import annotations

import re
from typing import Any

from ml.sdtm.dates import iso, start_of
from ml.sdtm.rows import Refused, Study, occurred
from ml.sdtm.xpt import Row

GRADE: dict[str, int] = {
    "MILD": 1,
    "MODERATE": 2,
    "SEVERE": 3,
    "LIFE THREATENING": 4,
    "LIFE-THREATENING": 4,
    "FATAL": 5,
    "DEATH": 5,
}
"""AESEV, or what its codelist says it means → grade."""
SERIOUS_GRADE, PLAIN_GRADE = 3, 1
"""Where no severity was collected (note `severity_by_rule`)."""
LIFE_THREATENING, FATAL = 4, 5
REPORTED_BY = "investigator"
_TOXICITY = re.compile(r"^(?:GRADE\s*)?([1-5])$")
_NAMED_GRADE = re.compile(r"^(?:CTCAE\s*)?GRADE\s*([1-5])$")
"""What a grade in AESEV looks like. A bare number there is a sponsor's code: only a codelist says what it means."""


def yes(row: Row, column: str) -> bool:
    """Whether a flag says so."""
    return str(row.get(column) or "").upper() in ("Y", "YES", "1")


def is_fatal(row: Row) -> bool:
    """Whether an AE row says that its subject died of it."""
    return yes(row, "AESDTH") or str(row.get("AEOUT") or "").upper() == "FATAL"


def _grade(study: Study, row: Row) -> int:
    if found := _TOXICITY.match(str(row.get("AETOXGR") or "").upper()):
        return int(found[1])
    severity = str(row.get("AESEV") or "").upper()
    if not severity:
        study.note("AE", "severity_by_rule")
        return SERIOUS_GRADE if yes(row, "AESER") else PLAIN_GRADE
    if severity in GRADE:
        return GRADE[severity]
    meant = study.define.decode("AE", "AESEV", severity).upper()
    if meant in GRADE:
        study.note("AE", "decoded", f"AESEV {severity}: {meant}")
        return GRADE[meant]
    if found := _NAMED_GRADE.match(severity):
        study.note("AE", "severity_by_grade", f"AESEV {severity}")
        return int(found[1])
    raise Refused("unknown_severity", severity)


def adverse_event(study: Study, row: Row, name: str) -> None:
    """An AE row: known when it was recorded (AEDTC), in the pilot a median of 11 days after its onset.

    What is known only at its end (its end, its outcome, that it was fatal) comes as a second version, if it ended later.
    """
    subject = study.subject(row)
    if not occurred(row, "AE"):
        raise Refused("not_an_event")
    event_type = row.get("AEDECOD") or row.get("AETERM")
    if not event_type:
        raise Refused("no_name")
    grade = _grade(study, row)
    moment, wrong = study.own("AE", row, ("AESTDTC", "AESTDY"))
    if moment is None:
        if wrong:
            raise Refused("not_a_date", wrong)
        if study.further("AE", row, "AEDTC") is None and study.visit(row) is None:
            raise Refused("no_date")
        study.note("AE", "dated_by_recording")
    known = study.recorded("AE", row, "AEDTC", moment)
    start, precision = start_of(moment, known, first_dose=subject.first_dose)
    known = max(known, start)
    if yes(row, "AESLIFE"):
        grade = max(grade, LIFE_THREATENING)
    fields: dict[str, Any] = {
        "event_timestamp": iso(start), "event_type": event_type, "severity": f"grade_{grade}", "reported_by": REPORTED_BY,
        "report_timestamp": iso(known), "term": row.get("AETERM"), "body_system": row.get("AEBODSYS") or row.get("AESOC"),
        "serious": yes(row, "AESER"), "causality": row.get("AEREL"), "date_precision": precision,
        "record_id": name,
    }  # fmt: skip
    end = study.further("AE", row, "AEENDTC")
    stop = study.stop("AE", end, known, start)
    if stop is not None and stop > known:
        study.add("adverse-events", subject, known, [name], **fields)
        known = stop
    last = {"outcome": row.get("AEOUT"), "end_timestamp": None if stop is None else iso(stop)}
    if is_fatal(row):
        last["severity"] = f"grade_{FATAL}"
    study.add("adverse-events", subject, known, [name], **{**fields, **last})
