"""Random numbers as a pure function of what they are for.

A draw is a hash of (seed, stream, patient, moment, index): no generator carries a state, so any patient, day or second
can be drawn alone, in any order, in chunks of any size, and always gives the same number. The hash is SplitMix64's
finaliser (Steele, Lea & Flood 2014) applied in a chain; normal deviates come by Box and Muller.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]
Words = NDArray[np.uint64]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)
_30, _27, _31, _32, _11 = (np.uint64(shift) for shift in (30, 27, 31, 32, 11))
_LOW = np.uint64(0xFFFFFFFF)


class Stream(IntEnum):
    """What a number is drawn for. A number, once given, is never used for something else."""

    PATIENT = 1
    HISTORY = 2
    MEDICINE = 3
    EPISODE = 4
    EPISODE_EVENT = 5
    BACKGROUND_EVENT = 6
    EVENT_FORM = 7
    DOSE = 8
    WHITE = 9
    SLOW = 10
    DEVICE = 11
    FATE = 12
    LAB_PANEL = 13
    LAB_VALUE = 14
    MALFORMED = 15
    DEMO = 16
    SHAPES = 17


def _mix(words: Words) -> Words:
    words = (words ^ (words >> _30)) * _FIRST
    words = (words ^ (words >> _27)) * _SECOND
    return words ^ (words >> _31)


def words(seed: int, stream: Stream, *indices: Any) -> Words:
    """64 random bits for each element of the broadcast integer `indices`."""
    with np.errstate(over="ignore"):
        state = _mix(np.asarray([(seed * 1_000_003 + int(stream)) & 0xFFFFFFFFFFFFFFFF], np.uint64) + _GOLDEN)
        for index in indices:
            state = _mix(state * _GOLDEN + np.asarray(index, np.int64).astype(np.uint64))
    return state


def uniform(seed: int, stream: Stream, *indices: Any) -> Float:
    """Uniform in [0, 1), 53 bits."""
    drawn: Float = (words(seed, stream, *indices) >> _11).astype(np.float64) * 2.0**-53
    return drawn


def normal(seed: int, stream: Stream, *indices: Any) -> Float:
    """Standard normal."""
    drawn = words(seed, stream, *indices)
    radius = np.sqrt(-2.0 * np.log(((drawn >> _32).astype(np.float64) + 1.0) * 2.0**-32))
    deviate: Float = radius * np.cos((2.0 * np.pi * 2.0**-32) * (drawn & _LOW).astype(np.float64))
    return deviate
