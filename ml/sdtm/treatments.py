"""CM and EX → medications."""

from __future__ import annotations

from typing import Any

from ml.sdtm.dates import Moment, iso, start_of
from ml.sdtm.rows import Refused, Study, Subject, occurred
from ml.sdtm.xpt import Row


def concomitant(study: Study, row: Row, name: str) -> None:
    """A CM row: a medicine, known when it was recorded; an end after that is a second version, known when it came."""
    subject = study.subject(row)
    if not occurred(row, "CM"):
        raise Refused("not_an_event")
    drug = row.get("CMTRT") or row.get("CMDECOD")
    if not drug:
        raise Refused("no_name")
    moment, wrong = study.own("CM", row, ("CMSTDTC", "CMSTDY"))
    if wrong:
        study.note("CM", "date_left_out", wrong)
    known = study.recorded("CM", row, "CMDTC", moment)
    start, precision = start_of(moment, known)
    _medication(
        study, subject, name, max(known, start), start, study.further("CM", row, "CMENDTC"),
        {
            "timestamp": iso(start), "drug_name": drug, "dosage": row.get("CMDOSE"), "unit": row.get("CMDOSU") or None,
            "route": row.get("CMROUTE") or None, "frequency": row.get("CMDOSFRQ") or None, "term": row.get("CMINDC"),
            "date_precision": precision, "record_id": name,
        },
    )  # fmt: skip


def exposure(study: Study, row: Row, name: str) -> None:
    """An EX row: a study treatment over a span of days, known from its first day on and its end when it came.

    A dose of zero is placebo, and taken; a row that says it did not take place (EXOCCUR = N) is a dose missed.
    """
    subject = study.subject(row)
    drug = row.get("EXTRT")
    if not drug:
        raise Refused("no_name")
    begin, wrong = study.own("EX", row, ("EXSTDTC", "EXSTDY"))
    if begin is None and (begin := study.visit(row)) is not None:
        study.note("EX", "dated_by_visit")
    if begin is None and (begin := subject.first_dose) is not None:
        study.note("EX", "dated_by_treatment")
    if begin is None:
        raise Refused("not_a_date" if wrong else "no_date", wrong)
    begin = study.narrow("EX", begin, study.visit(row), subject.first_dose)
    known = min(begin.end_of_day, study.limit)
    start, precision = start_of(begin, known)
    _medication(
        study, subject, name, max(known, start), start, study.further("EX", row, "EXENDTC"),
        {
            "timestamp": iso(start), "drug_name": drug, "dosage": row.get("EXDOSE"), "unit": row.get("EXDOSU") or None,
            "route": row.get("EXROUTE") or None, "frequency": row.get("EXDOSFRQ") or None,
            "outcome": "taken" if occurred(row, "EX") else "missed", "date_precision": precision, "record_id": name,
        },
    )  # fmt: skip


def _medication(
    study: Study, subject: Subject, name: str, known: int, start: int, end: Moment | None, fields: dict[str, Any]
) -> None:
    stop = study.stop(name.partition(":")[0], end, known, start)
    if stop is not None and stop > known:
        study.add("medications", subject, known, [name], **fields)
        known = stop
    study.add("medications", subject, known, [name], **fields, end_timestamp=None if stop is None else iso(stop))
