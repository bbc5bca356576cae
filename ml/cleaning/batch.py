"""A batch of bronze lines, read into columns: identity, times, and the message's fields by name."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from ml.cleaning.numbers import Bool, Float, Int
from ml.cleaning.times import ceil_seconds, floor_seconds, nanoseconds, optional_floor
from ml.contracts.events import EVENTS
from ml.contracts.producers import PRODUCERS
from ml.contracts.tables import QUARANTINE

BronzeLine = bytes | str | Mapping[str, Any]
"""One line of bronze, as it lies there or already parsed."""

_BACKFILLS = frozenset(name for name, row in PRODUCERS.items() if row.backfill)


def stable_codes(texts: Iterable[str]) -> Int:
    """`ml.facts.stable_code` of many texts whose parts are already joined by the unit separator."""
    sha = hashlib.sha256
    digests = b"".join([sha(text.encode()).digest()[:8] for text in texts])
    return np.frombuffer(digests, ">i8").astype(np.int64)


@dataclass(slots=True)
class Batch:
    """Columns of equal length `n`. Times are seconds since 1970 UTC; `nanos` is the event's own time, unrounded."""

    topic: str
    lines: Sequence[BronzeLine]
    values: list[dict[str, Any]]
    topic_id: list[str]
    partition: Int
    offset: Int
    epoch: Int
    producer: list[str | None]
    correlation_id: list[str | None]
    trial_id: list[str]
    nanos: Int
    event_time: Int
    known_time: Int
    retracted: Bool
    aside: list[tuple[int, str, str, str | None, str]] = field(default_factory=list)
    """(row, rule, field, value, sentence) of what is set aside."""

    @property
    def n(self) -> int:
        return len(self.values)

    def texts(self, name: str) -> list[Any]:
        """A field of every message, as it came; None where it is absent."""
        return [value.get(name) for value in self.values]

    def column(self, name: str) -> pa.Array:
        """A text field."""
        return pa.array(self.texts(name), pa.string())

    def flags(self, name: str) -> pa.Array:
        """A yes-or-no field; null where it is absent."""
        return pa.array(self.texts(name), pa.bool_())

    def numbers(self, name: str) -> Float:
        """A number field; NaN where it is absent."""
        return np.array(self.texts(name), np.float64)

    def times(self, name: str) -> Int:
        """A time field in whole seconds, rounded down; ABSENT where it is absent."""
        return optional_floor(self.texts(name))

    def set_aside(self, rows: Iterable[Any], rule: str, name: str, values: Sequence[Any] | None, sentence: str) -> None:
        """Note rows, or one field of them, for quarantine. `sentence` may hold one {} for the value."""
        for row in rows:
            value = None if values is None or values[row] is None else str(values[row])
            self.aside.append((int(row), rule, name, value, sentence.replace("{}", value or "")))

    def keys(self) -> Int:
        """`ml.facts.record_key` of every message: of its record_id, else of the contract's identity columns.

        A time in the identity is its nanoseconds since 1970, so that two spellings of one moment are one record.
        """
        contract = EVENTS[self.topic]
        columns: list[list[Any]] = [
            self.nanos.tolist() if name == contract.time_column else self.texts(name) for name in contract.identity
        ]
        head = self.topic + "\x1f"
        rows: Iterable[tuple[Any, ...]] = zip(*columns, strict=True)
        texts = []
        for record_id, identity in zip(self.texts("record_id"), rows, strict=True):
            if record_id:
                texts.append(f"{head}record_id\x1f{record_id}")
            else:
                texts.append(head + "\x1f".join(["" if part is None else str(part) for part in identity]))
        return stable_codes(texts)

    def quarantine(self) -> pa.Table:
        """What was set aside, with its reasons, in the order of the messages."""
        if not self.aside:
            return QUARANTINE.empty_table()
        aside = sorted(self.aside, key=lambda item: item[0])
        rows = [item[0] for item in aside]
        sites = self.texts("trial_site_id")
        columns: dict[str, Any] = {
            "topic": [self.topic] * len(rows),
            "topic_id": [self.topic_id[row] for row in rows],
            "partition": self.partition[rows],
            "offset": self.offset[rows],
            "trial_id": [self.trial_id[row] for row in rows],
            "trial_site_id": [sites[row] for row in rows],
            "patient_id": [self.values[row]["patient_id"] for row in rows],
            "event_time": self.event_time[rows],
            "known_time": self.known_time[rows],
            "rule": [item[1] for item in aside],
            "field": [item[2] for item in aside],
            "value": [item[3] for item in aside],
            "message": [item[4] for item in aside],
            "correlation_id": [self.correlation_id[row] for row in rows],
            "line": [_line_text(self.lines[row]) for row in rows],
        }
        return pa.table([pa.array(columns[item.name], item.type) for item in QUARANTINE], schema=QUARANTINE)


def _line_text(line: BronzeLine) -> str:
    if isinstance(line, str):
        return line.rstrip("\n")
    if isinstance(line, bytes):
        return line.decode().rstrip("\n")
    return orjson.dumps(line).decode()


def read(topic: str, lines: Sequence[BronzeLine], epochs: Mapping[str, int], default_trial: str) -> Batch:
    """Read bronze lines. ValueError where a line is of another topic or of a topic id that `epochs` does not know."""
    contract = EVENTS[topic]
    loads = orjson.loads
    parsed: list[Any] = [line if isinstance(line, Mapping) else loads(line) for line in lines]
    values = [line["value"] for line in parsed]
    topic_id = [line["topic_id"] for line in parsed]
    foreign = next((line["topic"] for line in parsed if line["topic"] != topic), None)
    if foreign is not None:
        raise ValueError(f"A line of {foreign} was given as one of {topic}.")
    unknown = set(topic_id) - epochs.keys()
    if unknown:
        raise ValueError(
            f"{topic} has no epoch for topic id {min(unknown)}; bronze must open one before it is cleaned."
        )
    headers = [line.get("headers") or {} for line in parsed]
    producer = [header.get("producer") for header in headers]
    nanos, _ = nanoseconds([value[contract.time_column] for value in values])
    known = -(-np.array([line["timestamp"] for line in parsed], np.int64) // 1000)
    backfill = np.array([name in _BACKFILLS for name in producer], np.bool_)
    if backfill.any():
        recorded, there = nanoseconds([value.get("recorded_at") for value in values])
        known = np.where(backfill & there, ceil_seconds(recorded), known)
    return Batch(
        topic=topic,
        lines=lines,
        values=values,
        topic_id=topic_id,
        partition=np.array([line["partition"] for line in parsed], np.int64),
        offset=np.array([line["offset"] for line in parsed], np.int64),
        epoch=np.array([epochs[name] for name in topic_id], np.int64),
        producer=producer,
        correlation_id=[header.get("correlation_id") for header in headers],
        trial_id=[value.get("trial_id") or default_trial for value in values],
        nanos=nanos,
        event_time=floor_seconds(nanos),
        known_time=known,
        retracted=np.array([value.get("retracted") is True for value in values], np.bool_),
    )
