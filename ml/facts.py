"""Facts: what is known of patients, as columns of integers. The one form that the feature kernel reads.

One row is one signal of one version of one record. Measured values are fixed-point integers at their contract's
resolution and times are whole seconds since 1970 UTC, so that sums are exact whatever the order.

| column | meaning |
|---|---|
| patient | position in `patients` |
| signal | code of `ml.contracts.signals` |
| key | identity of the record: versions of a record share it (`record_key`) |
| event_time, known_time | it happened; we learned it |
| epoch, offset | order of versions known in the same second |
| retracted | the record was entered in error |
| value | signs, labs: fixed-point value · study_dose, medication: amount × 1000 · adverse_event: grade |
| | age: years × 10 · sex, disposition: their codes · enrolment, arm, history: 1 |
| low, high | labs: reference range, fixed-point |
| end_time | medication, study_dose, adverse_event, history: end, once known |
| code | medication, study_dose: `name_code` of the drug · adverse_event, history: of the term · arm: of the arm's code |
| extra | signs: 1 if with `record_id` · study_dose: taken or missed · adverse_event: 1 if serious · arm: 0 if never treated, else 1 |

Among the rows of one (patient, signal, key) with event_time <= t and known_time <= t, the one with the greatest
(known_time, epoch, offset) holds at t. If it is retracted, the record does not exist at t.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

Int = NDArray[np.int64]
ABSENT = -(2**63)
"""Where a fact has no such value."""

INT_COLUMNS = (
    "key",
    "event_time",
    "known_time",
    "epoch",
    "offset",
    "value",
    "low",
    "high",
    "end_time",
    "code",
    "extra",
)


def stable_code(*parts: str) -> int:
    """A signed 64-bit code of some texts: the first 8 bytes of the SHA-256 of their unit-separated UTF-8."""
    digest = hashlib.sha256("\x1f".join(parts).encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


def to_fixed(values: NDArray[np.float64], decimals: int) -> Int:
    """Fixed-point form: value × 10^decimals, to the nearest integer, ties to even. NaN becomes ABSENT."""
    scaled = np.rint(np.asarray(values, dtype=np.float64) * float(10**decimals))
    missing = np.isnan(scaled)
    return np.where(missing, ABSENT, np.where(missing, 0.0, scaled).astype(np.int64))


@dataclass(frozen=True, slots=True)
class Facts:
    """Columns of equal length; `patients` are the names ("trial/patient") that `patient` points into."""

    patients: tuple[str, ...]
    patient: NDArray[np.int32]
    signal: NDArray[np.int16]
    retracted: NDArray[np.bool_]
    key: Int
    event_time: Int
    known_time: Int
    epoch: Int
    offset: Int
    value: Int
    low: Int
    high: Int
    end_time: Int
    code: Int
    extra: Int

    def __len__(self) -> int:
        return len(self.patient)

    def take(self, rows: NDArray[np.bool_] | NDArray[np.intp]) -> Facts:
        """The chosen rows (mask or positions), same patients."""
        columns = {f.name: getattr(self, f.name)[rows] for f in fields(self) if f.name != "patients"}
        return Facts(self.patients, **columns)

    @classmethod
    def empty(cls, patients: Sequence[str] = ()) -> Facts:
        """No rows."""
        columns = {name: np.empty(0, np.int64) for name in INT_COLUMNS}
        return cls(tuple(patients), np.empty(0, np.int32), np.empty(0, np.int16), np.empty(0, np.bool_), **columns)

    @classmethod
    def concat(cls, parts: Iterable[Facts]) -> Facts:
        """All rows of all parts; patients are renumbered over the sorted union of their names."""
        parts = list(parts)
        names = tuple(sorted({name for part in parts for name in part.patients}))
        if not parts:
            return cls.empty()
        position = {name: index for index, name in enumerate(names)}
        columns = {
            f.name: np.concatenate([getattr(part, f.name) for part in parts])
            for f in fields(cls)
            if f.name not in {"patients", "patient"}
        }
        renumbered = [
            np.array([position[name] for name in part.patients], np.int32)[part.patient]
            if len(part.patients)
            else np.empty(0, np.int32)
            for part in parts
        ]
        return cls(names, np.concatenate(renumbered), **columns)


def record_key(topic: str, *identity: str) -> int:
    """`key` of a record: topic and either ("record_id", id) or the contract's identity columns, as texts."""
    return stable_code(topic, *identity)


def name_code(name: str) -> int:
    """`code` of a drug, term or arm: of its normalised form (NFKC, case folded, single spaces)."""
    return stable_code("name", " ".join(unicodedata.normalize("NFKC", name).casefold().split()))
