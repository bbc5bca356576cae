"""What one partition has read and not yet claimed."""

from __future__ import annotations

import time
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from ml.contracts import Accepted, Refused, validate
from ml.contracts.events import SCHEMA_VERSION
from ml.lake.bronze import DeadLine, Line, dead_line, good_line
from ml.lake.claims import Chain, Claimed


def headers_of(record: Any) -> dict[str, str]:
    """A Kafka record's headers as texts; the last of a name counts."""
    return {name: "" if data is None else data.decode("utf-8", "backslashreplace") for name, data in record.headers}


def judge(record: Any) -> Accepted | Refused:
    """A Kafka record against its topic's contract, in the version its header names."""
    version = SCHEMA_VERSION
    for name, data in record.headers:
        if name == "schema_version":
            version = (data or b"").decode("utf-8", "backslashreplace")
    return validate(record.topic, record.value, version)


def correlation_of(record: Any) -> str:
    """The message's correlation id; one made of its identity where it carries none."""
    for name, data in record.headers:
        if name == "correlation_id" and data:
            return str(data.decode("utf-8", "backslashreplace"))[:64]
    return f"{record.topic}-{record.partition}-{record.offset}"


@dataclass
class PartitionBuffer:
    """Messages of one chain from ``next_offset`` on, in the order of their offsets.

    ``verified`` counts those known to be of this topic id, because the broker was asked for the id after they came.
    """

    chain: Chain
    epoch: int
    next_offset: int
    entries: list[Line | DeadLine] = field(default_factory=list)
    arrived: list[tuple[int, float]] = field(default_factory=list)
    verified: int = 0
    writing: Future[list[Claimed]] | None = None
    writing_since: float = 0.0
    lag: int | None = None
    last_timestamp: int | None = None

    @property
    def position(self) -> int:
        """The offset to be read next."""
        return self.entries[-1].offset + 1 if self.entries else self.next_offset

    @property
    def age(self) -> float:
        """Seconds since the oldest waiting message was read; by the monotonic clock, which no admin can set."""
        return time.monotonic() - self.arrived[0][1] if self.arrived else 0.0

    def add(self, record: Any, default_trial: str) -> Refused | None:
        """Judge and keep one record; the refusal if there was one. A record below our position is dropped."""
        if record.offset < self.position:
            return None
        outcome = judge(record)
        if isinstance(outcome, Accepted):
            value = outcome.value
            patient = f"{value.get('trial_id') or default_trial}/{value['patient_id']}"
            self.entries.append(
                good_line(
                    self.chain, record.offset, record.timestamp, record.key, record.headers, record.value, patient
                )
            )
            return None
        reasons = [{"rule": why.rule, "path": why.path, "message": why.message} for why in outcome.reasons]
        self.entries.append(
            dead_line(self.chain, record.offset, record.timestamp, record.key, record.headers, record.value, reasons)
        )
        return outcome

    def mark(self, count_before: int) -> None:
        """Remember when the entries behind ``count_before`` came."""
        if len(self.entries) > count_before:
            self.arrived.append((len(self.entries), time.monotonic()))

    def take(self, count: int) -> tuple[list[Line], list[DeadLine]]:
        """Remove the first ``count`` entries: good ones and refused ones."""
        taken, self.entries = self.entries[:count], self.entries[count:]
        self.arrived = [(end - count, moment) for end, moment in self.arrived if end > count]
        self.verified = max(0, self.verified - count)
        return (
            [entry for entry in taken if isinstance(entry, Line)],
            [entry for entry in taken if isinstance(entry, DeadLine)],
        )

    def clear(self, next_offset: int) -> None:
        """Drop what waits and go on at ``next_offset``."""
        self.entries, self.arrived, self.verified = [], [], 0
        self.next_offset = next_offset
