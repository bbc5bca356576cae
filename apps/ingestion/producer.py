"""The one way events get onto Kafka: keyed by patient, with the headers that the readers need.

A message is kept until the broker has acknowledged it. If acknowledgements stop (a client can wedge for ever after a
broker went away and came back), the client is replaced and what was unacknowledged is sent again, in order. A message
may therefore arrive twice; it carries the same record, and the cleaning removes it.
"""

from __future__ import annotations

import contextlib
import time
import uuid
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, Self

import orjson
import structlog
from kafka import KafkaProducer
from kafka.errors import KafkaError
from kafka.partitioner.default import murmur2

from apps.core.errors import Unavailable
from ml.contracts import PRODUCERS, TOPICS
from ml.contracts.events import SCHEMA_VERSION

log = structlog.get_logger(__name__)

STALL_SECONDS = 10.0
MAX_PENDING = 50_000
MAX_FRUITLESS = 12
_CHECK_EVERY = 256


class Acknowledged(NamedTuple):
    """Where the broker put a message."""

    topic: str
    partition: int
    offset: int
    key: str | None
    value: bytes | None


class NotDelivered(Unavailable):
    """The broker did not take messages in time; they may or may not have arrived."""

    title = "The messages were not delivered"


class _Pending(NamedTuple):
    future: Any
    sent_at: float
    topic: str
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]]
    timestamp: int | None
    arrived: Callable[[Acknowledged], None] | None


def patient_key(trial_id: str, patient_id: str) -> str:
    """The Kafka key of a patient; it is also the patient's name everywhere else."""
    return f"{trial_id}/{patient_id}"


@lru_cache(maxsize=100_000)
def _hash(key: bytes) -> int:
    """Kafka's own key hash (the default of every client), kept because patients come again."""
    return int(murmur2(key)) & 0x7FFFFFFF


