"""A first mapping from the names of the columns and the first rows; a person looks at it before it is used."""

from __future__ import annotations

import re
from itertools import islice
from pathlib import Path
from typing import Any

from ml.contracts.analytes import analyte_of, unit_rule
from ml.tabular.files import Source, open_table
from ml.tabular.mapping import LAB, MISSING
from ml.tabular.times import FORMATS, BadTime, moment
from ml.tabular.units import sign_of, sign_unit, units_of

LOOKED_AT = 200
NAMES: dict[str, tuple[str, ...]] = {
    "patient": ("patientid", "patient", "subjectid", "subject", "usubjid", "subjid", "participantid", "participant", "mrn", "id"),
    "trial": ("trialid", "trial", "studyid", "study"),
    "site": ("trialsiteid", "siteid", "site", "centre", "center"),
    "time": ("timestamp", "datetime", "measuredat", "charttime", "collectedat", "collectiontime", "vsdtc", "lbdtc", "time", "date",
             "visitdate", "sampledate", "measurementdate"),
    "recorded": ("recordedat", "recorded", "enteredat", "storetime", "reportedat", "resulttime"),
    "zone_column": ("timezone", "tz", "zone"),
    "row_id": ("recordid", "rowid", "resultid", "measurementid"),
    "test": ("testname", "test", "testcd", "lbtestcd", "vstestcd", "parameter", "paramcd", "analyte", "item", "label"),
    "value": ("value", "result", "valuenum", "lborres", "vsorres", "measurement"),
    "unit": ("unit", "units", "uom", "valueuom", "lborresu", "vsorresu"),
    "low": ("low", "refrangelow", "lln", "lbornrlo", "referencelow", "rangelow"),
    "high": ("high", "refrangehigh", "uln", "lbornrhi", "referencehigh", "rangehigh"),
}  # fmt: skip
"""What columns are called elsewhere, the likeliest first; lower case, letters and digits only."""
DATES, CLOCKS = ("date", "visitdate", "sampledate", "measurementdate"), ("time", "timeofday", "clock")
"""Columns of a table that has date and time of day apart."""
_UNIT = re.compile(r"[\s_(\[]+([^\s_()\[\]]+)[\])]?$")


def guess(path: Path) -> dict[str, Any]:
    """A mapping's JSON with everything the file gives away; what it does not is empty, and the page asks for it."""
    source = open_table(path)
    rows = [dict(zip(source.columns, cells, strict=True)) for _, cells in islice(source.rows(), LOOKED_AT) if cells]
    found = {name: _column(source, names) for name, names in NAMES.items()}
    if not found["time"]:
        found["time"] = _looks_like_time(source, rows)
    dates = _column(source, DATES)
    if dates and _plain(found["time"]) in (*CLOCKS, *DATES):
        found["time"], found["time_of_day"] = dates, _column(source, CLOCKS)
    long = bool(found["test"] and found["value"])
    taken = {name for name in found.values() if name}
    body: dict[str, Any] = {
        **{
            name: column
            for name, column in found.items()
            if name not in ("test", "value", "unit", "low", "high") or long
        },
        "layout": "long" if long else "wide",
        "source": "",
        "zone": "UTC",
        "decimal": _decimal(rows),
        "values": [] if long else [one for column in source.columns if column not in taken and (one := _value(column))],
    }
    body["time_format"] = _time_format(rows, body.get("time", ""), body.get("time_of_day", ""))
    return body


def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())


def _column(source: Source, names: tuple[str, ...]) -> str:
    plain = {_plain(column): column for column in reversed(source.columns)}
    return next((plain[name] for name in names if name in plain), "")


def _value(column: str) -> dict[str, str] | None:
    """A column of a sign or a test known here, its unit taken from its name: temp_f, Weight (kg), ALT [U/L]."""
    for name, unit in ((column, ""), *((column[: part.start()], part[1]) for part in [_UNIT.search(column)] if part)):
        if sign := sign_of(name):
            known = sign_unit(sign, unit)
            return {"column": column, "to": sign, "unit": known.unit if known else units_of(sign)[0], "range": ""}
        analyte = analyte_of(name.strip())
        if analyte is not None and (not unit or unit_rule(analyte, unit) is not None):
            return {"column": column, "to": f"{LAB}{name.strip()}", "unit": unit or analyte.unit, "range": ""}
    return None


def _decimal(rows: list[dict[str, str]]) -> str:
    texts = [text for row in rows for text in row.values()]
    return "," if sum(bool(re.fullmatch(r"-?\d+,\d+", text)) for text in texts) > 0 else "."


def _time_format(rows: list[dict[str, str]], column: str, clock: str) -> str:
    """The one form that reads every time of the first rows; "" where two do (is 03/04 in March or April?)."""
    texts = [
        f"{row[column]} {row.get(clock, '')}".strip() for row in rows if column and row[column].lower() not in MISSING
    ]
    fitting = [form for form in FORMATS if texts and all(_reads(text, form) for text in texts)]
    if fitting[:1] in (["epoch_s"], ["epoch_ms"]):
        return "epoch_ms" if all(float(text) > 1e11 for text in texts) else "epoch_s"
    return fitting[0] if len(fitting) == 1 else ""


def _looks_like_time(source: Source, rows: list[dict[str, str]]) -> str:
    """The first column in which everything reads as a date or time."""
    for column in source.columns:
        texts = [row[column] for row in rows if row[column].lower() not in MISSING]
        if texts and any(all(_reads(text, form) for text in texts) for form in ("iso", "dmy", "mdy")):
            return column
    return ""


def _reads(text: str, form: str) -> bool:
    try:
        moment(text, form, "UTC")
    except BadTime:
        return False
    return True
