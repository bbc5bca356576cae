"""What the columns of a table mean, as JSON that can be kept and used again."""

from __future__ import annotations

import re
from collections.abc import Mapping as Dict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from ml.contracts.signs import SIGN_BY_NAME
from ml.tabular.files import NotATable
from ml.tabular.times import FORMATS, BadTime, zone
from ml.tabular.units import sign_unit, units_of

VERSION = 1
LAYOUTS: dict[str, str] = {
    "wide": "One column for each sign or test",
    "long": "One row for each value: columns for test, value and unit",
}
DECIMALS = (".", ",")
LAB = "lab:"
MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", ".", "-", "missing"})
"""What stands in a cell where nothing was measured, in lower case."""
_SOURCE = re.compile(r"^[A-Za-z0-9][A-Za-z0-9 ._-]{0,39}$")


@dataclass(frozen=True, slots=True)
class Value:
    """A column of a wide table: `to` is a vital sign, or "lab:" and the test's name; `range` a laboratory's range."""

    column: str
    to: str
    unit: str = ""
    range: str = ""


@dataclass(frozen=True, slots=True)
class Mapping:
    """Columns by name; "" = the table has no such column.

    `source` names the device or laboratory: with the patient and the time (or `row_id`) it tells one record from
    another, so a file that comes again under the same source corrects. `replaces`: the file is all there is of its
    source, and what is not in it is retracted. `known_after_hours`: how long after its time a value was known, where no
    column says when it was `recorded`. `tests` renames tests of a long table.
    """

    source: str
    patient: str
    time: str
    layout: str = "wide"
    time_format: str = "iso"
    zone: str = "UTC"
    zone_column: str = ""
    time_of_day: str = ""
    recorded: str = ""
    known_after_hours: float = 0.0
    trial: str = ""
    site: str = ""
    site_value: str = ""
    row_id: str = ""
    decimal: str = "."
    replaces: bool = False
    values: tuple[Value, ...] = ()
    test: str = ""
    value: str = ""
    unit: str = ""
    unit_value: str = ""
    low: str = ""
    high: str = ""
    tests: tuple[tuple[str, str], ...] = ()
    version: int = VERSION

    def __post_init__(self) -> None:
        for broken, message, cure in self._rules():
            if broken:
                raise NotATable(message, cure)

    def _rules(self) -> Sequence[tuple[bool, str, str]]:
        used = [one.column for one in self.values]
        return (
            (self.version != VERSION, f"The mapping is of version {self.version}.", f"Write it for version {VERSION}."),
            (not _SOURCE.match(self.source), "The source has no usable name.",
             "Name the device or laboratory with at most 40 letters, digits, spaces and . _ - ."),
            (not self.patient, "No column names the patient.", "Choose the column with the patient's identifier."),
            (not self.time, "No column holds the time.", "Choose the column with date or time."),
            (self.layout not in LAYOUTS, f"There is no layout {self.layout!r}.", "Choose wide or long."),
            (self.time_format not in FORMATS, "Nobody said how the file writes times.",
             f"Choose one of {', '.join(FORMATS)}."),
            (self.decimal not in DECIMALS, f"{self.decimal!r} is no decimal sign.", "Choose a point or a comma."),
            (not 0 <= self.known_after_hours <= 24 * 366, "The hours until a value is known must be 0 to 8784.", "Correct them."),
            (not _is_zone(self.zone), f"{self.zone[:60]!r} is no time zone.", "Use a name such as Europe/Madrid."),
            (self.layout == "wide" and not self.values, "No column is mapped to a vital sign or test.",
             "Choose for at least one column what it holds."),
            (len(used) != len(set(used)), "A column is mapped twice.", "Map each column once."),
            (len({one.to for one in self.values}) != len(self.values), "Two columns are mapped to the same sign or test.",
             "Map each sign and test from one column."),
            (self.layout == "long" and not (self.test and self.value), "A long table needs a column for the test and one for the value.",
             "Choose both."),
            *(_value_rule(one) for one in self.values),
        )  # fmt: skip

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column that the mapping names."""
        names = [
            self.patient,
            self.time,
            self.time_of_day,
            self.recorded,
            self.zone_column,
            self.trial,
            self.site,
            self.row_id,
        ]
        if self.layout == "long":
            names += [self.test, self.value, self.unit, self.low, self.high]
        names += [one.column for one in self.values]
        return tuple(dict.fromkeys(name for name in names if name))

    def to_json(self) -> dict[str, Any]:
        """Plain JSON form; `from_json` reads it back."""
        body = asdict(self)
        return {**body, "values": [asdict(one) for one in self.values], "tests": dict(self.tests)}

    @classmethod
    def from_json(cls, body: Dict[str, Any]) -> Mapping:
        """Read `to_json`'s form. NotATable says what is wrong with it."""
        if not isinstance(body, Dict):
            raise NotATable("A mapping is a JSON object.", "Save one from the page and change that.")
        known = {field.name: field for field in fields(cls)}
        if unknown := sorted(set(body) - set(known)):
            raise NotATable(f"A mapping has no entry {str(unknown[0])[:60]!r}.", f"Use {', '.join(known)}.")
        values = dict(body)
        try:
            values["values"] = tuple(Value(**one) for one in body.get("values") or ())
            values["tests"] = tuple(sorted(dict(body.get("tests") or {}).items()))
            for name, kind in (("known_after_hours", float), ("version", int), ("replaces", bool)):
                if name in values:
                    values[name] = kind(values[name])
            texts = [values[name] for name, field in known.items() if name in values and field.type == "str"]
            texts += [item for one in values["values"] for item in (one.column, one.to, one.unit, one.range)]
            texts += [item for pair in values["tests"] for item in pair]
            if not all(isinstance(text, str) and len(text) <= 200 and "\x00" not in text for text in texts):
                raise TypeError("an entry is no short text")
            return cls(**values)
        except (TypeError, ValueError, AttributeError) as error:
            if isinstance(error, NotATable):
                raise
            raise NotATable("The mapping cannot be read.", "Save one from the page and change that.") from error


def _is_zone(name: str) -> bool:
    try:
        zone(name)
    except BadTime:
        return False
    return True


def _value_rule(one: Value) -> tuple[bool, str, str]:
    if one.to.startswith(LAB):
        return (
            not one.to.removeprefix(LAB).strip(),
            f"Column {one.column[:60]} is a test without a name.",
            "Name the test.",
        )
    if one.to not in SIGN_BY_NAME:
        return True, f"There is no vital sign {one.to[:60]!r}.", f"Choose one of {', '.join(SIGN_BY_NAME)}."
    units = ", ".join(units_of(one.to))
    return (
        sign_unit(one.to, one.unit) is None,
        f"Column {one.column[:60]} is in an unknown unit.",
        f"Choose one of {units}.",
    )
