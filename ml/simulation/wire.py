"""From arrays to messages: times as text, JSON as bytes, one order for all."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import orjson

from ml.contracts.events import TOPICS
from ml.simulation.cohort import Int

TOPIC_ORDER: dict[str, int] = {topic: index for index, topic in enumerate(TOPICS)}


class Message(NamedTuple):
    """One message of the simulator. `known_at` is when its source recorded it, seconds since 1970 UTC; `key` the patient
    as "trial/patient"; `value` the bytes of its JSON."""

    known_at: int
    topic: str
    key: str
    value: bytes


class Draft(NamedTuple):
    """A message with what orders it: known_at, topic's number, patient's position, a number within these."""

    known_at: int
    topic: int
    position: int
    serial: int
    value: bytes


def iso(times: Int) -> list[str]:
    """Seconds since 1970 as ISO 8601 texts in UTC."""
    return [f"{text}Z" for text in np.datetime_as_string(times.astype("datetime64[s]"), unit="s").tolist()]


def iso_one(time: int) -> str:
    """One time as ISO 8601 text in UTC."""
    return iso(np.array([time], np.int64))[0]


def draft(known_at: int, topic: str, position: int, serial: int, value: dict[str, Any]) -> Draft:
    """A message from its fields."""
    return Draft(known_at, TOPIC_ORDER[topic], position, serial, orjson.dumps(value))
