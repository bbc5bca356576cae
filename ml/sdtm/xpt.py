"""Reading SAS transport files, versions 5 and 8: every data set of a file, every row, as plain texts and numbers.

Read from the published layout (SAS technical support TS-140, and its v8 extension) rather than by a library, because a
stranger's file must neither crash nor lose anything: a library reads the first data set only, lets a cut file pass as a
shorter one, drops one of two columns of a name, or (`pandas.read_sas`) reads a zero dose as 5.4e-79.

A file is headers, then 80-byte records:

| header | what follows |
|---|---|
| LIBRARY, LIBV8 | the library: two records |
| MEMBER, MEMBV8 · DSCRPTR, DSCPTV8 | a data set: its name, its label |
| NAMESTR, NAMSTV8 | 140 bytes a column: type, length, name, label, format, position |
| LABELV8, LABELV9 | names and labels that are too long for that |
| OBS, OBSV8 | the rows, one after the other without a gap, padded with blanks; version 8 says how many |
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

ENCODINGS = ("utf-8", "cp1252", "latin-1")
"""XPT names no character set; SAS on Windows writes the second, and the third reads every byte."""
RECORD = 80
HEADER = b"HEADER RECORD*******"
MARK = b"HEADER RECORD!!!!!!!"
NAMESTR_BYTES = (140, 136)
MISSING = frozenset(b"._ABCDEFGHIJKLMNOPQRSTUVWXYZ")
"""First byte of a missing number (., ._, .A to .Z); all others are zero."""
MOST_COLUMNS = 9_999
ORIGIN_DAYS = 3_653
"""1960-01-01, from which SAS counts, in days before 1970-01-01."""
DATE_FORMATS = ("DATETIME", "E8601DT", "B8601DT", "DATE", "YYMMDD", "DDMMYY", "MMDDYY", "E8601DA", "B8601DA")
"""SAS formats by which a number is a date; the first three count seconds, the others days."""
DATETIME_FORMATS = DATE_FORMATS[:3]

Row = dict[str, Any]


class UnreadableFile(ValueError):
    """A file that is no SAS transport file, or not a whole one; the message names it and says what to do."""


@dataclass(frozen=True, slots=True)
class Table:
    """One data set: file, its own name in it, SHA-256 of the file, columns (upper case) and rows.

    A text is stripped, "" where missing; a number is a float, None where missing. `labels` by column; `dates` are numeric
    columns in a SAS date format, told as ISO 8601 texts; `notes` what had to be mended: (rule of `ml.sdtm.rules.NOTES`,
    what).
    """

    file: str
    sha256: str
    columns: tuple[str, ...]
    rows: list[Row]
    name: str = ""
    label: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    notes: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class _Column:
    name: str
    label: str
    number: bool
    length: int
    place: int
    format: str


def read_xpt(path: Path) -> Table:
    """The only data set of a file. UnreadableFile if it is damaged, of another kind, or holds several."""
    tables = read_tables(path)
    if len(tables) != 1:
        raise UnreadableFile(f"{path.name} holds {len(tables)} data sets; one was expected.")
    return tables[0]


def read_tables(path: Path) -> list[Table]:
    """All data sets of a file. UnreadableFile if it is damaged or of another kind: a cut file is not read in part, for
    nobody could tell what is missing."""
    data = path.read_bytes()
    if not data:
        raise UnreadableFile(f"{path.name} is empty. Export it again.")
    if not (data.startswith(HEADER) and data[28:48] == MARK and data[20:28].strip() in (b"LIBRARY", b"LIBV8")):
        raise UnreadableFile(f"{path.name} is no SAS transport file (version 5 or 8). Export it again.")
    try:
        tables = list(_members(path.name, data))
    except (struct.error, ValueError, IndexError, OverflowError) as error:
        if isinstance(error, UnreadableFile):
            raise
        raise UnreadableFile(f"{path.name} is a damaged SAS transport file ({error}). Export it again.") from error
    if not tables:
        raise UnreadableFile(f"{path.name} is a SAS transport file without a data set. Export it again.")
    return tables


def _damaged(name: str, what: str) -> UnreadableFile:
    return UnreadableFile(f"{name} is a damaged SAS transport file: {what}. Export it, or copy it, again.")


def _header(data: bytes, at: int) -> str:
    """Name of the header at a place; "" where there is none."""
    if data[at : at + 20] != HEADER or data[at + 28 : at + 48] != MARK:
        return ""
    return data[at + 20 : at + 28].decode("ascii", "replace").strip()


def _number(data: bytes) -> int:
    """Digits of a header, blanks aside. ValueError for anything else."""
    text = data.strip()
    if not text.isdigit():
        raise ValueError(f"{data!r} is no number")
    return int(text)


def _next(data: bytes, at: int, names: tuple[str, ...]) -> int:
    """Where the next header of one of `names` stands, from `at` on; the end where there is none."""
    place = data.find(HEADER, at)
    while place >= 0:
        if place % RECORD == 0 and _header(data, place) in names:
            return place
        place = data.find(HEADER, place + 1)
    return len(data)


def _members(file: str, data: bytes) -> Iterator[Table]:
    digest = hashlib.sha256(data).hexdigest()
    at = 3 * RECORD
    while at < len(data):
        if _header(data, at) not in ("MEMBER", "MEMBV8"):
            if not data[at:].strip(b" \0"):
                return
            raise _damaged(file, f"a data set should begin at byte {at}")
        at, table = _member(file, digest, data, at)
        yield table


def _member(file: str, digest: str, data: bytes, at: int) -> tuple[int, Table]:
    """The data set whose header stands at `at`, and where the next one begins."""
    long = _header(data, at) == "MEMBV8"
    size = _number(data[at + 73 : at + 78])
    if size not in NAMESTR_BYTES:
        raise _damaged(file, f"a column is described in {size} bytes")
    if _header(data, at + RECORD) not in ("DSCRPTR", "DSCPTV8"):
        raise _damaged(file, "the description of the data set is missing")
    first, second = (data[at + n * RECORD : at + (n + 1) * RECORD] for n in (2, 3))
    name = _plain(first[8 : 40 if long else 16])
    label = _plain(second[32:72])
    at += 4 * RECORD
    if _header(data, at) not in ("NAMESTR", "NAMSTV8"):
        raise _damaged(file, "the list of columns is missing")
    count = _number(data[at + 53 : at + 58])
    at += RECORD
    if not 0 < count <= MOST_COLUMNS or at + count * size > len(data):
        raise _damaged(file, f"it claims {count} columns")
    columns = [_column(data[at + n * size : at + (n + 1) * size], long) for n in range(count)]
    at += -(-count * size // RECORD) * RECORD
    if _header(data, at) in ("LABELV8", "LABELV9"):
        at, columns = _labels(file, data, at, columns)
    head = _header(data, at)
    if head not in ("OBS", "OBSV8") or at + RECORD > len(data):
        raise _damaged(file, "the rows are missing")
    told = data[at + 48 : at + 63].strip() if head == "OBSV8" else b""
    at += RECORD
    end = _next(data, at, ("MEMBER", "MEMBV8"))
    body = data[at:end]
    width = sum(column.length for column in columns)
    if width != max(column.place + column.length for column in columns):
        raise _damaged(file, "its columns overlap or leave a gap")
    rows = _rows(file, body, width, int(told) if told.isdigit() else None)
    return end, _table(file, digest, name, label, columns, rows)


def _plain(data: bytes) -> str:
    return data.replace(b"\0", b" ").decode("utf-8", "replace").strip()


def _column(data: bytes, long: bool) -> _Column:
    kind, _, length, _ = struct.unpack(">hhhh", data[:8])
    place = struct.unpack(">i", data[84:88])[0]
    name = _plain(data[8:16])
    if long and (full := _plain(data[88:120])):
        name = full
    if kind not in (1, 2) or length < 1 or place < 0 or (kind == 1 and not 2 <= length <= 8):
        raise ValueError(f"column {name!r} has type {kind}, length {length}, place {place}")
    return _Column(name.upper(), _plain(data[16:56]), kind == 1, length, place, _plain(data[56:64]).upper())


def _labels(file: str, data: bytes, at: int, columns: list[_Column]) -> tuple[int, list[_Column]]:
    """Long labels of version 8: number, lengths of name and label (of formats too, in LABELV9), then the texts."""
    parts = 5 if _header(data, at) == "LABELV9" else 3
    begin = at + RECORD
    at = begin
    named = list(columns)
    while data[at : at + 20] != HEADER:
        if at + 2 * parts > len(data):
            raise _damaged(file, "the long labels are cut")
        sizes = struct.unpack(f">{parts}h", data[at : at + 2 * parts])
        if data[at : at + 2 * parts].strip(b" \0") == b"" or not 1 <= sizes[0] <= len(columns) or min(sizes) < 0:
            break
        texts = at + 2 * parts
        label = _plain(data[texts + sizes[1] : texts + sizes[1] + sizes[2]])
        old = named[sizes[0] - 1]
        named[sizes[0] - 1] = _Column(old.name, label, old.number, old.length, old.place, old.format)
        at = texts + sum(sizes[1:])
    return _next(data, begin, ("OBS", "OBSV8")), named


def _rows(file: str, body: bytes, width: int, told: int | None) -> NDArray[np.void]:
    """The rows as they stand. The last record is padded with blanks: fewer than 80 of them are no row."""
    count = len(body) // width
    if told is not None:
        if told > count:
            raise _damaged(file, f"it claims {told} rows and holds {count}")
        count = told
        if body[count * width :].strip(b" \0"):
            raise _damaged(file, f"it claims {told} rows and holds more")
    else:
        rest = body[count * width :]
        if rest.strip(b" \0") or len(rest) >= RECORD or len(body) % RECORD:
            raise _damaged(file, f"it is cut within row {count + 1}")
        while (
            count and len(body) - (count - 1) * width < RECORD and not body[(count - 1) * width : count * width].strip()
        ):
            count -= 1
    return np.frombuffer(body, dtype=np.dtype((np.void, width)), count=count)


def _table(file: str, digest: str, name: str, label: str, columns: list[_Column], rows: NDArray[np.void]) -> Table:
    raw = np.frombuffer(rows.tobytes(), np.uint8).reshape(len(rows), rows.dtype.itemsize)
    notes: list[tuple[str, str]] = []
    kept: dict[str, list[Any]] = {}
    texts = [c for c in columns if not c.number]
    encoding = _encoding(raw, texts)
    if encoding != ENCODINGS[0]:
        notes.append(("encoding", f"{file} as {encoding}"))
    nul = False
    for column in columns:
        cell = np.ascontiguousarray(raw[:, column.place : column.place + column.length])
        if column.number:
            values: list[Any] = _dates(cell, column) if column.format.startswith(DATE_FORMATS) else _floats(cell)
        else:
            values, found = _texts(cell, encoding)
            nul = nul or found
        if column.name in kept:
            notes.append(("column_twice", f"{column.name} in {file}"))
            kept[column.name] = [
                ours if ours not in ("", None) else other for ours, other in zip(kept[column.name], values, strict=True)
            ]
            continue
        if column.number and column.format.startswith(DATE_FORMATS):
            notes.append(("sas_date", f"{column.name} in {file}"))
        kept[column.name] = values
    if nul:
        notes.append(("nul_bytes", file))
    names = tuple(kept)
    made = [dict(zip(names, values, strict=True)) for values in zip(*kept.values(), strict=True)]
    return Table(file, digest, names, made, name.upper(), label, {c.name: c.label for c in columns}, tuple(notes))


def _encoding(raw: NDArray[np.uint8], texts: list[_Column]) -> str:
    """The first encoding in which every text of the table can be read."""
    odd = set()
    for column in texts:
        cell = raw[:, column.place : column.place + column.length]
        for row in np.flatnonzero((cell > 127).any(axis=1)).tolist():
            odd.add(cell[row].tobytes())
    for encoding in ENCODINGS:
        try:
            for data in odd:
                # A text cut at its column's width may end within a character.
                data.rstrip(b" \0").decode(encoding)
        except UnicodeDecodeError:
            continue
        return encoding
    return ENCODINGS[-1]


def _texts(cell: NDArray[np.uint8], encoding: str) -> tuple[list[str], bool]:
    seen: dict[bytes, str] = {}
    values, nul = [], False
    for item in cell.view(f"V{cell.shape[1]}").ravel().tolist() if cell.shape[0] else []:
        data = bytes(item)
        if data not in seen:
            bare = data.rstrip(b" \0")
            nul = nul or b"\0" in bare
            seen[data] = bare.replace(b"\0", b" ").decode(encoding, "replace").strip()
        values.append(seen[data])
    return values, nul


def _ibm(cell: NDArray[np.uint8]) -> NDArray[np.float64]:
    """IBM hexadecimal floats of 2 to 8 bytes as float64; NaN where missing."""
    wide = np.zeros((cell.shape[0], 8), np.uint8)
    wide[:, : cell.shape[1]] = cell
    bits = wide.view(">u8").ravel().astype(np.uint64)
    fraction = bits & np.uint64(0x00FF_FFFF_FFFF_FFFF)
    exponent = ((bits >> np.uint64(56)) & np.uint64(0x7F)).astype(np.int64)
    size = np.ldexp(fraction.astype(np.float64), (4 * (exponent - 64) - 56).astype(np.int32))
    values: NDArray[np.float64] = np.where(bits >> np.uint64(63) == 1, -size, size)
    first = wide[:, 0]
    values[(fraction == 0) & np.isin(first, list(MISSING))] = np.nan
    values[fraction == 0] += 0.0  # -0 becomes 0
    values[(wide == 0x20).all(axis=1)] = np.nan  # blanks, as some writers leave them
    return values


def _floats(cell: NDArray[np.uint8]) -> list[float | None]:
    return [None if value != value else value for value in _ibm(cell).tolist()]


def _dates(cell: NDArray[np.uint8], column: _Column) -> list[str]:
    """A SAS date or datetime number as ISO 8601; "" where missing, the number itself where it is no date."""
    seconds = column.format.startswith(DATETIME_FORMATS)
    texts = []
    for value in _ibm(cell).tolist():
        if value != value:
            texts.append("")
            continue
        try:
            since = np.datetime64(0, "s") + np.timedelta64(
                int(value if seconds else value * 86_400) - ORIGIN_DAYS * 86_400, "s"
            )
            text = str(since)
            texts.append(text if seconds else text[:10])
        except (OverflowError, ValueError):
            texts.append(f"{value:g}")
    return texts
