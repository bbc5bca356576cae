"""Which columns are numbers and which are texts, whatever a file says; identifiers that a message can hold."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterable

from ml.contracts.events import ID_PATTERN
from ml.sdtm.rows import Study
from ml.sdtm.xpt import Row

NUMBERS = frozenset({"AGE", "VISITDY"})
NUMBER_ENDINGS = ("DOSE", "DY", "STRESN", "STNRLO", "STNRHI")
EITHER = frozenset({"VISITNUM"})
"""A name that should be a number, and serves as a text too."""
EITHER_ENDINGS = ("SEQ", "TPTNUM")
LONGEST_ID = 64
_ID = re.compile(ID_PATTERN)
_OTHER = re.compile(r"[^A-Za-z0-9._:-]+")


def is_number(column: str, domain: str) -> bool:
    """Whether a column holds numbers by the SDTM model."""
    return column in NUMBERS or (column.startswith(domain) and column[len(domain) :].endswith(NUMBER_ENDINGS))


def is_either(column: str, domain: str) -> bool:
    """Whether a column may hold both."""
    return column in EITHER or (column.startswith(domain) and column[len(domain) :].endswith(EITHER_ENDINGS))


def number_of(text: str) -> float | None:
    """A finite number written in a text; None for anything else."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) and "_" not in text else None


def settle(study: Study, domain: str, rows: Iterable[Row]) -> None:
    """Bring every value of a domain's rows to the kind its column should have, in place. A text that is no number
    becomes None and is noted; a number where a text belongs is written out."""
    kinds: dict[str, int] = {}
    for row in rows:
        for column, value in row.items():
            kind = kinds.get(column)
            if kind is None:
                kinds[column] = kind = 0 if is_number(column, domain) else 1 if is_either(column, domain) else 2
            if kind == 0:
                if isinstance(value, str):
                    row[column] = number_of(value) if value else None
                    if value and row[column] is None:
                        study.note(domain, "not_numeric", column)
                elif isinstance(value, float) and not math.isfinite(value):
                    row[column] = None
            elif kind == 2 and not isinstance(value, str):
                row[column] = "" if value is None else f"{value:.15g}"


def identifier(text: str, rest: str = "") -> str:
    """A text as the contracts' identifiers are written: other characters become -, what is too long or begins oddly is
    shortened to a name with the first 10 hexadecimal digits of the SHA-256 of the whole."""
    if _ID.match(text) and len(text) <= LONGEST_ID:
        return text
    bare = _OTHER.sub("-", text).strip("-._:") or rest
    digest = hashlib.sha256(text.encode()).hexdigest()[:10]
    return f"{bare[: LONGEST_ID - 11] or 'ID'}-{digest}"
