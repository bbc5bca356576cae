"""Feature vectors as they are stored, hashed and compared: 120 little-endian float32, one NaN.

A NaN has 2^23 forms in float32; stored vectors have one (0x7FC00000), so that equal vectors are equal bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml.features.table import FEATURES, NAMES
from ml.profile import StudyProfile

Vectors = NDArray[np.float32]
CANONICAL_NAN = np.array([0x7FC00000], np.uint32).view(np.float32)[0]
_ARM = np.array([feature.blinding == "arm" for feature in FEATURES])


def canonical(matrix: NDArray[np.floating]) -> Vectors:
    """float32[..., 120] of a kernel's matrix: each value rounded once to float32, every NaN the same, no negative zero."""
    with np.errstate(invalid="ignore"):  # a signalling NaN, as damage may leave one, is a NaN like any other
        vectors = np.asarray(matrix, np.float32) + np.float32(0.0)
    vectors[np.isnan(vectors)] = CANONICAL_NAN
    return vectors


def mask(matrix: NDArray[np.float64], profile: StudyProfile) -> NDArray[np.float64]:
    """A copy in which, in a blinded study, features that can reveal the arm have no value (NaN)."""
    masked = np.array(matrix, np.float64)
    if profile.blinded:
        masked[..., _ARM] = np.nan
    return masked


def vector_bytes(row: NDArray[np.floating]) -> bytes:
    """The 480 bytes of one vector. ValueError when it has not 120 values."""
    if row.shape != (len(FEATURES),):
        raise ValueError(f"A feature vector has {len(FEATURES)} values; this has the shape {row.shape}.")
    return canonical(row).astype("<f4").tobytes()


def from_bytes(data: bytes) -> Vectors:
    """float32[120] of `vector_bytes`. ValueError when the length is wrong."""
    if len(data) != 4 * len(FEATURES):
        raise ValueError(f"A stored feature vector has {4 * len(FEATURES)} bytes; this has {len(data)}.")
    return np.frombuffer(data, "<f4").astype(np.float32)


def vector_sha256(row: NDArray[np.floating]) -> str:
    """SHA-256 of `vector_bytes`, hexadecimal."""
    return hashlib.sha256(vector_bytes(row)).hexdigest()


@dataclass(frozen=True, slots=True)
class Difference:
    """One feature whose bits differ."""

    row: int
    patient: str
    as_of: int | None
    feature: str
    first: float
    second: float

    def __str__(self) -> str:
        who = f"{self.patient or f'row {self.row}'}{'' if self.as_of is None else f' at {self.as_of}'}"
        return f"{who}: {self.feature} is {self.first!r}, and {self.second!r}"


def compare(
    first: NDArray[np.floating],
    second: NDArray[np.floating],
    patients: Sequence[str] | None = None,
    as_of: Sequence[int] | NDArray[np.integer] | None = None,
) -> list[Difference]:
    """Every entry whose bits differ between two vectors or matrices; any NaN equals any NaN. Both of one width of float.

    `patients`, `as_of`: whom and when each row is about, to be named. ValueError when the shapes or types differ.
    """
    if first.shape != second.shape or first.dtype != second.dtype:
        raise ValueError(f"Cannot compare {first.dtype}{first.shape} with {second.dtype}{second.shape}.")
    left, right = np.atleast_2d(first), np.atleast_2d(second)
    bits = np.uint32 if left.dtype == np.float32 else np.uint64
    same = np.ascontiguousarray(left).view(bits) == np.ascontiguousarray(right).view(bits)
    same |= np.isnan(left) & np.isnan(right)
    return [
        Difference(
            row=int(row),
            patient="" if patients is None else patients[int(row)],
            as_of=None if as_of is None else int(as_of[int(row)]),
            feature=NAMES[int(column)],
            first=float(left[row, column]),
            second=float(right[row, column]),
        )
        for row, column in np.argwhere(~same)
    ]
