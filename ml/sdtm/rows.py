"""What the domains' modules share: a study as read, its subjects and dates, events as made, rows as refused.

How a row is dated:

| a row of | its own date | else | else | else |
|---|---|---|---|---|
| VS, LB | --DTC | --DY | its visit, precision `unknown` | refused |
| AE | AESTDTC | AESTDY | the day it was recorded, `unknown`, where AESTDTC is empty | refused |
| CM, MH | --STDTC, any precision | --STDY (CM) | the day it was recorded, `unknown` | refused |
| EX | EXSTDTC | EXSTDY | its visit, then RFSTDTC | refused |
| DS | DSSTDTC, DSDTC | DSSTDY, DSDY | its visit, then RFPENDTC, RFENDTC | refused |
| DM | DMDTC | RFICDTC | RFSTDTC or the first day on which anything was measured, given or recorded | refused |

A visit is dated by SV, else by what else was measured at it. Of a date without its day (but for AE, CM and MH, where
`ml.sdtm.dates` says what it means) a day that lies within it is taken: of the visit, the first dose, the end of the
subject's part or the last contact; without any, a start is taken for early and an end for late.

A date that cannot be one (`NotADate`; in the future; more than `SPAN_YEARS` from the study's others) counts as none, and
is named in the refusal where nothing else dates the row. It is recorded on --DTC, else on its visit, else at the later of
the subject's own collection and the last day that its start may mean.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from ml.contracts.events import EVENTS
from ml.sdtm.dates import DAY, Moment, NotADate, Precision, end_of, iso, read, start_of, study_day
from ml.sdtm.define import Define
from ml.sdtm.rules import NOTES, RULES
from ml.sdtm.xpt import Row

ROWS_OF_WHOLE_DOMAIN = "*"
SPAN_YEARS = 10
SHOWN = 3
"""How many rows a note names."""
FREE = frozenset({"AESTDTC", "AEENDTC", "CMSTDTC", "CMENDTC", "MHSTDTC", "MHENDTC", "MHDTC"})
"""Columns whose dates may lie far before the study."""


@dataclass(frozen=True, slots=True)
class Event:
    """One message to be: `known_at` seconds since 1970 UTC, `rows` the source rows it carries, as DOMAIN:USUBJID:SEQ.

    An event that a rule made of dates alone (an enrolment where there is no DM) carries no row.
    """

    topic: str
    patient_id: str
    known_at: int
    value: dict[str, Any]
    rows: tuple[str, ...]

    @property
    def domain(self) -> str:
        """The domain it was made of; of an event by rule the one whose rows it stands for."""
        return (self.rows[0] if self.rows else str(self.value["record_id"])).partition(":")[0]


@dataclass(frozen=True, slots=True)
class Refusal:
    """A row (or, where `count` > 1, all rows of a domain) that no event carries. `values` shows what it says.

    `count` is 0 where a file could not be read: nobody knows how many rows it has.
    """

    domain: str
    row: str
    rule: str
    what: str
    values: dict[str, Any]
    count: int = 1

    @property
    def why(self) -> str:
        return RULES[self.rule].why

    @property
    def cure(self) -> str:
        """What would let the row in."""
        return RULES[self.rule].cure

    @property
    def message(self) -> str:
        """A sentence for a person."""
        said = f" ({self.what})" if self.what else ""
        return f"{self.row} {self.why}{said} {self.cure}"


@dataclass(frozen=True, slots=True)
class Note:
    """What was imported otherwise than it stands, or is not there: a rule of `NOTES`, what it concerns, how many rows, and
    the names of the first `SHOWN` of them, where they have names."""

    domain: str
    rule: str
    what: str
    count: int
    rows: tuple[str, ...] = ()

    @property
    def why(self) -> str:
        return NOTES[self.rule].why

    @property
    def cure(self) -> str:
        """What would mend it."""
        return NOTES[self.rule].cure

    @property
    def message(self) -> str:
        """A sentence for a person."""
        said = f" ({self.what})" if self.what else ""
        return f"{self.domain} {self.why}{said} {self.cure}"


@dataclass(frozen=True, slots=True)
class Subject:
    """What the other domains need of a subject. `usubjid` is respelled where a message could not hold it."""

    usubjid: str
    site: str
    collected: Moment | None
    first_dose: Moment | None
    part_ended: Moment | None = None


class Refused(Exception):
    """A row falls under a rule; caught where the row was taken up."""

    def __init__(self, rule: str, what: str = "") -> None:
        super().__init__(rule)
        self.rule = rule
        self.what = what


@dataclass(slots=True)
class Study:
    """The study while it is read. `limit`: no date lies later (seconds). `span`: where its dates may lie, once known."""

    trial_id: str
    limit: int
    define: Define = field(default_factory=Define)
    span: tuple[int, int] | None = None
    subjects: dict[str, Subject] = field(default_factory=dict)
    visits: dict[tuple[str, str], Moment] = field(default_factory=dict)
    """(USUBJID, visit) → from its beginning to its end."""
    last: dict[str, Moment] = field(default_factory=dict)
    """USUBJID → last contact."""
    joined: dict[str, dict[str, Row]] = field(default_factory=dict)
    """Row → rows of SUPP-- whose values it has taken up, by name."""
    qualifiers: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    """Row of DS → (label, value) of SUPPDS as collected."""
    events: list[Event] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    noted: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    shown: dict[tuple[str, str, str], list[str]] = field(default_factory=dict)
    """Note → the first rows it is of."""
    at: str = ""
    """The row that is being read, "" between rows."""

    def note(self, domain: str, rule: str, what: str = "", count: int = 1) -> None:
        """Count a note, of the row that is being read."""
        if rule not in NOTES:
            raise KeyError(rule)
        self.noted[domain, rule, what] += count
        if self.at.startswith(f"{domain}:"):
            first = self.shown.setdefault((domain, rule, what), [])
            if len(first) < SHOWN and self.at not in first:
                first.append(self.at)

    def notes(self) -> tuple[Note, ...]:
        """What was noted, by domain and rule."""
        return tuple(Note(*key, count, tuple(self.shown.get(key, ()))) for key, count in sorted(self.noted.items()))

    def subject(self, row: Row) -> Subject:
        """The row's subject. Refused where it has none, or DM does not have it."""
        name = str(row.get("USUBJID") or "")
        if not name:
            raise Refused("no_subject")
        if name not in self.subjects:
            raise Refused("unknown_subject", name)
        return self.subjects[name]

    def read(self, row: Row, column: str, domain: str = "") -> Moment | None:
        """The date of a column; None where it is empty or absent. NotADate where it cannot be one."""
        text = str(row.get(column) or "")
        if not text:
            return None
        moment, reading = read(text)
        if moment is None:
            if domain:
                self.note(domain, "date_said_unknown", f"{column} {text}")
            return None
        if moment.first > self.limit:
            raise NotADate(f"{text!r} lies in the future.")
        if self.span and column not in FREE and not self.span[0] <= moment.first <= self.span[1]:
            raise NotADate(f"{text!r} lies more than {SPAN_YEARS} years from the study's other dates.")
        if reading and domain:
            self.note(domain, "date_respelled", f"{column}, as {text}")
        return moment

    def own(self, domain: str, row: Row, *columns: tuple[str, str]) -> tuple[Moment | None, str]:
        """(date of the first of `columns` (--DTC, --DY) that has one, what is wrong with one that cannot be read)."""
        wrong = ""
        for column, day in columns:
            try:
                if moment := self.read(row, column, domain):
                    return moment, ""
            except NotADate as error:
                wrong = wrong or f"{column}: {error}"
            found = self._by_day(domain, row, day)
            if found is not None:
                return found, ""
        return None, wrong

    def _by_day(self, domain: str, row: Row, column: str) -> Moment | None:
        number, subject = row.get(column), self.subjects.get(str(row.get("USUBJID") or ""))
        reference = subject.first_dose if subject else None
        if not isinstance(number, float) or reference is None or reference.precision not in ("day", "time"):
            return None
        try:
            moment = study_day(number, reference)
        except NotADate:
            return None
        if moment.first > self.limit:
            return None
        self.note(domain, "dated_by_study_day", column)
        return moment

    def further(self, domain: str, row: Row, column: str) -> Moment | None:
        """A date that the row can do without; one that cannot be read is left out, and noted."""
        try:
            return self.read(row, column, domain)
        except NotADate as error:
            self.note(domain, "date_left_out", f"{column}: {error}")
            return None

    def stop(self, domain: str, end: Moment | None, known: int, start: int) -> int | None:
        """When a row of that start ended; never before it began."""
        if end is None:
            return None
        if end.last < start // DAY * DAY:
            self.note(domain, "ends_before_it_begins")
        return max(end_of(end, known), start)

    def narrow(self, domain: str, moment: Moment, *others: Moment | None) -> Moment:
        """A date without its day as the day of the first of `others` that lies within it, its precision still its own;
        itself where none does."""
        if moment.precision not in ("month", "year"):
            return moment
        for other in others:
            if other is not None and other.last - other.first < DAY and moment.first <= other.first <= moment.last:
                self.note(domain, "narrowed")
                day = other.first // DAY * DAY
                return Moment(day, day + DAY - 1, moment.precision)
        return moment

    def visit(self, row: Row) -> Moment | None:
        """When the row's visit was."""
        key = visit_of(row)
        return self.visits.get((str(row.get("USUBJID")), key)) if key else None

    def measured(self, domain: str, row: Row) -> tuple[int, int, Precision]:
        """(event time, known time, precision) of a measurement. Refused where nothing dates it."""
        moment, wrong = self.own(domain, row, (f"{domain}DTC", f"{domain}DY"))
        if moment is None:
            visit = self.visit(row)
            if visit is None:
                raise Refused("not_a_date" if wrong else "no_date", wrong)
            self.note(domain, "dated_by_visit")
            known = visit.end_of_day
            start, precision = start_of(None, known)
            return start, known, precision
        moment = self.narrow(domain, moment, self.visit(row))
        known = min(moment.end_of_day, self.limit)
        start, precision = start_of(moment, known)
        return start, known, precision

    def recorded(self, domain: str, row: Row, column: str, start: Moment | None) -> int:
        """When the row was recorded, by the table above. Refused where nothing says."""
        found = self.further(domain, row, column) or self.visit(row)
        if found is not None:
            return min(found.end_of_day, self.limit)
        collected = self.subject(row).collected
        ends = [moment.end_of_day for moment in (collected, start) if moment is not None]
        if not ends:
            raise Refused("no_date")
        return min(max(ends), self.limit)

    def add(self, topic: str, subject: Subject, known_at: int, rows: Iterable[str], **fields: Any) -> None:
        """Add an event of a subject; fields that are None or "" are left out unless the contract wants them."""
        names = tuple(name for row in rows for name in (row, *self.joined.get(row, ())))
        domain = names[0].partition(":")[0] if names else "DM"
        value = {
            "patient_id": subject.usubjid,
            **{
                name: self._held(topic, domain, name, item)
                for name, item in fields.items()
                if item not in (None, "") or name in NULLABLE[topic]
            },
            "trial_id": self.trial_id,
            "trial_site_id": subject.site,
            "recorded_at": iso(known_at),
            "source_rows": list(names),
        }
        value = {name: item for name, item in value.items() if item is not None or name in NULLABLE[topic]}
        self.events.append(Event(topic, subject.usubjid, known_at, value, names))

    def _held(self, topic: str, domain: str, name: str, item: Any) -> Any:
        """What the contract's column can hold of a value: a text that is too long is cut, an optional number that is
        out of bounds left out."""
        column = EVENTS[topic].column(name)
        if column.kind == "text" and isinstance(item, str) and len(item) > column.max_length and not column.choices:
            self.note(domain, "cut", name)
            return item[: column.max_length]
        if column.kind == "number" and not column.required and isinstance(item, float | int):
            low, high = column.minimum, column.maximum
            if (low is not None and item < low) or (high is not None and item > high):
                self.note(domain, "left_out", f"{name} {item:g}")
                return None
        return item

    def refuse(self, domain: str, row: Row, name: str, rule: str, what: str = "") -> None:
        """Write a refusal down."""
        said = {key: item for key, item in row.items() if item not in ("", None)}
        self.refusals.append(Refusal(domain, name, rule, what, said))

    def refuse_all(self, domain: str, rule: str, count: int, what: str = "") -> None:
        """Refuse rows of a domain together."""
        self.refusals.append(Refusal(domain, f"{domain}:{ROWS_OF_WHOLE_DOMAIN}", rule, what, {"rows": count}, count))


