"""What becomes of a message on its way: in time, late, corrected, retracted, sent twice."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ml.simulation.cohort import Flag, Int
from ml.simulation.config import HOUR, Rates
from ml.simulation.streams import Stream, uniform

LATEST = 20 * HOUR
"""No message comes later than this after the one it belongs to was due."""


@dataclass(frozen=True, slots=True)
class Fate:
    """`first` is when the message is known, `second` when a further version of it is (0: never)."""

    first: Int
    second: Int
    corrected: Flag
    retracted: Flag


def fate(seed: int, rates: Rates, stream: Stream, position: Int, due: Int, index: Int | int) -> Fate:
    """Fates of messages due at `due` (seconds since 1970); the same for the same message whenever it is asked."""
    u = uniform(seed, stream, position, due, index, 0)
    span = uniform(seed, stream, position, due, index, 1)
    bounds = np.cumsum([rates.late, rates.correction, rates.retraction, rates.duplicate])
    late = u < bounds[0]
    corrected = (u >= bounds[0]) & (u < bounds[1])
    retracted = (u >= bounds[1]) & (u < bounds[2])
    twice = (u >= bounds[2]) & (u < bounds[3])
    first = due + np.where(late, 600 + span**3 * (LATEST - 600), 0).astype(np.int64)
    second = np.zeros(len(due), np.int64)
    second = np.where(corrected | retracted, due + (300 + span * 8 * HOUR).astype(np.int64), second)
    second = np.where(twice, due + (1 + span * 600).astype(np.int64), second)
    return Fate(first, second, corrected, retracted)
