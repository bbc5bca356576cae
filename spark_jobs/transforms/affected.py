"""Which days of a topic a run has to write again, and which it has to read for that."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from ml.cleaning.rules import FILL_SECONDS
from spark_jobs.transforms.cleaning import DAY, VITALS

assert FILL_SECONDS <= DAY


class Affected(NamedTuple):
    """Days since 1970."""

    rewrite: frozenset[int]
    inputs: frozenset[int]


def affected(topic: str, *, all_days: set[int], new_days: set[int], new_keys: pa.Table, all_keys: pa.Table) -> Affected:
    """Days to write: those with something new, those where a changed record has other versions, and for vital signs the
    day after each of them (forward fill). Days to read: these, for vital signs the day before (it is filled from), and
    wherever else the records on those days have versions.

    `all_days`: every day that has data, the new ones among them. Key tables: (key, day) of records whose versions may
    lie on several days; `all_keys` holds the new ones too.
    """
    key, day = (np.asarray(all_keys[name], np.int64) for name in ("key", "day"))
    changed = set(new_days) | _days(key, day, np.asarray(new_keys["key"], np.int64))
    reach = 1 if topic == VITALS else 0
    rewrite = {one + step for one in changed for step in range(reach + 1)} & all_days
    read = {one - step for one in rewrite for step in range(reach + 1)} & all_days
    beside = _days(key, day, key[np.isin(day, list(read))])
    return Affected(frozenset(rewrite), frozenset(read | beside))


def _days(key: np.ndarray[Any, Any], day: np.ndarray[Any, Any], wanted: np.ndarray[Any, Any]) -> set[int]:
    return set(np.unique(day[np.isin(key, wanted)]).tolist())
