"""A table with its mapping → events, refusals and the account of every value."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from ml.contracts import Refused as ContractRefused
from ml.contracts import validate
from ml.contracts.events import ID_PATTERN
from ml.contracts.signs import CONSCIOUSNESS
from ml.tabular import times
from ml.tabular.files import MOST_ROWS, NotATable, Source, open_table
from ml.tabular.mapping import LAB, MISSING, Mapping
from ml.tabular.rules import RULES
from ml.tabular.times import BadTime, Moment
from ml.tabular.units import sign_of, sign_unit

VITALS, LABS, ROWS = "VITALS", "LABS", "ROWS"
TOLD_EVERY = 5_000
FUTURE_SECONDS = 60
RECORD_LENGTH = 120
_ID = re.compile(ID_PATTERN)

Progress = Callable[[int, int], None]
"""Called with the rows read and 0 (how many there are is not known before)."""


@dataclass(frozen=True, slots=True)
class Event:
    """One message to be; `rows` names the values it carries, as DOMAIN:row:column."""

    topic: str
    patient_id: str
    known_at: int
    value: dict[str, Any]
    rows: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Refusal:
    """A value (or, where `count` > 1, all values of a row) that no event carries."""

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
class Account:
    """Values read = values carried + values refused; `events` made of them."""

    domain: str
    file: str
    sha256: str
    read: int
    carried: int
    refused: int
    events: int


@dataclass(frozen=True, slots=True)
class TablePackage:
    """A table as read, in the form of a study's package. `refused_records` are records that a refused value was of."""

    trial_id: str
    title: str
    events: tuple[Event, ...]
    refusals: tuple[Refusal, ...]
    accounts: tuple[Account, ...]
    study_treatments: tuple[str, ...]
    subjects: int
    sites: int
    last: int
    sha256: str
    refused_records: frozenset[str]


@dataclass(frozen=True, slots=True)
class Preview:
    """A row as it stands and what becomes of it, in sentences."""

    number: int
    cells: tuple[str, ...]
    becomes: tuple[str, ...]
    refused: tuple[str, ...]


class _Refused(Exception):
    def __init__(self, rule: str, what: str = "") -> None:
        super().__init__(rule)
        self.rule, self.what = rule, what


@dataclass(frozen=True, slots=True)
class _Cell:
    """One value of a row: which column, what it is of (a sign or a test), and what it says."""

    domain: str
    column: str
    to: str
    text: str
    unit: str
    range: str


