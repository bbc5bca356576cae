"""The notes of a package as sentences for people: one for each rule of a domain, with what it concerns and in which rows."""

from __future__ import annotations

from collections.abc import Iterable

from ml.sdtm.rows import SHOWN, Note
from ml.sdtm.rules import NOTES, WITHOUT

MOST_NAMED, LONGEST_NAMED = 8, 160
"""How much a sentence names one by one, in number and letters; the rest is counted."""
NOT_SAID = frozenset({"domain_absent"})
"""Rules whose notes the reader of a report learns otherwise."""


def remarks(notes: Iterable[Note], *, leave_out: frozenset[str] = NOT_SAID) -> list[str]:
    """Sentences, by domain and rule in the order of the notes."""
    grouped: dict[tuple[str, str], list[Note]] = {}
    for note in notes:
        if note.rule not in leave_out:
            grouped.setdefault((note.domain, note.rule), []).append(note)
    return [_sentence(domain, rule, own) for (domain, rule), own in grouped.items()]


def _sentence(domain: str, rule: str, notes: list[Note]) -> str:
    rows = sum(note.count for note in notes)
    if rule == "column_absent":
        return _columns(domain, notes)
    said = [note.what for note in sorted(notes, key=lambda note: (-note.count, note.what)) if note.what]
    named = _named(said)
    about = f" Concerned: {named.rstrip('.')}." if named else ""
    return f"{domain}{_which(rows, notes)} {NOTES[rule].why}{about} {NOTES[rule].cure}"


def _named(said: list[str]) -> str:
    """The first of what a sentence concerns, and how many more: what would mend it must still be read."""
    first: list[str] = []
    for what in said[:MOST_NAMED]:
        if first and sum(map(len, [*first, what])) > LONGEST_NAMED:
            break
        first.append(what.rstrip("."))
    return "; ".join(first) + (f"; and {len(said) - len(first)} more" if len(said) > len(first) else "")


def _which(rows: int, notes: list[Note]) -> str:
    """How many rows, and the names of the first."""
    first = list(dict.fromkeys(name for note in notes for name in note.rows))[:SHOWN]
    if not first:
        return f" ({rows:,} times)" if rows > 1 else ""
    if rows <= len(first):
        return f" ({', '.join(first)})"
    return f" ({rows:,} times, first in {', '.join(first)})"


def _columns(domain: str, notes: list[Note]) -> str:
    told = []
    for note in notes:
        without = WITHOUT[note.what.partition(" ")[0]]
        told.append(f"{note.what} ({without})")
    return f"{domain} {NOTES['column_absent'].why} Without them: {'; '.join(told)}. {NOTES['column_absent'].cure}"
