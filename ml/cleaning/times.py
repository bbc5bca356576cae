"""Times of events: ISO 8601 UTC texts to whole seconds. What happened is rounded down, what was learned up."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from ml.cleaning.numbers import Bool, Int
from ml.facts import ABSENT

_SECOND = 1_000_000_000
_NANOSECONDS = pa.timestamp("ns", "UTC")


def nanoseconds(texts: Sequence[str | None]) -> tuple[Int, Bool]:
    """Nanoseconds since 1970 UTC of ISO 8601 texts, and which are there; 0 where none is. ArrowInvalid for no time."""
    parsed = pa.array(texts, pa.string()).cast(_NANOSECONDS).cast(pa.int64())
    there = ~np.asarray(parsed.is_null(), np.bool_) if parsed.null_count else np.ones(len(texts), np.bool_)
    return np.asarray(parsed.fill_null(0), np.int64), there


def floor_seconds(values: Int) -> Int:
    """Whole seconds, rounded down."""
    return values // _SECOND


def ceil_seconds(values: Int) -> Int:
    """Whole seconds, rounded up."""
    return -(-values // _SECOND)


def optional_ceil(texts: Sequence[str | None]) -> Int:
    """Whole seconds rounded up; ABSENT where there is no time."""
    values, there = nanoseconds(texts)
    return np.where(there, ceil_seconds(values), ABSENT)


def optional_floor(texts: Sequence[str | None]) -> Int:
    """Whole seconds rounded down; ABSENT where there is no time."""
    values, there = nanoseconds(texts)
    return np.where(there, floor_seconds(values), ABSENT)