@dataclass(slots=True)
class _Reading:
    """The table while it is read."""

    mapping: Mapping
    trial_id: str
    now: int | None
    known_patients: frozenset[str]
    events: list[Event] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    read: Counter[str] = field(default_factory=Counter)
    records: set[str] = field(default_factory=set)
    refused_records: set[str] = field(default_factory=set)
    first: dict[str, tuple[int, str]] = field(default_factory=dict)
    """Patient → the first time in the file, and the site there."""
    sites: set[str] = field(default_factory=set)

    def row(self, number: int, said: dict[str, str]) -> None:
        """One row: its cells are carried or refused one by one, or all of them where the row itself cannot be placed."""
        cells = list(_cells(self.mapping, said))
        if not cells:
            self.read[ROWS] += 1
            self._refuse(ROWS, f"{ROWS}:{number}", "no_value", "", {})
            return
        for cell in cells:
            self.read[cell.domain] += 1
        try:
            patient, site, moment, known = self._placed(said)
        except _Refused as refused:
            shown = {name: said[name] for name in self.mapping.columns if said.get(name)}
            for domain, count in Counter(cell.domain for cell in cells).items():
                self._refuse(domain, f"{domain}:{number}", refused.rule, refused.what, shown, count)
            return
        begun, _ = self.first.get(patient, (moment.at, site))
        if moment.at <= begun:
            self.first[patient] = (moment.at, site)
        self.sites.add(site)
        common: dict[str, Any] = {
            "patient_id": patient,
            "timestamp": _iso(moment.at),
            "trial_id": self.trial_id,
            **({"trial_site_id": site} if site else {}),
            "recorded_at": _iso(known),
            **({"date_precision": "day"} if moment.day_only else {}),
        }
        name = said.get(self.mapping.row_id, "") if self.mapping.row_id else _iso(moment.at)
        self._vitals(number, [cell for cell in cells if cell.domain == VITALS], common, name, known)
        for cell in cells:
            if cell.domain == LABS:
                self._lab(number, cell, common, name, known)

    def _placed(self, said: dict[str, str]) -> tuple[str, str, Moment, int]:
        mapping = self.mapping
        patient = said.get(mapping.patient, "")
        if not patient:
            raise _Refused("no_patient")
        if len(patient) > 64 or not _ID.match(patient):
            raise _Refused("bad_patient", patient[:80])
        if mapping.trial and said.get(mapping.trial) not in ("", self.trial_id):
            raise _Refused("other_trial", str(said.get(mapping.trial))[:80])
        site = said.get(mapping.site, "") or mapping.site_value
        if site and (len(site) > 64 or not _ID.match(site)):
            raise _Refused("bad_site", site[:80])
        text = said.get(mapping.time, "")
        if mapping.time_of_day and (clock := said.get(mapping.time_of_day, "")):
            text = f"{text} {clock}".strip() if text else ""
        if not text:
            raise _Refused("no_time")
        where = said.get(mapping.zone_column, "") or mapping.zone
        try:
            moment = times.moment(text, mapping.time_format, where)
            recorded = said.get(mapping.recorded, "")
            known = times.moment(recorded, mapping.time_format, where).known if recorded else moment.known
        except BadTime as error:
            raise _Refused(error.rule, error.what) from error
        if not recorded_given(mapping, said):
            known += round(mapping.known_after_hours * 3600)
        if self.now is not None and moment.at > self.now + FUTURE_SECONDS:
            raise _Refused("future", text[:60])
        return patient, site, moment, max(known, moment.at)

    def _vitals(self, number: int, cells: list[_Cell], common: dict[str, Any], name: str, known: int) -> None:
        signs: dict[str, Any] = {}
        rows: list[str] = []
        parts = "-".join(sorted(cell.to for cell in cells)) if self.mapping.layout == "long" else "vitals"
        record = self._record(common["patient_id"], name, parts)
        for cell in cells:
            row = f"{VITALS}:{number}:{cell.column}"[:RECORD_LENGTH]
            try:
                signs |= _sign(cell, self.mapping.decimal)
                rows.append(row)
            except _Refused as refused:
                self.refused_records.add(record)
                self._refuse(VITALS, row, refused.rule, refused.what, {cell.column: cell.text})
        if rows:
            self._add("patient-vitals", record, {**common, **signs, "source": self.mapping.source}, rows, known)

    def _lab(self, number: int, cell: _Cell, common: dict[str, Any], name: str, known: int) -> None:
        row = f"{LABS}:{number}:{cell.column}"[:RECORD_LENGTH]
        if not cell.to:
            self._refuse(LABS, row, "no_test", "", {cell.column: cell.text})
            return
        number_said = _number(cell.text, self.mapping.decimal)
        record = self._record(common["patient_id"], name, cell.to)
        value = {
            **common, "test_name": cell.to, "value": number_said, "unit": cell.unit or None, "reference_range": cell.range or None,
            "lab_id": self.mapping.source, **({"value_text": cell.text[:200]} if number_said is None else {}),
        }  # fmt: skip
        self._add("lab-results", record, value, [row], known)

    def _add(self, topic: str, record: str, value: dict[str, Any], rows: list[str], known: int) -> None:
        said = {**value, "record_id": record, "source_rows": rows}
        rule, what = "", ""
        if record in self.records:
            rule = "twice"
        else:
            verdict = validate(topic, orjson.dumps(said))
            if isinstance(verdict, ContractRefused):
                rule, what = "breaks_contract", verdict.reasons[0].message[:200]
        if rule:
            for row in rows:
                self._refuse(row.partition(":")[0], row, rule, what, {})
            return
        self.records.add(record)
        self.events.append(Event(topic, value["patient_id"], known, said, tuple(rows)))

    def _record(self, patient: str, name: str, part: str) -> str:
        """The record's identity: source, patient, time (or the row's own number) and what was measured."""
        said = f"{self.mapping.source}:{patient}:{name}:{part}"
        if len(said) <= RECORD_LENGTH:
            return said
        return f"{said[: RECORD_LENGTH - 33]}:{hashlib.sha256(said.encode()).hexdigest()[:32]}"

    def _refuse(self, domain: str, row: str, rule: str, what: str, values: dict[str, Any], count: int = 1) -> None:
        self.refusals.append(Refusal(domain, row, rule, what, values, count))

    def enrolments(self) -> list[Event]:
        """Patients whom the trial does not know are enrolled on the day of their first row that was carried."""
        carried = {event.patient_id for event in self.events}
        made = []
        for patient, (at, site) in sorted(self.first.items()):
            if patient in self.known_patients or patient not in carried:
                continue
            day = at // times.DAY * times.DAY
            value = {
                "patient_id": patient, "kind": "enrolment", "timestamp": _iso(day), "trial_id": self.trial_id,
                **({"trial_site_id": site} if site else {}), "recorded_at": _iso(day), "date_precision": "day",
                "record_id": self._record(patient, "enrolment", "first-row"), "source_rows": [],
            }  # fmt: skip
            made.append(Event("patient-context", patient, day, value, ()))
        return made


