"""DM, MH, DS → patient-context."""

from __future__ import annotations

from ml.sdtm.dates import end_of, iso, start_of
from ml.sdtm.rows import Refused, Study, Subject, date, sequence
from ml.sdtm.xpt import Row

SEX = {"F": "F", "M": "M"}
NOT_TREATED = frozenset({"SCRNFAIL", "NOTASSGN", "NOTTRT"})
"""ARMCD (upper case) of subjects without an arm."""
DISPOSITION: dict[str, str] = {
    "COMPLETED": "completed",
    "DEATH": "died",
    "SCREEN FAILURE": "screen_failure",
    "LOST TO FOLLOW-UP": "lost",
}
"""DSDECOD → status; any other disposition is a withdrawal."""
DISPOSITION_CATEGORIES = frozenset({"DISPOSITION EVENT", ""})


def subject_of(row: Row) -> Subject:
    """The subject a DM row describes. Refused without a name."""
    if not row.get("USUBJID"):
        raise Refused("no_subject")
    return Subject(str(row["USUBJID"]), str(row.get("SITEID") or "UNKNOWN"), date(row, "DMDTC"), date(row, "RFSTDTC"))


def demographics(study: Study, row: Row, name: str) -> None:
    """A DM row: enrolment and demographics known when collected, the arm when treatment began, a subject who was never
    treated when their part ended."""
    subject = subject_of(row)
    collected = subject.collected or date(row, "RFICDTC") or subject.first_dose
    if collected is None:
        raise Refused("no_date")
    study.subjects[subject.usubjid] = subject
    known = collected.end_of_day
    start, precision = start_of(collected, known)
    common = {"timestamp": iso(start), "date_precision": precision}
    study.add("patient-context", subject, known, [name], kind="enrolment", record_id=f"{name}:enrolment", **common)
    study.add(
        "patient-context", subject, known, [name], kind="demographics", age=row.get("AGE"), sex=SEX.get(row.get("SEX", ""), "U"),
        race=row.get("RACE"), ethnicity=row.get("ETHNIC"), record_id=f"{name}:demographics", **common,
    )  # fmt: skip
    code = str(row.get("ARMCD") or "")
    treated = code.upper() not in NOT_TREATED and bool(code)
    since = subject.first_dose if treated else date(row, "RFPENDTC")
    if since is not None and code:
        study.add(
            "patient-context", subject, since.end_of_day, [name], kind="arm", arm_code=code, arm_name=row.get("ARM"),
            treated=treated, timestamp=iso(start_of(since, since.end_of_day)[0]), date_precision=since.precision,
            record_id=f"{name}:arm",
        )  # fmt: skip


def history(study: Study, row: Row, name: str) -> None:
    """An MH row: a condition, known when the history was taken."""
    subject = study.subject(row)
    term = row.get("MHDECOD") or row.get("MHTERM")
    if not term:
        raise Refused("no_name")
    known = study.recorded(row, "MHDTC")
    start, precision = start_of(date(row, "MHSTDTC"), known)
    end = date(row, "MHENDTC")
    stop = None if end is None else end_of(end, known)
    fields = {"kind": "history", "term": term, "timestamp": iso(start), "date_precision": precision, "record_id": name}
    known = max(known, start)
    if stop is not None and stop > known:
        study.add("patient-context", subject, known, [name], **fields)
        known = stop
    study.add(
        "patient-context",
        subject,
        known,
        [name],
        **fields,
        end_timestamp=None if stop is None else iso(max(stop, start)),
    )


def disposition(study: Study, row: Row, name: str) -> None:
    """A DS row of the category disposition event, with the qualifiers that were collected with it."""
    subject = study.subject(row)
    if str(row.get("DSCAT") or "") not in DISPOSITION_CATEGORIES:
        raise Refused("not_a_disposition", str(row.get("DSDECOD") or ""))
    known = study.recorded(row, "DSDTC", "DSSTDTC")
    moment = date(row, "DSSTDTC") or date(row, "DSDTC")
    start, precision = start_of(moment, known)
    said = study.qualifiers.get(("DS", subject.usubjid, sequence(row, "DSSEQ")), [])
    term = "; ".join([str(row.get("DSTERM") or row.get("DSDECOD")), *(f"{label}: {value}" for label, value, _ in said)])
    study.add(
        "patient-context", subject, max(known, start), [name, *(supp for _, _, supp in said)], kind="disposition",
        status=DISPOSITION.get(str(row.get("DSDECOD") or "").upper(), "withdrawn"), term=term[:200], timestamp=iso(start),
        date_precision=precision, record_id=name,
    )  # fmt: skip
