"""From silver rows to facts, column by column. What each fact means stands in `ml.facts`.

A retraction of vital signs is a retracted fact for every sign. A laboratory result without a number is a retracted fact
too: as a measurement it does not exist, and it must end an earlier version that had one.

An end counts from the moment it comes about, or is recorded if that is later: known at max(end, its recording). A fact
is known when it was recorded and carries its end, and the kernel reads an end that lies behind t as none. To hold the
whole version back until its end would hide a medicine prescribed for ten days for these ten days, and would let an end
planned long ago win over a correction or retraction made since.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ml.cleaning.clean import patient_names
from ml.cleaning.numbers import Bool, Float, Int, fixed
from ml.contracts.analytes import ANALYTE_BY_NAME
from ml.contracts.signals import DISPOSITION_CODES, DOSE_MISSED, DOSE_TAKEN, SEX_CODES, SIGNAL_CODES
from ml.contracts.signs import SIGNS
from ml.facts import ABSENT, Facts, name_code, to_fixed

_COLUMNS = ("value", "low", "high", "end_time", "code", "extra")
_AMOUNT_DECIMALS = 3
_AGE_DECIMALS = 1


class _Rows:
    """Silver rows as NumPy columns, and the facts made of them so far."""

    def __init__(self, rows: pa.Table) -> None:
        self.rows = rows
        names = patient_names(rows).dictionary_encode()
        ordered = sorted(names.dictionary.to_pylist())
        place = {name: position for position, name in enumerate(ordered)}
        self.patients = tuple(ordered)
        renumber = np.array([place[name] for name in names.dictionary.to_pylist()], np.int32)
        self.patient = renumber[np.asarray(names.indices)]
        self.lineage = {name: np.asarray(rows[name]) for name in ("key", "event_time", "known_time", "epoch", "offset")}
        self.retracted = np.asarray(rows["retracted"], np.bool_)
        self.parts: list[Facts] = []

    def floats(self, name: str) -> Float:
        return np.asarray(self.rows[name].to_numpy(), np.float64)

    def ints(self, name: str) -> Int:
        return np.asarray(pc.fill_null(self.rows[name], ABSENT), np.int64)

    def coded(self, name: str, code: Callable[[str], int]) -> Int:
        """A text column as codes, each distinct text coded once; ABSENT where there is none."""
        column = self.rows[name].combine_chunks().dictionary_encode()
        codes = np.array([*(code(text) for text in column.dictionary.to_pylist()), ABSENT], np.int64)
        chosen: Int = codes[np.asarray(pc.fill_null(column.indices, len(codes) - 1))]
        return chosen

    def equal(self, name: str, text: str) -> Bool:
        return np.asarray(pc.fill_null(pc.equal(self.rows[name], text), False), np.bool_)

    def add(
        self,
        signal: str | Int,
        chosen: Bool,
        columns: Mapping[str, Int],
        retracted: Bool | None = None,
        lasting: tuple[str, ...] = (),
    ) -> None:
        """Facts of the chosen rows. Columns that are not given are ABSENT, as are a retraction's, but for `lasting`."""
        where = np.flatnonzero(chosen)
        if not len(where):
            return
        signals = np.full(len(where), SIGNAL_CODES[signal]) if isinstance(signal, str) else signal[where]
        lineage = {name: column[where] for name, column in self.lineage.items()}
        gone = (self.retracted if retracted is None else retracted)[where]
        body = {name: np.full(len(where), ABSENT) for name in _COLUMNS}
        for name, column in columns.items():
            body[name] = column[where] if name in lasting else np.where(gone, ABSENT, column[where])
        self.parts.append(Facts(self.patients, self.patient[where], signals.astype(np.int16), gone, **lineage, **body))

    def facts(self) -> Facts:
        if not self.parts:
            return Facts.empty(self.patients)
        if len(self.parts) == 1:
            return self.parts[0]
        return Facts.concat(self.parts)


FACT_COLUMNS: dict[str, tuple[str, ...]] = {
    topic: ("trial_id", "patient_id", "key", "event_time", "known_time", "epoch", "offset", "retracted", *body)
    for topic, body in {
        "patient-vitals": ("record_id", *(sign.name for sign in SIGNS)),
        "lab-results": ("analyte", "value", "low", "high"),
        "medications": ("drug_name", "dosage", "end_time", "outcome", "study_dose"),
        "adverse-events": ("event_type", "grade", "end_time", "serious"),
        "patient-context": ("kind", "age", "sex", "term", "arm_code", "treated", "status", "end_time"),
    }.items()
}
"""The silver columns that `to_facts` reads."""