def recorded_given(mapping: Mapping, said: dict[str, str]) -> bool:
    """Whether the row itself says when it was recorded."""
    return bool(mapping.recorded and said.get(mapping.recorded))


def read_table(
    path: Path,
    mapping: Mapping,
    *,
    trial_id: str,
    known_patients: frozenset[str] = frozenset(),
    now: int | None = None,
    progress: Progress | None = None,
) -> TablePackage:
    """Read a whole table. NotATable where the file or the mapping does not do; what is wrong in a row is refused, not raised.

    `known_patients` need no enrolment. `now` (seconds): a time after it is refused.
    """
    source = open_table(path)
    _fits(source, mapping, trial_id)
    reading = _Reading(mapping, trial_id, now, known_patients)
    for number, cells in source.rows():
        if number > MOST_ROWS:
            raise NotATable(f"The table has more than {MOST_ROWS:,} rows.", "Split it into several files.")
        _one(reading, source, number, cells)
        if progress and number % TOLD_EVERY == 0:
            progress(number, 0)
    events = sorted(
        [*reading.enrolments(), *reading.events], key=lambda event: (event.known_at, event.topic != "patient-context")
    )
    return TablePackage(
        trial_id=trial_id,
        title=trial_id,
        events=tuple(events),
        refusals=tuple(reading.refusals),
        accounts=tuple(_accounts(reading, source)),
        study_treatments=(),
        subjects=len({event.patient_id for event in reading.events}),
        sites=len(reading.sites - {""}),
        last=max((event.known_at for event in events), default=0),
        sha256=hashlib.sha256(
            source.sha256.encode() + orjson.dumps(mapping.to_json(), option=orjson.OPT_SORT_KEYS)
        ).hexdigest(),
        refused_records=frozenset(reading.refused_records),
    )


def preview(path: Path, mapping: Mapping, *, trial_id: str, rows: int = 5, now: int | None = None) -> list[Preview]:
    """What becomes of the first rows. NotATable as `read_table`."""
    source = open_table(path)
    _fits(source, mapping, trial_id)
    shown: list[Preview] = []
    for number, cells in source.rows():
        if len(shown) == rows:
            break
        reading = _Reading(mapping, trial_id, now, frozenset())
        _one(reading, source, number, cells)
        becomes = tuple(_sentence(event) for event in reading.events)
        refused = tuple(refusal.message for refusal in reading.refusals)
        shown.append(Preview(number, tuple(cells or ()), becomes, refused))
    return shown


