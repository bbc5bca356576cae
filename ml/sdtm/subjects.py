"""Who is in a study: the subjects of DM, or where there is no DM those of the other domains.

| | with DM | without DM |
|---|---|---|
| name | USUBJID, else STUDYID-SUBJID | the same |
| site | SITEID, else UNKNOWN | UNKNOWN |
| enrolled | DMDTC, RFICDTC, else the earlier of RFSTDTC and the first contact | the first contact |
| first dose | RFSTDTC, else the first day of EX with a dose taken | the first day of EX |
| part ended | RFPENDTC, RFENDTC, else DTHDTC | not known |
| arm, age, sex | as they stand | not known |

The first contact is the first day on which anything was measured, given or recorded.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from ml.sdtm.columns import identifier
from ml.sdtm.context import enrolled
from ml.sdtm.dates import DAY, Moment, NotADate
from ml.sdtm.rows import SPAN_YEARS, Study, Subject, occurred, sequence, visit_of
from ml.sdtm.xpt import Row

UNKNOWN_SITE = "UNKNOWN"
OBSERVED: dict[str, tuple[str, ...]] = {
    "DM": ("DMDTC", "RFICDTC", "RFSTDTC"),
    "SV": ("SVSTDTC", "SVENDTC"),
    "VS": ("VSDTC",),
    "LB": ("LBDTC",),
    "EX": ("EXSTDTC", "EXENDTC"),
    "AE": ("AEDTC",),
    "CM": ("CMDTC",),
    "DS": ("DSSTDTC", "DSDTC"),
}
"""Domain → dates on which something was measured, given or recorded. Not among them: onsets and starts, which may lie
before a subject came or be told long after."""
LAST = {**OBSERVED, "AE": ("AEDTC", "AESTDTC")}
"""The same for the last contact: an onset is one."""

Rows = Mapping[str, list[Row]]


def name_subjects(study: Study, rows: Rows) -> None:
    """Give every row its subject in USUBJID, as messages can hold it, in place: by STUDYID and SUBJID where it has none
    (by DM where DM knows that SUBJID), respelled where it has other characters."""
    by_subjid = {
        str(row.get("SUBJID")): str(row["USUBJID"])
        for row in rows.get("DM", ())
        if row.get("USUBJID") and row.get("SUBJID")
    }
    told: dict[str, str] = {}
    for domain, body in rows.items():
        for row in body:
            name = str(row.get("USUBJID") or "")
            if not name and row.get("SUBJID"):
                subjid = str(row["SUBJID"])
                own = f"{row.get('STUDYID') or study.trial_id}-{subjid}"
                name = by_subjid.get(subjid, own)
                study.note(domain, "subject_by_subjid")
            if name not in told:
                told[name] = identifier(name, "SUBJECT") if name else ""
            if told[name] != name:
                study.note(domain, "identifier_respelled", "USUBJID")
            if name:
                row["USUBJID"] = told[name]


def set_span(study: Study, rows: Rows) -> None:
    """Find where the study's dates may lie: within `SPAN_YEARS` of the middle one of those on which something was
    measured, given or recorded."""
    found = []
    for domain, columns in OBSERVED.items():
        for row in rows.get(domain, ()):
            for column in columns:
                moment = _plain(study, row, column)
                if moment is not None and moment.precision in ("day", "time"):
                    found.append(moment.first)
    if found:
        middle, reach = int(np.median(found)), int(SPAN_YEARS * 365.25 * DAY)
        study.span = (middle - reach, middle + reach)


def _plain(study: Study, row: Row, column: str) -> Moment | None:
    try:
        return study.read(row, column)
    except NotADate:
        return None


def contacts(study: Study, rows: Rows, columns: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[Moment, Moment]]:
    """Subject → (first, last) day on which anything happened by these columns, as far as the dates are exact."""
    found: dict[str, tuple[Moment, Moment]] = {}
    for domain, names in columns.items():
        for row in rows.get(domain, ()):
            subject = str(row.get("USUBJID") or "")
            for name in names:
                moment = _plain(study, row, name)
                if not subject or moment is None or moment.precision not in ("day", "time"):
                    continue
                first, last = found.get(subject, (moment, moment))
                found[subject] = (min(first, moment, key=_begin), max(last, moment, key=_begin))
    return found


def _begin(moment: Moment) -> int:
    return moment.first


def first_doses(study: Study, rows: Rows) -> dict[str, Moment]:
    """Subject → first day of exposure that took place."""
    taken = [row for row in rows.get("EX", ()) if row.get("EXTRT") and occurred(row, "EX")]
    return {name: first for name, (first, _) in contacts(study, {"EX": taken}, {"EX": ("EXSTDTC",)}).items()}


def visits(study: Study, rows: Rows) -> None:
    """Note when each visit was: from its beginning to its end. Days of one visit that stand in several rows are joined.
    A visit that SV does not date is dated by what was measured at it."""
    _visits_of_sv(study, rows.get("SV", ()))
    told = frozenset(study.visits)
    for domain in ("VS", "LB"):
        for row in rows.get(domain, ()):
            moment, key = _plain(study, row, f"{domain}DTC"), (str(row.get("USUBJID") or ""), visit_of(row))
            if key in told or moment is None or moment.precision not in ("day", "time") or not key[0] or not key[1]:
                continue
            before = study.visits.get(key, moment)
            study.visits[key] = Moment(min(before.first, moment.first), max(before.last, moment.last), "unknown")


def _visits_of_sv(study: Study, rows: Iterable[Row]) -> None:
    for row in rows:
        first, last = _plain(study, row, "SVSTDTC"), _plain(study, row, "SVENDTC")
        start, end = first or last, last or first
        key = (str(row.get("USUBJID") or ""), visit_of(row))
        if start is None or end is None or not key[0] or not key[1]:
            continue
        before = study.visits.get(key)
        if before is not None and (before.first // DAY, before.last // DAY) != (start.first // DAY, end.last // DAY):
            study.note("SV", "visit_twice", row.get("VISIT") or sequence(row, "VISITNUM"))
        earliest = min(start.first, before.first if before else start.first)
        latest = max(start.last, end.last, before.last if before else end.last)
        study.visits[key] = Moment(earliest, latest, "unknown")


def find_subjects(study: Study, rows: Rows) -> None:
    """Fill `study.subjects` by the table above, and enrol those that no DM row will."""
    seen = contacts(study, rows, OBSERVED)
    study.last = {name: last for name, (_, last) in contacts(study, rows, LAST).items()}
    doses = first_doses(study, rows)
    described = rows.get("DM")
    if described:
        for row in described:
            name = str(row.get("USUBJID") or "")
            if name and name not in study.subjects:
                study.at = f"DM:{name}"
                study.subjects[name] = _of(study, row, seen.get(name), doses.get(name))
        study.at = ""
        return
    names = {str(row.get("USUBJID") or "") for body in rows.values() for row in body} - {""}
    for name in sorted(names):
        first = seen[name][0] if name in seen else None
        subject = Subject(name, UNKNOWN_SITE, first, doses.get(name))
        study.subjects[name] = subject
        if first is None:
            continue
        study.note("DM", "enrolled_by_rule")
        study.note("DM", "site_unknown")
        enrolled(study, subject, [], f"DM:{name}:enrolment")


def _of(study: Study, row: Row, seen: tuple[Moment, Moment] | None, dose: Moment | None) -> Subject:
    site = str(row.get("SITEID") or "")
    if not site:
        study.note("DM", "site_unknown")
    told = identifier(site, "SITE") if site else UNKNOWN_SITE
    if site and told != site:
        study.note("DM", "identifier_respelled", "SITEID")
    first_dose = study.further("DM", row, "RFSTDTC")
    if first_dose is not None:
        first_dose = study.narrow("DM", first_dose, dose)
    if first_dose is None and dose is not None:
        study.note("DM", "first_dose_by_exposure")
        first_dose = dose
    days = [moment for moment in (first_dose, seen[0] if seen else None) if moment is not None]
    contact = min(days, key=_begin, default=None)
    collected = study.further("DM", row, "DMDTC") or study.further("DM", row, "RFICDTC")
    if collected is not None:
        collected = study.narrow("DM", collected, contact)
    elif contact is not None:
        study.note("DM", "enrolled_by_rule")
        collected = contact
    ended = next(filter(None, (study.further("DM", row, c) for c in ("RFPENDTC", "RFENDTC", "DTHDTC"))), None)
    if ended is not None:
        ended = study.narrow("DM", ended, seen[1] if seen else None)
    return Subject(str(row["USUBJID"]), told, collected, first_dose, ended)
