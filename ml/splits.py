"""Splits by patient: no patient stands in two parts, and each part has its share of patients who ever had an event.

Membership follows from (seed, patient) by hash, never from the order of rows or from chance at run time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

TRAIN, VALIDATION, TEST = 0, 1, 2
PARTS = ("train", "validation", "test")
FRACTIONS = (0.70, 0.15, 0.15)


def _patients_by_hash(
    patient: NDArray[np.integer], names: Sequence[str], label: NDArray[np.integer], seed: int
) -> list[list[int]]:
    """Strata (never positive, ever positive), each a list of patient positions in the order of their hash."""
    if len(patient) != len(label):
        raise ValueError("Patients and labels must be equally many.")
    present = np.unique(patient)
    ever = np.zeros(len(names), dtype=np.bool_)
    ever[patient[label > 0]] = True
    order = sorted(present.tolist(), key=lambda p: hashlib.sha256(f"{seed}\x1f{names[p]}".encode()).digest())
    return [[p for p in order if ever[p] == flag] for flag in (False, True)]


def split_by_patient(
    patient: NDArray[np.integer],
    names: Sequence[str],
    label: NDArray[np.integer],
    *,
    seed: int,
    fractions: tuple[float, float, float] = FRACTIONS,
) -> NDArray[np.int8]:
    """The part of each row [n]: TRAIN, VALIDATION or TEST.

    `patient` [n] are positions in `names`; `label` [n] is 1 where an event begins within the horizon. Parts are filled so
    that the cumulative share of patients in each stratum is kept to within one patient.
    """
    if abs(sum(fractions) - 1.0) > 1e-9 or min(fractions) < 0:
        raise ValueError(f"The fractions of a split must add up to 1; {fractions} do not.")
    part = np.full(len(names), -1, dtype=np.int8)
    for stratum in _patients_by_hash(patient, names, label, seed):
        first = round(len(stratum) * fractions[0])
        second = round(len(stratum) * (fractions[0] + fractions[1]))
        for position, p in enumerate(stratum):
            part[p] = TRAIN if position < first else VALIDATION if position < second else TEST
    return np.asarray(part[patient])


def grouped_folds(
    patient: NDArray[np.integer], names: Sequence[str], label: NDArray[np.integer], *, folds: int, seed: int
) -> NDArray[np.int8]:
    """The fold 0 … folds − 1 of each row [n], patients dealt out in turn within each stratum; arguments as above."""
    if folds < 2:
        raise ValueError("Cross-validation needs at least two folds.")
    fold = np.full(len(names), -1, dtype=np.int8)
    dealt = 0
    for stratum in _patients_by_hash(patient, names, label, seed):
        for p in stratum:
            fold[p] = dealt % folds
            dealt += 1
    return np.asarray(fold[patient])
