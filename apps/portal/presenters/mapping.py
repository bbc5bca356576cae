"""The form in which a person says what the columns of a table mean: drawn from a mapping's JSON, and read back into it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from ml.contracts.signs import SIGNS
from ml.tabular import LAYOUTS, TIME_FORMATS, Preview, Source
from ml.tabular.mapping import LAB
from ml.tabular.units import units_of

SAMPLES = 3
LONGEST = 200


@dataclass(frozen=True, slots=True)
class Field:
    """One entry of a mapping. ``options`` empty = a text is typed in."""

    name: str
    label: str
    help: str
    value: str
    options: list[tuple[str, str]]
    required: bool = False


@dataclass(frozen=True, slots=True)
class ColumnRow:
    """A column of a wide table, and what it is taken for."""

    number: int
    column: str
    samples: str
    to: str
    test: str
    unit: str
    range: str


@dataclass(frozen=True, slots=True)
class Form:
    """The whole form, in its groups."""

    basics: list[Field]
    times: list[Field]
    rest: list[Field]
    long: list[Field]
    tests: str
    columns: list[ColumnRow]
    signs: list[tuple[str, str]]
    units: list[tuple[str, str]]
    layout: str
    layouts: list[tuple[str, str]]
    replaces: bool


#: name, label, help; a choice among the file's columns
BASICS = (("patient", "Patient", "The column with the patient's identifier.", True),)
TIMES = (
    ("time", "Time", "Date, or date and time, of the measurement.", True),
    ("time_of_day", "Time of day", "Where date and time are in two columns.", False),
    ("zone_column", "Zone in a column", "Where each row names its own time zone.", False),
    ("recorded", "Recorded", "When the value became known. Without it, it counts as known when measured.", False),
)
REST = (
    ("site", "Site", "The column with the site.", False),
    ("trial", "Trial", "Where the file mixes trials: rows of others are refused.", False),
    ("row_id", "Row number", "A column that names each row for good. Without it, patient and time do.", False),
)
LONG = (
    ("test", "Test", "The column that names what was measured.", True),
    ("value", "Value", "The column with the result.", True),
    ("unit", "Unit", "The column with its unit.", False),
    ("low", "Range from", "The laboratory's lower limit.", False),
    ("high", "Range to", "The laboratory's upper limit.", False),
)
PLAIN = (
    "source", "patient", "time", "layout", "time_format", "zone", "zone_column", "time_of_day", "recorded", "trial", "site", "site_value",
    "row_id", "decimal", "test", "value", "unit", "unit_value", "low", "high",
)  # fmt: skip


def form(source: Source, body: Mapping[str, Any]) -> Form:
    """The form for this file, filled with a mapping."""
    rows = [cells for _, cells in islice(source.rows(), SAMPLES) if cells]
    columns = [("", "none"), *((name, name) for name in source.columns)]

    def choice(entry: tuple[str, str, str, bool]) -> Field:
        name, label, words, required = entry
        return Field(name, label, words, str(body.get(name) or ""), columns, required)

    def typed(name: str, label: str, words: str, options: Sequence[tuple[str, str]] = (), default: str = "") -> Field:
        return Field(
            name, label, words, str(body.get(name) or default), list(options), not options and name == "source"
        )

    by_column = {str(one.get("column")): one for one in body.get("values") or () if isinstance(one, Mapping)}
    return Form(
        basics=[
            typed(
                "source",
                "Source",
                "The device or laboratory. A file that comes again under this name corrects what it sent before.",
            ),
            *map(choice, BASICS),
        ],
        times=[
            *map(choice, TIMES[:2]),
            typed(
                "time_format", "Form of times", "As the file writes them.", [("", "choose …"), *TIME_FORMATS.items()]
            ),
            typed("zone", "Time zone", "For times that name no offset, such as Europe/Madrid or UTC.", default="UTC"),
            *map(choice, TIMES[2:]),
            typed(
                "known_after_hours", "Known after (hours)", "How long after its time a value was known.", default="0"
            ),
        ],
        rest=[
            *map(choice, REST),
            typed("site_value", "One site", "Where the whole file is of one site."),
            typed(
                "decimal",
                "Decimal sign",
                "As the file writes numbers.",
                [(".", "point: 37.2"), (",", "comma: 37,2")],
                ".",
            ),
        ],
        long=[
            *map(choice, LONG),
            typed("unit_value", "One unit", "Where the whole file is in one unit."),
        ],
        tests="\n".join(f"{name} = {to}" for name, to in dict(body.get("tests") or {}).items()),
        columns=[
            _column(number, name, [cells[number] for cells in rows], by_column.get(name, {}))
            for number, name in enumerate(source.columns)
        ],
        signs=[("", "not imported"), ("lab", "laboratory test"), *((sign.name, sign.label) for sign in SIGNS)],
        units=[(sign.name, ", ".join(units_of(sign.name))) for sign in SIGNS],
        layout=str(body.get("layout") or "wide"),
        layouts=list(LAYOUTS.items()),
        replaces=bool(body.get("replaces")),
    )


def _column(number: int, name: str, samples: list[str], said: Mapping[str, Any]) -> ColumnRow:
    to = str(said.get("to") or "")
    lab = to.startswith(LAB)
    return ColumnRow(
        number=number,
        column=name,
        samples=", ".join(text[:30] for text in samples if text) or "empty",
        to="lab" if lab else to,
        test=to.removeprefix(LAB) if lab else "",
        unit=str(said.get("unit") or ""),
        range=str(said.get("range") or ""),
    )


def read(posted: Mapping[str, str]) -> dict[str, Any]:
    """The mapping's JSON that the form says."""
    body: dict[str, Any] = {name: posted.get(name, "").strip()[:LONGEST] for name in PLAIN if name in posted}
    try:
        body["known_after_hours"] = float(posted.get("known_after_hours") or 0)
    except ValueError:
        body["known_after_hours"] = -1.0  # refused by the mapping's own rule, in words
    body["replaces"] = posted.get("replaces") == "yes"
    body["tests"] = {
        name.strip()[:80]: to.strip()[:80]
        for name, equals, to in (line.partition("=") for line in posted.get("tests", "").splitlines()[:200])
        if equals and name.strip() and to.strip()
    }
    if body.get("layout") == "long":
        return body
    for name in ("test", "value", "unit", "unit_value", "low", "high"):
        body.pop(name, None)
    body["values"] = []
    number = 0
    while (column := posted.get(f"column_{number}")) is not None:
        to, column = posted.get(f"to_{number}", ""), column[:LONGEST]
        if to:
            test = posted.get(f"test_{number}", "").strip()[:80] or column
            body["values"].append(
                {
                    "column": column,
                    "to": f"{LAB}{test}" if to == "lab" else to[:80],
                    "unit": posted.get(f"unit_{number}", "").strip()[:40],
                    "range": posted.get(f"range_{number}", "").strip()[:60] if to == "lab" else "",
                }
            )
        number += 1
    return body


@dataclass(frozen=True, slots=True)
class PreviewRow:
    number: int
    cells: str
    becomes: tuple[str, ...]
    refused: tuple[str, ...]


def preview_rows(source: Source, rows: Sequence[Preview]) -> list[PreviewRow]:
    """The first rows as they stand, and what becomes of each."""
    return [
        PreviewRow(
            one.number,
            "; ".join(f"{name}: {text[:40]}" for name, text in zip(source.columns, one.cells, strict=False) if text)
            or "not as many cells as columns",
            one.becomes,
            one.refused,
        )
        for one in rows
    ]
