"""Holding rows as series: sorted by patient, kind of reading and event time, found by binary search.

A series is one slot (a sign, an analyte, …) of one patient. Series number and event time are packed into one int64 key,
so that one sorted array and one `searchsorted` serve all patients, slots and times at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml.contracts.signals import DOSE_MISSED, SEX_CODES, SIGNAL_CODES
from ml.facts import ABSENT, Int, name_code
from ml.features.bounds import CENTRE, TIME_BITS, TIME_LIMIT
from ml.features.table import LAB_PANEL, TEMPORAL_SIGNS
from ml.features.versions import Holdings

SLOT_BITS = 6
LATEST_SIGNS = ("heart_rate", "blood_pressure_systolic", "blood_pressure_diastolic", "temperature", "weight", "height")
SLOT_NAMES: tuple[str, ...] = (
    *TEMPORAL_SIGNS,
    "weight",
    "height",
    *LAB_PANEL,
    "adverse_event",
    "enrolment",
    "age",
    "sex",
    "arm",
    "dose_taken",
    "dose_amount",
    *(f"{sign}_with_id" for sign in LATEST_SIGNS),
)
SLOT: dict[str, int] = {name: position for position, name in enumerate(SLOT_NAMES)}
SIGN_SLOTS = len(TEMPORAL_SIGNS)
_ALWAYS_VALUED = ("adverse_event", "enrolment", "arm")

CONTROL_NAMES = ("pbo", "placebo", "p", "control", "ctrl", "sham", "soc", "standard of care", "vehicle")
CONTROL_ARMS: frozenset[int] = frozenset(name_code(name) for name in CONTROL_NAMES)
"""Codes of arm names that mean a control arm. Closed: any other name of a treated patient is a treatment arm."""
NEVER_TREATED, CONTROL, TREATMENT = 0, 1, 2

_SLOT_OF = np.full(512, -1, np.int64)
_COPY_OF = np.full(512, -1, np.int64)
for _name, _slot in SLOT.items():
    if _name in SIGNAL_CODES:
        _SLOT_OF[SIGNAL_CODES[_name]] = _slot
for _name in LATEST_SIGNS:
    _COPY_OF[SIGNAL_CODES[_name]] = SLOT[f"{_name}_with_id"]
_CENTRES = np.array([CENTRE[name] for name in TEMPORAL_SIGNS], np.int64)
_NEEDS_VALUE = np.ones(512, np.bool_)
_NEEDS_VALUE[[SIGNAL_CODES[name] for name in _ALWAYS_VALUED]] = False
_DOSE, _ARM, _SEX = SIGNAL_CODES["study_dose"], SIGNAL_CODES["arm"], SIGNAL_CODES["sex"]
_ARM_CODES = np.array(sorted(CONTROL_ARMS), np.int64)

if len(SLOT) > 2**SLOT_BITS:
    raise AssertionError("More slots than the packed key has room for.")


@dataclass(frozen=True, slots=True)
class Series:
    """Rows in order of `key`. Times in seconds; `value` fixed-point."""

    key: Int
    event: Int
    start: Int
    stop: Int
    value: Int

    def __len__(self) -> int:
        return len(self.key)

    def find(self, series: Int, time: Int) -> NDArray[np.intp]:
        """Number of rows before or at `time` of `series` (as `series_key` numbers them), counted over all rows."""
        return np.searchsorted(self.key, series + time, side="right")


def series_key(patient: Int, slot: Int | int) -> Int:
    """Key of a series at time 0: adding a time gives the key of a row at it."""
    result: Int = (((patient << SLOT_BITS) + slot) << TIME_BITS) + TIME_LIMIT
    return result


def lay_out(held: Holdings) -> Series:
    """Sort the rows that any series reads."""
    slot = _SLOT_OF[held.signal]
    rows = np.flatnonzero((slot >= 0) & ((held.value != ABSENT) | ~_NEEDS_VALUE[held.signal]))
    value = held.value[rows]
    signal = held.signal[rows]
    value = np.where(value == ABSENT, 0, value)
    if (arms := np.flatnonzero(signal == _ARM)).size:
        control = (held.code[rows[arms]][:, None] == _ARM_CODES).any(axis=1)
        treated = held.extra[rows[arms]] != 0
        value[arms] = np.where(treated, np.where(control, CONTROL, TREATMENT), NEVER_TREATED)
    columns = [[slot[rows]], [held.patient[rows]], [held.event[rows]], [held.start[rows]], [held.stop[rows]], [value]]
    unknown_sex = (signal == _SEX) & (value == SEX_CODES["U"])
    if unknown_sex.any():
        for column in columns:
            column[0] = column[0][~unknown_sex]
    _add_records_with_id(held, columns)
    _add_doses(held, columns)
    slots, patients, *rest = (np.concatenate(column) if len(column) > 1 else column[0] for column in columns)
    key = series_key(patients, slots) + rest[0]
    if (key[1:] < key[:-1]).any():
        order = np.argsort(key, kind="stable")
        return Series(key[order], *(column[order] for column in rest))
    return Series(key, *rest)


def _append(columns: list[list[Int]], *parts: Int) -> None:
    for column, part in zip(columns, parts, strict=True):
        column.append(part)


def _add_records_with_id(held: Holdings, columns: list[list[Int]]) -> None:
    """Copies of signs whose record carries an id (`extra` 1): these stay in an online window for good."""
    copy = _COPY_OF[held.signal]
    rows = np.flatnonzero((copy >= 0) & (held.extra == 1) & (held.value != ABSENT))
    if len(rows):
        _append(
            columns, copy[rows], *(getattr(held, name)[rows] for name in ("patient", "event", "start", "stop", "value"))
        )


def _add_doses(held: Holdings, columns: list[list[Int]]) -> None:
    """Doses taken, and their amounts: the amount while the dose lasts, then 0."""
    rows = np.flatnonzero((held.signal == _DOSE) & (held.extra != DOSE_MISSED))
    if not len(rows):
        return
    patient, event, start, stop, value, end = (
        getattr(held, name)[rows] for name in ("patient", "event", "start", "stop", "value", "end")
    )
    _append(columns, np.full(len(rows), SLOT["dose_taken"]), patient, event, start, stop, np.zeros(len(rows), np.int64))
    known = value != ABSENT
    over = np.where(end == ABSENT, stop, np.minimum(np.maximum(end, start), stop))
    for lasting, first, last, amount in ((known & (start < over), start, over, value),
                                         (known & (over < stop), over, stop, np.zeros_like(value))):  # fmt: skip
        if lasting.any():
            parts = (column[lasting] for column in (patient, event, first, last, amount))
            _append(columns, np.full(int(lasting.sum()), SLOT["dose_amount"]), *parts)


def centred(series: Series) -> NDArray[np.int16]:
    """Values of the temporal signs less their centre, 0 in other series."""
    slot = (series.key >> TIME_BITS) & (2**SLOT_BITS - 1)
    sign = slot < SIGN_SLOTS
    middle = _CENTRES[np.where(sign, slot, 0)]
    return np.where(sign, series.value - middle, 0).astype(np.int16)