def to_facts(topic: str, rows: pa.Table) -> Facts:
    """Facts of silver rows of `topic` (any versions, any order). KeyError for a topic that is not ours."""
    make = _TOPICS[topic]
    if rows.num_rows == 0:
        return Facts.empty()
    columns = _Rows(rows)
    make(columns)
    return columns.facts()


def _vitals(rows: _Rows) -> None:
    # Records with an id stay in an online window for good, so features may look further back on them.
    with_id = np.asarray(pc.is_valid(rows.rows["record_id"]), np.bool_).astype(np.int64)
    with_id = np.where(np.asarray(rows.rows["record_id"].is_valid(), np.bool_), 1, ABSENT)
    for sign in SIGNS:
        values = to_fixed(rows.floats(sign.name), sign.decimals)
        # a retraction with an id must stay in an online window as long as what it retracts
        columns = {"value": values, "extra": with_id}
        rows.add(sign.name, rows.retracted | (values != ABSENT), columns, lasting=("extra",))


def _labs(rows: _Rows) -> None:
    signal = rows.coded("analyte", SIGNAL_CODES.__getitem__)
    decimals = rows.coded("analyte", lambda name: ANALYTE_BY_NAME[name].decimals)
    values, low, high = (rows.floats(name) for name in ("value", "low", "high"))
    empty = rows.retracted | np.isnan(values)
    for places in sorted(set(decimals.tolist()) - {ABSENT}):
        columns = {name: to_fixed(column, places) for name, column in (("value", values), ("low", low), ("high", high))}
        rows.add(signal, decimals == places, columns, retracted=empty)


def _medications(rows: _Rows) -> None:
    from ml.clinical.drugs import normalise_drug

    doses = np.asarray(pc.fill_null(rows.rows["study_dose"], False), np.bool_)
    amount = fixed(rows.floats("dosage"), _AMOUNT_DECIMALS)
    drug = rows.coded("drug_name", lambda name: name_code(normalise_drug(name)))
    columns = {"value": amount, "code": drug, "end_time": rows.ints("end_time")}
    missed = np.where(rows.equal("outcome", "missed"), DOSE_MISSED, DOSE_TAKEN)
    rows.add("study_dose", doses, {**columns, "extra": missed})
    rows.add("medication", ~doses, columns)


def _adverse_events(rows: _Rows) -> None:
    serious = np.asarray(pc.fill_null(rows.rows["serious"], False), np.bool_)
    rows.add(
        "adverse_event",
        np.ones(len(serious), np.bool_),
        {
            "value": rows.ints("grade"),
            "end_time": rows.ints("end_time"),
            "code": rows.coded("event_type", name_code),
            "extra": serious.astype(np.int64),
        },
    )


def _context(rows: _Rows) -> None:
    one = np.ones(rows.rows.num_rows, np.int64)
    rows.add("enrolment", rows.equal("kind", "enrolment"), {"value": one})
    person = rows.equal("kind", "demographics")
    age = fixed(rows.floats("age"), _AGE_DECIMALS)
    sex = rows.coded("sex", SEX_CODES.__getitem__)
    rows.add("age", person & (rows.retracted | (age != ABSENT)), {"value": age})
    rows.add("sex", person & (rows.retracted | (sex != ABSENT)), {"value": sex})
    untreated = rows.rows["treated"].to_pylist()
    treated = np.array([0 if value is False else 1 for value in untreated], np.int64)
    rows.add(
        "arm", rows.equal("kind", "arm"), {"value": one, "code": rows.coded("arm_code", name_code), "extra": treated}
    )
    rows.add(
        "history",
        rows.equal("kind", "history"),
        {"value": one, "code": rows.coded("term", name_code), "end_time": rows.ints("end_time")},
    )
    status = rows.coded("status", DISPOSITION_CODES.__getitem__)
    rows.add("disposition", rows.equal("kind", "disposition"), {"value": status})


_TOPICS: dict[str, Callable[[_Rows], None]] = {
    "patient-vitals": _vitals,
    "lab-results": _labs,
    "medications": _medications,
    "adverse-events": _adverse_events,
    "patient-context": _context,
}
