"""Reading SAS transport files: rows as plain texts and numbers, with the file's digest."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyreadstat

ENCODINGS = ("utf-8", "cp1252")
"""XPT names no character set; SAS on Windows writes the second."""

Row = dict[str, Any]


class UnreadableFile(ValueError):
    """A file that is no SAS transport file; the message names it."""


@dataclass(frozen=True, slots=True)
class Table:
    """One file: its name, SHA-256, columns (upper case) and rows. A text is stripped, "" where missing; a number is a
    float, None where missing. pyreadstat reads a zero as zero (pandas.read_sas reads a zero dose as 5.4e-79)."""

    file: str
    sha256: str
    columns: tuple[str, ...]
    rows: list[Row]


def read_xpt(path: Path) -> Table:
    """Read one file. UnreadableFile if it is damaged or of another kind."""
    data = hashlib.sha256(path.read_bytes()).hexdigest()
    columns, problem = None, ""
    for encoding in ENCODINGS:
        try:
            columns, _ = pyreadstat.read_xport(str(path), encoding=encoding, output_format="dict")
            break
        except (UnicodeDecodeError, pyreadstat.ReadstatError) as error:
            problem = str(error)
    if columns is None:
        raise UnreadableFile(
            f"{path.name} is no SAS transport file in UTF-8 or Windows-1252 ({problem}). Export it again."
        )
    names = tuple(str(name).upper() for name in columns)
    cleaned = [_plain(column) for column in columns.values()]
    rows = [dict(zip(names, values, strict=True)) for values in zip(*cleaned, strict=True)]
    return Table(path.name, data, names, rows)


def _plain(column: Iterable[Any]) -> list[Any]:
    """A column is of texts or of numbers throughout; a missing number is NaN."""
    values = list(column)
    if values and isinstance(values[0], str):
        return [value.strip() for value in values]
    return [None if value is None or math.isnan(value) else float(value) for value in values]