def _one(reading: _Reading, source: Source, number: int, cells: list[str] | None) -> None:
    if cells is None:
        reading.read[ROWS] += 1
        reading.refusals.append(Refusal(ROWS, f"{ROWS}:{number}", "ragged", "", {}))
        return
    reading.row(number, dict(zip(source.columns, cells, strict=True)))


def _fits(source: Source, mapping: Mapping, trial_id: str) -> None:
    if not trial_id:
        raise NotATable("A table does not say which trial it is of.", "Name the trial.")
    if missing := [name for name in mapping.columns if name not in source.columns]:
        raise NotATable(
            f"The file has no column {missing[0][:60]!r}.", f"Choose among {', '.join(source.columns[:20])}."
        )


def _cells(mapping: Mapping, said: dict[str, str]) -> Iterator[_Cell]:
    """The values of a row: cells that hold something."""
    if mapping.layout == "wide":
        for one in mapping.values:
            text = said.get(one.column, "")
            if text.lower() not in MISSING:
                lab = one.to.startswith(LAB)
                yield _Cell(LABS if lab else VITALS, one.column, one.to.removeprefix(LAB), text, one.unit, one.range)
        return
    text = said.get(mapping.value, "")
    if text.lower() in MISSING:
        return
    test = said.get(mapping.test, "")
    to = dict(mapping.tests).get(test) or sign_of(test) or test
    sign = to if sign_unit(to, "") else ""
    unit = said.get(mapping.unit, "") or mapping.unit_value
    low, high = said.get(mapping.low, ""), said.get(mapping.high, "")
    between = f"{low}-{high}" if low and high else f">={low}" if low else f"<={high}" if high else ""
    yield _Cell(VITALS if sign else LABS, mapping.value, to.removeprefix(LAB)[:80], text, unit[:40], between[:60])


def _sign(cell: _Cell, decimal: str) -> dict[str, Any]:
    if cell.to == "consciousness":
        level = cell.text.upper()[:1]
        if level not in CONSCIOUSNESS:
            raise _Refused("not_a_level", cell.text[:40])
        return {cell.to: level}
    unit = sign_unit(cell.to, cell.unit)
    if unit is None:
        raise _Refused("unknown_unit", f"{cell.to} in {cell.unit[:40]}")
    number = _number(cell.text, decimal)
    if number is None:
        raise _Refused("not_a_number", cell.text[:40])
    said: dict[str, Any] = {cell.to: round(unit.convert(number), 4)}
    return said | ({f"{cell.to}_unit": unit.wire} if unit.wire else {})


def _number(text: str, decimal: str) -> float | None:
    try:
        number = float(text.replace(",", ".") if decimal == "," else text)
    except ValueError:
        return None
    return number if number == number and abs(number) < 1e9 and "_" not in text else None


def _accounts(reading: _Reading, source: Source) -> Iterator[Account]:
    refused: Counter[str] = Counter()
    for refusal in reading.refusals:
        refused[refusal.domain] += refusal.count
    carried: Counter[str] = Counter()
    events: Counter[str] = Counter()
    for event in reading.events:
        domain = event.rows[0].partition(":")[0]
        events[domain] += 1
        carried[domain] += len(event.rows)
    for domain in sorted(reading.read):
        yield Account(domain, "", source.sha256, reading.read[domain], carried[domain], refused[domain], events[domain])


def _sentence(event: Event) -> str:
    value = event.value
    if event.topic == "lab-results":
        said = value.get("value_text") or f"{value['value']:g} {value['unit'] or ''}".strip()
        what = f"{value['test_name']} {said}"
    else:
        plain = {
            "patient_id",
            "timestamp",
            "trial_id",
            "trial_site_id",
            "recorded_at",
            "date_precision",
            "record_id",
            "source_rows",
            "source",
        }
        what = ", ".join(
            f"{name.replace('_', ' ')} {item}"
            for name, item in value.items()
            if name not in plain and not name.endswith("_unit")
        )
    day = " (the day alone)" if value.get("date_precision") == "day" else ""
    return f"{value['patient_id']} at {value['timestamp']}{day}: {what}"


def _iso(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
