"""DM, MH, DS → patient-context."""

from __future__ import annotations

from ml.sdtm.dates import DAY, NOON, Moment, Precision, end_of, iso, start_of
from ml.sdtm.rows import Refused, Study, Subject, occurred
from ml.sdtm.xpt import Row

SEX = {"F": "F", "M": "M", "FEMALE": "F", "MALE": "M"}
NOT_TREATED = frozenset(
    {"SCRNFAIL", "NOTASSGN", "NOTTRT", "SCREEN FAILURE", "NOT ASSIGNED", "NOT TREATED", "ASSIGNED, NOT TREATED"}
)
"""ARMCD, ARM or ARMNRS (upper case) of subjects without an arm, or without its treatment."""
AGE_UNITS: dict[str, float] = {"": 1, "YEARS": 1, "MONTHS": 12, "WEEKS": 52.1775, "DAYS": 365.2425, "HOURS": 8765.82}
"""AGEU → how many make a year."""
DISPOSITION: dict[str, str] = {
    "COMPLETED": "completed",
    "DEATH": "died",
    "DIED": "died",
    "SCREEN FAILURE": "screen_failure",
    "SCREEN FAILED": "screen_failure",
    "LOST TO FOLLOW-UP": "lost",
}
"""DSDECOD → status; any other disposition is a withdrawal."""
DISPOSITION_CATEGORIES = frozenset({"DISPOSITION EVENT", ""})


def demographics(study: Study, row: Row, name: str) -> None:
    """A DM row: enrolment and demographics known when collected, the arm when treatment began, a subject who was never
    treated when their part ended."""
    subject = study.subject(row)
    if subject.collected is None:
        raise Refused("no_date")
    enrolled(study, subject, [name], f"{name}:enrolment")
    known = subject.collected.end_of_day
    start, precision = start_of(subject.collected, known)
    study.add(
        "patient-context", subject, known, [name], kind="demographics", age=_age(row), sex=_sex(study, row),
        race=row.get("RACE"), ethnicity=row.get("ETHNIC"), record_id=f"{name}:demographics", timestamp=iso(start),
        date_precision=precision,
    )  # fmt: skip
    code = str(row.get("ARMCD") or row.get("ARM") or row.get("ACTARMCD") or row.get("ARMNRS") or "")
    said = {str(row.get(column) or "").upper() for column in ("ARMCD", "ARM", "ARMNRS")}
    treated = bool(code) and said.isdisjoint(NOT_TREATED) and subject.first_dose is not None
    since = subject.first_dose if treated else subject.part_ended
    if since is not None and code:
        study.add(
            "patient-context", subject, since.end_of_day, [name], kind="arm", arm_code=code, arm_name=row.get("ARM"),
            treated=treated, timestamp=iso(start_of(since, since.end_of_day)[0]), date_precision=since.precision,
            record_id=f"{name}:arm",
        )  # fmt: skip


def enrolled(study: Study, subject: Subject, rows: list[str], record_id: str) -> None:
    """The enrolment of a subject, known when collected."""
    moment: Moment | None = subject.collected
    if moment is None:
        raise Refused("no_date")
    start, precision = start_of(moment, moment.end_of_day)
    study.add(
        "patient-context", subject, moment.end_of_day, rows, kind="enrolment", record_id=record_id, timestamp=iso(start),
        date_precision=precision,
    )  # fmt: skip


def _age(row: Row) -> float | None:
    age, unit = row.get("AGE"), str(row.get("AGEU") or "").upper()
    if age is None or unit not in AGE_UNITS:
        return None
    return float(age) if AGE_UNITS[unit] == 1 else round(age / AGE_UNITS[unit], 1)


def _sex(study: Study, row: Row) -> str:
    said = str(row.get("SEX") or "").upper()
    if said in SEX:
        return SEX[said]
    meant = study.define.decode("DM", "SEX", said).upper() if said else ""
    if meant in SEX:
        study.note("DM", "decoded", f"SEX {said}: {meant}")
        return SEX[meant]
    return "U"


def history(study: Study, row: Row, name: str) -> None:
    """An MH row: a condition, known when the history was taken."""
    subject = study.subject(row)
    if not occurred(row, "MH"):
        raise Refused("not_an_event")
    term = row.get("MHDECOD") or row.get("MHTERM")
    if not term:
        raise Refused("no_name")
    moment, wrong = study.own("MH", row, ("MHSTDTC", "MHSTDY"))
    if wrong:
        study.note("MH", "date_left_out", wrong)
    known = study.recorded("MH", row, "MHDTC", moment)
    start, precision = start_of(moment, known)
    end = study.further("MH", row, "MHENDTC")
    stop = None if end is None else end_of(end, known)
    fields = {"kind": "history", "term": term, "timestamp": iso(start), "date_precision": precision, "record_id": name}
    known = max(known, start)
    if stop is not None and stop > known:
        study.add("patient-context", subject, known, [name], **fields)
        known = stop
    ended = None if stop is None else iso(max(stop, start))
    study.add("patient-context", subject, known, [name], **fields, end_timestamp=ended)


def status_of(study: Study, row: Row) -> str:
    """The status a DS row says."""
    said = str(row.get("DSDECOD") or row.get("DSTERM") or "").upper()
    if said not in DISPOSITION and (meant := study.define.decode("DS", "DSDECOD", said).upper()) in DISPOSITION:
        study.note("DS", "decoded", f"DSDECOD {said}: {meant}")
        said = meant
    return DISPOSITION.get(said, "withdrawn")


def ending(study: Study, row: Row) -> tuple[Moment, str]:
    """(when a DS row's disposition came about, which note to make of it). Refused where nothing dates it."""
    moment, wrong = study.own("DS", row, ("DSSTDTC", "DSSTDY"), ("DSDTC", "DSDY"))
    visit, subject = study.visit(row), study.subject(row)
    if moment is not None:
        return study.narrow("DS", moment, visit, subject.part_ended, study.last.get(subject.usubjid)), ""
    if visit is not None:
        return visit, "dated_by_visit"
    if subject.part_ended is not None:
        return subject.part_ended, "ended_by_reference"
    raise Refused("not_a_date" if wrong else "no_date", wrong)


def end_by(moment: Moment, known: int) -> tuple[int, Precision]:
    """(event time, precision) of an end: noon of the last day it may mean, never after it was known."""
    if moment.precision in ("month", "year"):
        return min(moment.last // DAY * DAY + NOON, known), moment.precision
    return start_of(moment, known)


def disposition(study: Study, row: Row, name: str) -> None:
    """A DS row of the category disposition event, with the qualifiers that were collected with it."""
    subject = study.subject(row)
    moment, noted = ending(study, row)
    if noted:
        study.note("DS", noted)
    recorded = study.further("DS", row, "DSDTC") or moment
    known = min(recorded.end_of_day, study.limit)
    start, precision = end_by(moment, known)
    told = [f"{label}: {value}" for label, value in study.qualifiers.get(name, ())]
    term = "; ".join([str(row.get("DSTERM") or row.get("DSDECOD") or ""), *told])
    study.add(
        "patient-context", subject, max(known, start), [name], kind="disposition", status=status_of(study, row),
        term=term[:200], timestamp=iso(start), date_precision=precision, record_id=name,
    )  # fmt: skip
