"""AE → adverse-events."""

from __future__ import annotations

from typing import Any

from ml.sdtm.dates import end_of, iso, start_of
from ml.sdtm.rows import Refused, Study, date
from ml.sdtm.xpt import Row

GRADE: dict[str, int] = {"MILD": 1, "MODERATE": 2, "SEVERE": 3}
LIFE_THREATENING, FATAL = 4, 5
REPORTED_BY = "investigator"


def _grade(row: Row) -> int:
    toxicity = str(row.get("AETOXGR") or "")
    if toxicity in ("1", "2", "3", "4", "5"):
        return int(toxicity)
    severity = str(row.get("AESEV") or "").upper()
    if severity not in GRADE:
        raise Refused("unknown_severity", severity or "empty")
    return GRADE[severity]


def adverse_event(study: Study, row: Row, name: str) -> None:
    """An AE row: known when it was recorded (AEDTC), in the pilot a median of 11 days after its onset.

    What is known only at its end (its end, its outcome, that it was fatal) comes as a second version, if it ended later.
    """
    subject = study.subject(row)
    event_type = row.get("AEDECOD") or row.get("AETERM")
    if not event_type:
        raise Refused("no_name")
    grade = _grade(row)
    known = study.recorded(row, "AEDTC")
    start, precision = start_of(date(row, "AESTDTC"), known, first_dose=subject.first_dose)
    known = max(known, start)
    if str(row.get("AESLIFE") or "") == "Y":
        grade = max(grade, LIFE_THREATENING)
    fatal = str(row.get("AESDTH") or "") == "Y"
    fields: dict[str, Any] = {
        "event_timestamp": iso(start), "event_type": event_type, "severity": f"grade_{grade}", "reported_by": REPORTED_BY,
        "report_timestamp": iso(known), "term": row.get("AETERM"), "body_system": row.get("AEBODSYS") or row.get("AESOC"),
        "serious": str(row.get("AESER") or "") == "Y", "causality": row.get("AEREL"), "date_precision": precision,
        "record_id": name,
    }  # fmt: skip
    end = date(row, "AEENDTC")
    stop = None if end is None else max(end_of(end, known), start)
    if stop is not None and stop > known:
        study.add("adverse-events", subject, known, [name], **fields)
        known = stop
    last = {"outcome": row.get("AEOUT"), "end_timestamp": None if stop is None else iso(stop)}
    if fatal:
        last["severity"] = f"grade_{FATAL}"
    study.add("adverse-events", subject, known, [name], **{**fields, **last})
