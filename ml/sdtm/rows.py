"""What the domains' modules share: a study as read, events as made, rows as refused."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from ml.sdtm.dates import Moment, NotADate, iso, parse
from ml.sdtm.rules import RULES
from ml.sdtm.xpt import Row

ROWS_OF_WHOLE_DOMAIN = "*"


@dataclass(frozen=True, slots=True)
class Event:
    """One message to be: `known_at` seconds since 1970 UTC, `rows` the source rows it carries, as DOMAIN:USUBJID:SEQ."""

    topic: str
    patient_id: str
    known_at: int
    value: dict[str, Any]
    rows: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Refusal:
    """A row (or, where `count` > 1, all rows of a domain) that no event carries. `values` shows what it says."""

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
        return RULES[self.rule].cure

    @property
    def message(self) -> str:
        """A sentence for a person."""
        said = f" ({self.what})" if self.what else ""
        return f"{self.row} {self.why}{said} {self.cure}"


@dataclass(frozen=True, slots=True)
class Subject:
    """What the other domains need of a subject."""

    usubjid: str
    site: str
    collected: Moment | None
    first_dose: Moment | None


class Refused(Exception):
    """A row falls under a rule; caught by `carry`."""

    def __init__(self, rule: str, what: str = "") -> None:
        super().__init__(rule)
        self.rule = rule
        self.what = what


@dataclass(slots=True)
class Study:
    """The study while it is read. `visits`: (USUBJID, VISITNUM) → start of the visit, from SV."""

    trial_id: str
    subjects: dict[str, Subject] = field(default_factory=dict)
    visits: dict[tuple[str, float], Moment] = field(default_factory=dict)
    qualifiers: dict[tuple[str, str, str], list[tuple[str, str, str]]] = field(default_factory=dict)
    """(domain, USUBJID, --SEQ) → (QNAM, QVAL, the row's name), from SUPP-- as collected."""
    events: list[Event] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)

    def subject(self, row: Row) -> Subject:
        """The row's subject. Refused where DM has none."""
        name = str(row.get("USUBJID") or "")
        if not name:
            raise Refused("no_subject")
        if name not in self.subjects:
            raise Refused("unknown_subject", name)
        return self.subjects[name]

    def recorded(self, row: Row, *columns: str) -> int:
        """When the row was recorded: the end of the day of the first of `columns` that is filled, else of its visit, else
        of the subject's own collection date. Refused where there is none of these."""
        for column in columns:
            if moment := date(row, column):
                return moment.end_of_day
        visit = row.get("VISITNUM")
        if visit is not None and (found := self.visits.get((row["USUBJID"], visit))):
            return found.end_of_day
        collected = self.subjects[row["USUBJID"]].collected
        if collected is None:
            raise Refused("no_date")
        return collected.end_of_day

    def add(self, topic: str, subject: Subject, known_at: int, rows: Iterable[str], **fields: Any) -> None:
        """Add an event of a subject; fields that are None or "" are left out unless the contract wants them."""
        names = tuple(rows)
        value = {
            "patient_id": subject.usubjid,
            **{name: item for name, item in fields.items() if item not in (None, "") or name in NULLABLE[topic]},
            "trial_id": self.trial_id,
            "trial_site_id": subject.site,
            "recorded_at": iso(known_at),
            "source_rows": list(names),
        }
        self.events.append(Event(topic, subject.usubjid, known_at, value, names))

    def refuse(self, domain: str, row: Row, name: str, rule: str, what: str = "") -> None:
        """Write a refusal down."""
        said = {key: item for key, item in row.items() if item not in ("", None)}
        self.refusals.append(Refusal(domain, name, rule, what, said))


NULLABLE: dict[str, frozenset[str]] = {
    "patient-vitals": frozenset(),
    "lab-results": frozenset({"value", "unit", "reference_range"}),
    "medications": frozenset({"dosage", "unit", "route", "frequency"}),
    "adverse-events": frozenset(),
    "patient-context": frozenset(),
}
"""Columns that a message must have though they are null."""


def date(row: Row, column: str) -> Moment | None:
    """The date of a column; None where it is empty or absent. Refused where it is no date."""
    try:
        return parse(str(row.get(column) or ""))
    except NotADate as error:
        raise Refused("not_a_date", f"{column}: {error}") from error


def sequence(row: Row, column: str) -> str:
    """A --SEQ or VISITNUM as text: 3, 6.1."""
    number = row.get(column)
    return "" if number is None else f"{number:g}"


def name_of(domain: str, row: Row) -> str:
    """DOMAIN:USUBJID:SEQ, the name a row goes by."""
    parts = (domain, str(row.get("USUBJID") or "?"), sequence(row, f"{domain}SEQ"))
    return ":".join(part for part in parts if part)


def carry(study: Study, domain: str, rows: Iterable[Row], make: Callable[[Study, Row, str], None]) -> None:
    """Let `make` turn each row into events; a row that falls under a rule is refused by it. A key seen twice is refused."""
    seen: set[str] = set()
    for row in rows:
        name = name_of(domain, row)
        if name in seen:
            study.refuse(domain, row, name, "twice")
            continue
        seen.add(name)
        try:
            make(study, row, name)
        except Refused as refused:
            study.refuse(domain, row, name, refused.rule, refused.what)
