"""The files of a package: found in the folder, read one by one, dealt out by domain, never trusted."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from ml.sdtm import define as definitions
from ml.sdtm.define import Define, UnreadableDefine
from ml.sdtm.rules import LOST
from ml.sdtm.xpt import Row, Table, UnreadableFile, read_tables

SUFFIX = ".xpt"
REFERENCE = frozenset({"SV", "SE", "TA", "TE", "TI", "TS", "TV", "TD", "TM"})
"""Visits, elements and the trial's design: read for reference, they are no events of a subject."""
NOT_CARRIED = frozenset({"RELREC", "CO", "QS"})
"""Read, and refused as a whole for want of a place."""
KNOWN = frozenset(LOST) | REFERENCE | NOT_CARRIED
PREFIX = "SUPP"


@dataclass(slots=True)
class Part:
    """A domain as read: its files, their digests, its rows in the order of files."""

    files: list[str] = field(default_factory=list)
    digests: list[str] = field(default_factory=list)
    columns: set[str] = field(default_factory=set)
    rows: list[Row] = field(default_factory=list)
    unreadable: list[tuple[str, str]] = field(default_factory=list)
    """(file, why it could not be read)"""

    @property
    def sha256(self) -> str:
        """The file's SHA-256; of several files that of their digests."""
        if len(self.digests) == 1:
            return self.digests[0]
        return hashlib.sha256("".join(self.digests).encode()).hexdigest() if self.digests else ""


@dataclass(slots=True)
class Files:
    """A package's files. `notes`: (domain, rule, what)."""

    parts: dict[str, Part] = field(default_factory=dict)
    define: Define = field(default_factory=Define)
    notes: list[tuple[str, str, str]] = field(default_factory=list)
    digests: list[str] = field(default_factory=list)
    readable: int = 0


def find(folder: Path) -> list[Path]:
    """The transport files of a folder, whatever their capitals, else those of the folders in it; none hidden."""
    if not folder.is_dir():
        return []
    for found in (folder.iterdir(), folder.rglob("*")):
        paths = [
            path
            for path in found
            if path.suffix.lower() == SUFFIX
            and path.is_file()
            and not any(part.startswith(".") or part == "__MACOSX" for part in path.relative_to(folder).parts)
        ]
        if paths:
            return sorted(paths)
    return []


def load(folder: Path, report: Callable[[str, int, int], None]) -> Files:
    """Read a folder's files. A file that cannot be read is kept in the account of the domain its name says."""
    result = Files()
    paths = find(folder)
    _define(result, {path.parent for path in paths} | {folder})
    for number, path in enumerate(paths):
        report(path.name, number, len(paths))
        try:
            tables = read_tables(path)
        except (UnreadableFile, OSError) as error:
            domain = _by_name(path.stem.upper()) or path.stem.upper()[:8]
            result.parts.setdefault(domain, Part()).unreadable.append((path.name, str(error)))
            result.digests.append(_digest(path))
            continue
        result.readable += 1
        result.digests.append(tables[0].sha256)
        for table in tables:
            _deal(result, table, path)
    return result


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return hashlib.sha256(path.name.encode()).hexdigest()


def _define(result: Files, folders: set[Path]) -> None:
    for folder in sorted(folders):
        for path in sorted(folder.glob("*.[xX][mM][lL]")) if folder.is_dir() else ():
            if not path.name.lower().startswith("define"):
                continue
            result.digests.append(_digest(path))
            try:
                result.define = definitions.read_define(path)
            except (UnreadableDefine, OSError) as error:
                result.notes.append(("DEFINE", "define_unread", f"{path.name}: {error}"))
            return


def _deal(result: Files, table: Table, path: Path) -> None:
    """Rows to their domains: each by its own DOMAIN (a split LBCH says LB), SUPP-- by RDOMAIN, else as the file is named."""
    usual = _usual(result.define, table, path)
    touched = set()
    for row in table.rows:
        said = str(row.get("RDOMAIN") or "").strip().upper()
        domain = f"{PREFIX}{said}"[:8] if said else str(row.get("DOMAIN") or "").strip().upper()[:8] or usual
        part = result.parts.setdefault(domain, Part())
        part.rows.append(row)
        touched.add(domain)
    for domain in touched or {usual}:
        part = result.parts.setdefault(domain, Part())
        part.files.append(table.file)
        part.digests.append(table.sha256)
        part.columns.update(table.columns)
        result.notes += [(domain, rule, what) for rule, what in table.notes]


def _usual(define: Define, table: Table, path: Path) -> str:
    """The domain of a table whose rows do not say: by the data set's own name, by define.xml, by the file's name."""
    for name in (table.name, path.stem.upper()):
        if name in define.domains:
            return define.domains[name][:8]
        if found := _by_name(name):
            return found
    return (table.name or path.stem.upper())[:8]


def _by_name(name: str) -> str:
    """The domain that a name says: AE; LB of LBCH; SUPPLB of SUPPLBCH; VS of study-01_vs. "" where it says none."""
    words = [word for word in "".join(c if c.isalnum() else " " for c in name.upper()).split() if word]
    for word in (name.upper(), *reversed(words)):
        if word in KNOWN:
            return word
        if word.startswith(PREFIX) and word[4:6] in KNOWN:
            return word[:6]
        if len(word) == 4 and word[:2] in LOST:
            return word[:2]
    return ""
