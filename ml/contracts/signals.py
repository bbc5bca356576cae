"""Codes of what a fact can be about. A code, once given, is never reused for something else."""

from __future__ import annotations

from ml.contracts.analytes import ANALYTES
from ml.contracts.signs import SIGNS

SIGN_BASE = 1
LAB_BASE = 100
_OTHER = {
    "medication": 300,
    "study_dose": 301,
    "adverse_event": 310,
    "enrolment": 320,
    "age": 321,
    "sex": 322,
    "arm": 323,
    "history": 324,
    "disposition": 325,
}
SIGNAL_CODES: dict[str, int] = {
    **{sign.name: SIGN_BASE + position for position, sign in enumerate(SIGNS)},
    **{analyte.name: LAB_BASE + position for position, analyte in enumerate(ANALYTES)},
    **_OTHER,
}
SIGNAL_NAMES: dict[int, str] = {code: name for name, code in SIGNAL_CODES.items()}
SIGN_CODES: tuple[int, ...] = tuple(SIGNAL_CODES[sign.name] for sign in SIGNS)

SEX_CODES = {"F": 0, "M": 1, "U": 2}
DISPOSITION_CODES = {"completed": 0, "withdrawn": 1, "died": 2, "screen_failure": 3, "lost": 4}
DOSE_TAKEN, DOSE_MISSED = 0, 1
