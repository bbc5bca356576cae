"""Tables as rows of texts: CSV of any usual separator and encoding, TSV, Parquet."""

from __future__ import annotations

import codecs
import csv
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

SEPARATORS = (",", ";", "\t", "|")
ENCODINGS = ("utf-8", "cp1252")
"""Tried in turn; Excel on Windows writes the second. A byte order mark says UTF-8 or UTF-16 at once."""
MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
PARQUET_MAGIC = b"PAR1"
MOST_COLUMNS, MOST_ROWS, LONGEST_CELL = 300, 5_000_000, 4_000
BATCH = 10_000


class NotATable(ValueError):
    """A file or a mapping that cannot be used at all: `message` says why, `cure` what to do."""

    def __init__(self, message: str, cure: str = "") -> None:
        super().__init__(f"{message} {cure}".strip())
        self.message, self.cure = message, cure


@dataclass(frozen=True, slots=True)
class Source:
    """A table that can be read: its columns in order, how it is written, and its digest."""

    path: Path
    kind: str
    columns: tuple[str, ...]
    separator: str
    encoding: str
    sha256: str

    def rows(self) -> Iterator[tuple[int, list[str] | None]]:
        """(number, cells) of every row, from 1; None for a row that has not as many cells as there are columns."""
        return _parquet_rows(self) if self.kind == "parquet" else _csv_rows(self)


def open_table(path: Path) -> Source:
    """Look at a file's form and first line. NotATable where it is none."""
    try:
        with path.open("rb") as opened:
            head = opened.read(1 << 16)
        if not head.strip():
            raise NotATable("The file is empty.", "Send one with a first line of column names and rows beneath.")
        digest = _digest(path)
        if head.startswith(PARQUET_MAGIC):
            return _open_parquet(path, digest)
        return _open_csv(path, head, digest)
    except UnicodeError as error:
        raise NotATable(
            "The file's letters are not those its first bytes promise.", "Save it as CSV in UTF-8."
        ) from error
    except OSError as error:
        raise NotATable(f"The file cannot be read: {error}.", "Export it again.") from error


def _digest(path: Path) -> str:
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _open_parquet(path: Path, digest: str) -> Source:
    try:
        schema = pq.ParquetFile(path).schema_arrow
    except (pa.ArrowException, OSError, ValueError) as error:
        raise NotATable("The Parquet file is damaged.", "Export it again.") from error
    nested = [field.name for field in schema if pa.types.is_nested(field.type)]
    if nested:
        raise NotATable(f"The column {nested[0][:60]!r} holds lists or structures.", "Export plain columns only.")
    return Source(path, "parquet", _named(schema.names), "", "", digest)


def _open_csv(path: Path, head: bytes, digest: str) -> Source:
    if b"\x00" in head and not any(head.startswith(mark) for mark, name in MARKS if name == "utf-16"):
        raise NotATable("The file is neither text nor Parquet.", "Export the table as CSV in UTF-8, or as Parquet.")
    encoding = next((name for mark, name in MARKS if head.startswith(mark)), "") or _encoding(path)
    with path.open(encoding=encoding, newline="") as opened:
        line = opened.readline(1 << 16)
    separator = max(SEPARATORS, key=line.count)
    try:
        with path.open(encoding=encoding, newline="") as opened:
            names = next(csv.reader(opened, delimiter=separator), [])
    except csv.Error as error:
        raise NotATable(f"The first line cannot be read ({error}).", "Begin the file with its column names.") from error
    return Source(path, "csv", _named(names), separator, encoding, digest)


def _encoding(path: Path) -> str:
    for encoding in ENCODINGS:
        try:
            with path.open(encoding=encoding) as opened:
                while opened.read(1 << 20):
                    pass
        except UnicodeDecodeError:
            continue
        return encoding
    raise NotATable("The file's letters are in no encoding known here.", "Save it as CSV in UTF-8.")


def _named(names: list[str]) -> tuple[str, ...]:
    columns = tuple(name.strip() for name in names)
    if len(columns) < 2 or len(columns) > MOST_COLUMNS:
        raise NotATable(
            f"The first line names {len(columns)} column{'s' if len(columns) != 1 else ''}.",
            "Begin the file with the names of its columns, separated by commas, semicolons or tabs.",
        )
    for place, name in enumerate(columns):
        if not name or not name.isprintable() or len(name) > 100:
            raise NotATable(
                f"Column {place + 1} has no usable name.", "Give every column a short name in the first line."
            )
        if name in columns[:place]:
            raise NotATable(f"Two columns are named {name!r}.", "Give each column a name of its own.")
    return columns


def _csv_rows(source: Source) -> Iterator[tuple[int, list[str] | None]]:
    with source.path.open(encoding=source.encoding, newline="", errors="replace") as opened:
        reader = csv.reader(opened, delimiter=source.separator)
        next(reader, None)
        number = 0
        while True:
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error:
                number += 1
                yield number, None
                continue
            if not cells:
                continue  # an empty line
            number += 1
            yield number, [cell.strip()[:LONGEST_CELL] for cell in cells] if len(cells) == len(source.columns) else None


def _parquet_rows(source: Source) -> Iterator[tuple[int, list[str] | None]]:
    number = 0
    for batch in pq.ParquetFile(source.path).iter_batches(BATCH):
        columns = [[_text(value) for value in column.to_pylist()] for column in batch.columns]
        for cells in zip(*columns, strict=True):
            number += 1
            yield number, list(cells)


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, float):
        return "" if value != value else repr(value)
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace").strip()[:LONGEST_CELL]
    return str(value).strip()[:LONGEST_CELL]
