"""How and when each subject's part ended: dispositions (DS), and what stands for one where there is none.

| of a subject | follow-up ends | note |
|---|---|---|
| with dispositions in DS | with the last of them; the others ended a part that another followed | |
| with a death in DM that DS does not have | on DTHDTC too | `death_by_reference` |
| with a fatal adverse event and no death in DS or DM | on its end (AEENDTC) too | `death_by_event` |
| with none of these | on RFPENDTC, else RFENDTC, kind not known | `followed_until_reference` |
| without that either | on the last day on which anything was measured, given or recorded, kind not known | `followed_until_last_contact` |
"""

from __future__ import annotations

from collections.abc import Mapping

from ml.sdtm.adverse import is_fatal
from ml.sdtm.context import DISPOSITION_CATEGORIES, disposition, end_by, ending, status_of
from ml.sdtm.dates import Moment, iso
from ml.sdtm.rows import Refused, Study, named
from ml.sdtm.xpt import Row

DIED = "died"


def dispositions(study: Study, rows: list[Row]) -> None:
    """All DS rows: of each subject the last disposition event is carried."""
    chosen: dict[str, tuple[tuple[int, int], str, Row]] = {}
    others: list[tuple[str, Row]] = []
    for name, row in named(study, "DS", rows):
        try:
            subject = study.subject(row)
            if str(row.get("DSCAT") or "").upper() not in DISPOSITION_CATEGORIES:
                raise Refused("not_a_disposition", str(row.get("DSDECOD") or ""))
            if not row.get("DSDECOD") and not row.get("DSTERM"):
                raise Refused("no_name")
            moment, _ = ending(study, row)
        except Refused as refused:
            study.refuse("DS", row, name, refused.rule, refused.what)
            continue
        rank = (int(status_of(study, row) == DIED), moment.last)
        before = chosen.get(subject.usubjid)
        if before is None or rank >= before[0]:
            chosen[subject.usubjid] = (rank, name, row)
            others += [(before[1], before[2])] if before else []
        else:
            others.append((name, row))
    for name, row in others:
        study.refuse("DS", row, name, "earlier_disposition", str(row.get("DSDECOD") or row.get("DSTERM") or ""))
    for _, name, row in chosen.values():
        disposition(study, row, name)


def ends_by_rule(study: Study, rows: Mapping[str, list[Row]]) -> None:
    """Add the ends that DS does not have. Called when all else has been read."""
    ended = {event.patient_id: event for event in study.events if event.value.get("kind") == "disposition"}
    died = {name for name, event in ended.items() if event.value.get("status") == DIED}
    carried = {name for event in study.events for name in event.rows}
    for row in rows.get("DM", ()):
        name = str(row.get("USUBJID") or "")
        moment = study.further("DM", row, "DTHDTC") if name in study.subjects and name not in died else None
        if moment is not None and f"DM:{name}" in carried:
            died.add(name)
            _end(study, name, moment, [f"DM:{name}"], "death_by_reference", "DM", status=DIED, term="DEATH (DTHDTC)")
    for name, row in named(Study(study.trial_id, study.limit), "AE", rows.get("AE", ())):
        subject = str(row.get("USUBJID") or "")
        if subject in died or name not in carried or not is_fatal(row):
            continue
        moment = study.further("AE", row, "AEENDTC")
        if moment is not None and moment.precision in ("day", "time"):
            died.add(subject)
            term = f"DEATH ({row.get('AEDECOD') or row.get('AETERM')})"
            _end(study, subject, moment, [name], "death_by_event", "AE", status=DIED, term=term)
    for name, person in study.subjects.items():
        if name in ended or name in died or person.collected is None:
            continue
        if person.part_ended is not None:
            _end(study, name, person.part_ended, [], "followed_until_reference", "DS", term="End of the subject's part")
        else:
            _end(
                study,
                name,
                study.last.get(name, person.collected),
                [],
                "followed_until_last_contact",
                "DS",
                term="Last contact",
            )


def _end(
    study: Study, name: str, moment: Moment, rows: list[str], note: str, domain: str, *, term: str, status: str = ""
) -> None:
    study.note(domain, note)
    known = min(moment.end_of_day, study.limit)
    start, precision = end_by(moment, known)
    study.add(
        "patient-context", study.subjects[name], max(known, start), rows, kind="disposition", status=status, term=term,
        timestamp=iso(start), date_precision=precision, record_id=f"DS:{name}:end",
    )  # fmt: skip
