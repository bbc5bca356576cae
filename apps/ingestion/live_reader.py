"""The live loop's eyes on Kafka: good messages as bronze lines, from given positions on, of known topic ids only."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError, NoOffsetForPartitionError, OffsetOutOfRangeError

from apps.core import clock
from apps.core.errors import Unavailable
from apps.ingestion.buffer import headers_of, judge
from apps.ingestion.topics import TopicDirectory, TopicState
from apps.ingestion.window import Position
from ml.contracts import TOPICS, Accepted
from ml.lake import Lake
from ml.lake.bronze import BronzeLine
from ml.lake.epochs import open_epoch

log = structlog.get_logger(__name__)


class TopicsMadeAnew(Exception):
    """A topic's id changed: positions and windows of before no longer fit."""


class LiveReader:
    """Reads all partitions of the five topics. ``epochs``: topic → topic id → epoch."""

    def __init__(
        self,
        *,
        lake: Lake,
        servers: Sequence[str],
        group_id: str,
        topics: Sequence[str] = TOPICS,
        check_seconds: float = 1.0,
        poll_records: int = 5000,
    ) -> None:
        self.lake = lake
        self.states: dict[str, TopicState] = {}
        self.epochs: dict[str, dict[str, int]] = {}
        self.next_offsets: dict[Position, int] = {}
        self._topics = tuple(topics)
        self._servers, self._group_id = list(servers), group_id
        self._check_seconds, self._poll_records = check_seconds, poll_records
        self._directory = TopicDirectory(servers)
        self._consumer: Any = None
        self._checked = 0.0
        self._newest_ms: dict[Position, int] = {}

    def look(self) -> dict[str, TopicState]:
        """Ask for the topics' ids, making what is missing, and open their epochs."""
        self.states = self._directory.ensure(self._topics)
        for topic, state in self.states.items():
            epoch = open_epoch(
                self.lake, topic, state.topic_id, opened=clock.now().isoformat(), partitions=state.partitions
            )
            self.epochs.setdefault(topic, {})[state.topic_id] = epoch.number
        self._checked = time.monotonic()
        return self.states

    def open(self, positions: Mapping[Position, int]) -> None:
        """Read from ``positions`` on; a partition without one from its beginning."""
        self.close(directory=False)
        self._consumer = KafkaConsumer(
            bootstrap_servers=self._servers,
            group_id=self._group_id,
            enable_auto_commit=False,
            auto_offset_reset="none",
            max_poll_records=self._poll_records,
            fetch_max_wait_ms=100,
            max_partition_fetch_bytes=4 << 20,
            allow_auto_create_topics=False,
        )
        wanted = [
            TopicPartition(topic, number)
            for topic, state in sorted(self.states.items())
            for number in range(state.partitions)
        ]
        self._consumer.assign(wanted)
        earliest = self._consumer.beginning_offsets(wanted)
        self.next_offsets = {}
        for partition in wanted:
            place = (partition.topic, self.states[partition.topic].topic_id, partition.partition)
            offset = positions.get(place, int(earliest.get(partition) or 0))
            self.next_offsets[place] = offset
            self._consumer.seek(partition, offset)

    def close(self, *, directory: bool = True) -> None:
        if self._consumer is not None:
            consumer, self._consumer = self._consumer, None
            try:
                consumer.close()
            except (KafkaError, OSError) as error:
                log.warning("consumer_close_failed", error=str(error))
        if directory:
            self._directory.close()

    def poll(self, timeout_ms: int = 200) -> dict[str, list[BronzeLine]]:
        """Topic → good messages read now; ``next_offsets`` moves behind them. Refused ones are bronze's to keep."""
        try:
            polled = self._consumer.poll(timeout_ms=timeout_ms, max_records=self._poll_records)
        except (OffsetOutOfRangeError, NoOffsetForPartitionError) as error:
            self.same_topics(force=True)
            raise Unavailable(
                f"The broker no longer has what the live loop must read next: {error}.",
                cure="Start the live loop again: it rebuilds its windows from bronze.",
            ) from error
        except KafkaError as error:
            log.warning("broker_not_answering", error=str(error))
            time.sleep(0.2)
            return {}
        found: dict[str, list[BronzeLine]] = {}
        for partition, records in polled.items():
            topic_id = self.states[partition.topic].topic_id
            place = (partition.topic, topic_id, partition.partition)
            lines = found.setdefault(partition.topic, [])
            for record in records:
                if record.offset < self.next_offsets[place]:
                    continue
                self.next_offsets[place] = record.offset + 1
                outcome = judge(record)
                if isinstance(outcome, Accepted):
                    lines.append(
                        {
                            "topic": record.topic,
                            "topic_id": topic_id,
                            "partition": record.partition,
                            "offset": record.offset,
                            "timestamp": record.timestamp,
                            "key": None if record.key is None else record.key.decode("utf-8", "backslashreplace"),
                            "headers": headers_of(record),
                            "value": outcome.value,
                        }
                    )
            if records:
                self._newest_ms[place] = records[-1].timestamp
        return found

    def same_topics(self, *, force: bool = False) -> bool:
        """Whether the broker confirms the topic ids (asked at most once a second). False while it does not answer.

        Raises TopicsMadeAnew when one changed: what was polled since the last confirmation must not be applied.
        """
        if not force and time.monotonic() - self._checked < self._check_seconds:
            return True
        try:
            states = self._directory.describe(self._topics)
        except KafkaError as error:
            log.warning("broker_not_answering", error=str(error))
            time.sleep(0.2)
            return False
        self._checked = time.monotonic()
        if {topic: state.topic_id for topic, state in states.items()} != {
            topic: state.topic_id for topic, state in self.states.items()
        }:
            raise TopicsMadeAnew
        return True

    def lags(self) -> dict[Position, int]:
        """Messages on the broker that were not read yet, as far as the broker has told."""
        found = {}
        for place, offset in self.next_offsets.items():
            high = self._consumer.highwater(TopicPartition(place[0], place[2]))
            found[place] = 0 if high is None else max(0, high - offset)
        return found

    def newest_ms(self, place: Position) -> int | None:
        """Timestamp of the last record read of a partition, milliseconds."""
        return self._newest_ms.get(place)