NULLABLE: dict[str, frozenset[str]] = {
    "patient-vitals": frozenset(),
    "lab-results": frozenset({"value", "unit", "reference_range"}),
    "medications": frozenset({"dosage", "unit", "route", "frequency"}),
    "adverse-events": frozenset(),
    "patient-context": frozenset(),
}
"""Columns that a message must have though they are null."""


def sequence(row: Row, column: str) -> str:
    """A --SEQ or VISITNUM as text: 3, 6.1; a text as it stands."""
    value = row.get(column)
    if value in (None, ""):
        return ""
    try:
        return f"{float(value):.12g}"
    except (TypeError, ValueError):
        return str(value)


def visit_of(row: Row) -> str:
    """The visit that a row names: its number, else its name; "" where it names none."""
    return sequence(row, "VISITNUM") or str(row.get("VISIT") or "").upper()


def occurred(row: Row, domain: str) -> bool:
    """Whether a row of an intervention or event says that it took place (--OCCUR, --STAT)."""
    said = str(row.get(f"{domain}OCCUR") or "").upper(), str(row.get(f"{domain}STAT") or "").upper()
    return said[0] not in ("N", "NO") and said[1] != "NOT DONE"


def named(study: Study, domain: str, rows: Iterable[Row]) -> Iterable[tuple[str, Row]]:
    """(name, row) of each row of a domain: DOMAIN:USUBJID:SEQ. A row that repeats another to the letter is refused; one
    that only shares its number, or has none, is told apart by its order."""
    seen: dict[str, int] = {}
    bodies: dict[str, set[tuple[tuple[str, Any], ...]]] = {}
    for row in rows:
        number = sequence(row, f"{domain}SEQ")[:20]
        subject = str(row.get("USUBJID") or "?")
        name = f"{domain}:{subject}" + (f":{number}" if number else "")
        before, body = bodies.setdefault(name, set()), tuple(row.items())
        if body in before:
            study.refuse(domain, row, name, "twice")
            continue
        before.add(body)
        seen[name] = place = seen.get(name, 0) + 1
        study.at = name
        if domain != "DM" and (place > 1 or not number):
            study.at = name = f"{name}#{place}" if number else f"{name}:#{place}"
            study.note(domain, "renumbered", "" if number else f"{domain}SEQ is missing")
        yield name, row
    study.at = ""
