"""What a topic's cleaning returns, and the Arrow arrays it is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from ml.cleaning.numbers import Bool, Float, Int
from ml.cleaning.rules import FLAGS
from ml.facts import ABSENT


@dataclass(slots=True)
class Body:
    """Silver columns of a topic by name, its flags as masks, and which rows are kept."""

    columns: dict[str, pa.Array]
    flags: list[tuple[str, Bool]]
    keep: Bool


def number_array(values: Float) -> pa.Array:
    """float64 with NaN as null."""
    return pa.array(values, pa.float64(), from_pandas=True)


def time_array(values: Int) -> pa.Array:
    """int64 with ABSENT as null."""
    return pa.array(values, pa.int64(), mask=values == ABSENT)


def flags_array(flags: Sequence[tuple[str, Bool]], n: int) -> pa.ListArray:
    """A list of flag names per row, in the order of the rules' table."""
    raised = sorted(((name, mask) for name, mask in flags if mask.any()), key=lambda item: FLAGS.index(item[0]))
    if not raised:
        return pa.ListArray.from_arrays(np.zeros(n + 1, np.int32), pa.array([], pa.string()))
    matrix = np.stack([mask for _, mask in raised], axis=1)
    offsets = np.concatenate([[0], np.cumsum(matrix.sum(axis=1))]).astype(np.int32)
    _, which = np.nonzero(matrix)
    names = pa.array([name for name, _ in raised], pa.string())
    return pa.ListArray.from_arrays(offsets, names.take(pa.array(which)))