class EventProducer:
    """Sends events in the name of one row of ``ml.contracts.PRODUCERS``. Not to be shared between threads."""

    def __init__(
        self,
        servers: Sequence[str],
        *,
        producer: str,
        ledger: Callable[[Acknowledged], None] | None = None,
        linger_ms: int = 20,
        stall_seconds: float = STALL_SECONDS,
    ) -> None:
        if producer not in PRODUCERS:
            raise ValueError(f"{producer!r} is not a known producer: add a row to ml/contracts/producers.py.")
        self._servers = list(servers)
        self._name = producer.encode()
        self._ledger = ledger
        self._linger_ms = linger_ms
        self._stall_seconds = stall_seconds
        self._pending: deque[_Pending] = deque()
        self._since_check = 0
        self.replacements = 0
        self._fruitless = 0  # replacements since the last acknowledgement
        self._client = self._connect()

    def _connect(self) -> Any:
        return KafkaProducer(
            bootstrap_servers=self._servers,
            acks="all",
            # order holds because one request is under way at a time; broker-side sequence numbers would not outlive a
            # broker that keeps everything in memory
            enable_idempotence=False,
            max_in_flight_requests_per_connection=1,
            retries=10,
            linger_ms=self._linger_ms,
            batch_size=262_144,
            max_block_ms=15_000,
            request_timeout_ms=8_000,
            delivery_timeout_ms=60_000,
            metadata_max_age_ms=30_000,
            allow_auto_create_topics=False,
        )

    def send(
        self,
        topic: str,
        key: str | None,
        value: Mapping[str, Any] | bytes | None,
        *,
        correlation_id: str | None = None,
        timestamp_ms: int | None = None,
        schema_version: str = SCHEMA_VERSION,
        producer: str | None = None,
        arrived: Callable[[Acknowledged], None] | None = None,
    ) -> None:
        """Hand over one event (a mapping, or the raw bytes as they are). It has arrived once ``flush`` returns.

        ``key`` is :func:`patient_key`; ``producer`` speaks for another row of the table; ``arrived`` is told where the
        broker put this one.
        NotDelivered if the broker has been away for too long.
        """
        if topic not in TOPICS:
            raise ValueError(f"{topic!r} is not one of our topics: {', '.join(TOPICS)}.")
        raw = orjson.dumps(value) if isinstance(value, Mapping) else value
        headers = [
            ("producer", producer.encode() if producer else self._name),
            ("correlation_id", (correlation_id or uuid.uuid4().hex).encode()),
            ("schema_version", schema_version.encode()),
        ]
        self._put(topic, None if key is None else key.encode(), raw, headers, timestamp_ms, arrived)
        self._since_check += 1
        if self._since_check >= _CHECK_EVERY:
            self._since_check = 0
            self._settle()
            while len(self._pending) >= MAX_PENDING:
                self._watch()
                time.sleep(0.005)
                self._settle()

    def _put(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        headers: list[tuple[str, bytes]],
        timestamp: int | None,
        arrived: Callable[[Acknowledged], None] | None,
    ) -> None:
        try:
            known = self._client.partitions_for(topic)
            if not known:
                raise NotDelivered(
                    f"The broker has no topic {topic}.", cure="Start the bronze consumer: it makes them."
                )
            partition = None if key is None else _hash(key) % len(known)
            future = self._client.send(
                topic, value=value, key=key, headers=headers, partition=partition, timestamp_ms=timestamp
            )
        except KafkaError as error:
            raise NotDelivered(f"The broker does not take messages: {error}. Is it running?") from error
        self._pending.append(_Pending(future, time.monotonic(), topic, key, value, headers, timestamp, arrived))

    def _settle(self) -> None:
        """Let go of what was acknowledged; a refusal by the broker means sending again."""
        pending = self._pending
        while pending and pending[0].future.is_done:
            first = pending[0]
            if first.future.failed():
                self._replace(f"the broker answered {first.future.exception!r}")
                return
            pending.popleft()
            self._fruitless = 0
            tell = [one for one in (self._ledger, first.arrived) if one is not None]
            if tell:
                where = first.future.value
                key = None if first.key is None else first.key.decode()
                for one in tell:
                    one(Acknowledged(where.topic, where.partition, where.offset, key, first.value))

    def _watch(self) -> None:
        if self._pending and time.monotonic() - self._pending[0].sent_at > self._stall_seconds:
            self._replace(f"nothing was acknowledged for {self._stall_seconds:g} s")

    def _replace(self, why: str) -> None:
        """Give the client up, make a new one, send what is open again."""
        self.replacements += 1
        self._fruitless += 1
        if self._fruitless > MAX_FRUITLESS:
            raise NotDelivered(f"{MAX_FRUITLESS} clients in a row delivered nothing; the last one because {why}.")
        log.warning("producer_replaced", reason=why, unacknowledged=len(self._pending), times=self.replacements)
        old, waiting = self._client, list(self._pending)
        self._pending.clear()
        with contextlib.suppress(KafkaError, OSError):
            old.close(timeout=0)
        try:
            self._client = self._connect()
            for item in waiting:
                if item.future.is_done and item.future.succeeded():
                    self._pending.append(item)
                    continue
                self._put(item.topic, item.key, item.value, item.headers, item.timestamp, item.arrived)
        except (KafkaError, NotDelivered):
            # still away: keep the rest, the next watch tries again
            self._pending.extend(item._replace(sent_at=time.monotonic()) for item in waiting[len(self._pending) :])
            time.sleep(0.5)

    def flush(self, timeout: float = 60.0) -> None:
        """Wait until everything handed over has been acknowledged. NotDelivered after ``timeout`` seconds."""
        end = time.monotonic() + timeout
        self._settle()
        while self._pending:
            with contextlib.suppress(KafkaError):  # the watch below decides
                self._client.flush(timeout=min(1.0, max(0.05, end - time.monotonic())))
            self._settle()
            self._watch()
            if self._pending and time.monotonic() > end:
                raise NotDelivered(f"{len(self._pending)} messages were not acknowledged within {timeout:g} s.")

    def close(self, timeout: float = 30.0) -> None:
        """Flush and let go of the connection."""
        try:
            self.flush(timeout)
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Let go of the connection; what was not acknowledged may be lost."""
        with contextlib.suppress(KafkaError, OSError):
            self._client.close(timeout=1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
