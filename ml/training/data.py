"""The rows a model learns from, as arrays: features as known then, labels as known now, one row a patient and time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]


class DataError(ValueError):
    """There are no rows to learn from, or they lack what training needs."""


class TooFew(DataError):
    """Nothing is wrong with the data, but there is too little to learn from; the message names the number."""


@dataclass(frozen=True)
class TrainingData:
    """n rows over f features that count (label mature, follow-up complete), sorted by patient and time.

    `patients` are names ("trial/patient") that `patient` [n] points into; `as_of` seconds since 1970 UTC; `features`
    float32 [n, f], NaN = no value; `label` 1 = an event begins within the horizon; `hours_to_onset` (NaN = none);
    `oracle` the simulator's true probability, where known; `left_out` counts the rows that do not count, by reason.
    """

    names: tuple[str, ...]
    patients: tuple[str, ...]
    patient: NDArray[np.int32]
    as_of: NDArray[np.int64]
    features: NDArray[np.float32]
    label: NDArray[np.int8]
    site: NDArray[np.str_]
    hours_to_onset: Float
    left_out: dict[str, int]
    oracle: Float | None = None

    def __post_init__(self) -> None:
        n = len(self.patient)
        columns: tuple[NDArray[Any], ...] = (self.as_of, self.label, self.site, self.hours_to_onset)
        if self.features.shape != (n, len(self.names)) or any(len(column) != n for column in columns):
            raise DataError("The columns of the training data are not equally long.")
        if n == 0:
            raise DataError("There is no row to learn from; build features and labels first.")
        if not np.isin(self.label, (0, 1)).all():
            raise DataError("A label must be 0 or 1; rows without one do not count and must be left out.")

    def __len__(self) -> int:
        return len(self.patient)

    def take(self, rows: NDArray[np.bool_] | NDArray[np.intp]) -> TrainingData:
        """The chosen rows (mask or positions)."""
        return replace(
            self,
            patient=self.patient[rows],
            as_of=self.as_of[rows],
            features=self.features[rows],
            label=self.label[rows],
            site=self.site[rows],
            hours_to_onset=self.hours_to_onset[rows],
            oracle=None if self.oracle is None else self.oracle[rows],
        )

    def with_label(self, label: NDArray[np.integer]) -> TrainingData:
        """The same rows with other labels (a check with shuffled ones)."""
        return replace(self, label=label.astype(np.int8))

    def column(self, name: str) -> Float:
        """One feature [n] as float64; all NaN where there is no such feature."""
        if name not in self.names:
            return np.full(len(self), np.nan)
        return self.features[:, self.names.index(name)].astype(np.float64)


def positions(names: Sequence[str], chosen: Sequence[str]) -> list[int]:
    """Where the chosen features stand; those that do not exist are passed over."""
    place = {name: index for index, name in enumerate(names)}
    return [place[name] for name in chosen if name in place]
