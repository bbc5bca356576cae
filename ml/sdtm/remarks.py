"""The notes of a package as sentences for people: one for each rule of a domain, with what it concerns."""

from __future__ import annotations

from collections.abc import Iterable

from ml.sdtm.rows import Note
from ml.sdtm.rules import NOTES

MOST_NAMED = 8
"""What a sentence names one by one; the rest is counted."""
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
    said = [note.what for note in sorted(notes, key=lambda note: (-note.count, note.what)) if note.what]
    named = "; ".join(said[:MOST_NAMED]) + (f"; and {len(said) - MOST_NAMED} more" if len(said) > MOST_NAMED else "")
    times = f" ({rows:,} times)" if rows > 1 else ""
    about = f" Concerned: {named.rstrip('.')}." if named else ""
    return f"{domain}{times} {NOTES[rule].why}{about} {NOTES[rule].cure}"
