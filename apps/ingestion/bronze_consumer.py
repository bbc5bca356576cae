"""Kafka → bronze, exactly once: read, validate, batch, write, claim, and only then let go.

The object store is the truth. Where to read on is asked of the claim chain, never of Kafka's committed offset, which is
kept for lag displays alone. Several consumers may run on the same partitions: the chain lets one win each batch.
"""

from __future__ import annotations

import os
import socket
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import structlog
from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError, NoOffsetForPartitionError, OffsetOutOfRangeError
from kafka.structs import OffsetAndMetadata

from apps.core import clock
from apps.core.errors import Unavailable
from apps.ingestion import metrics
from apps.ingestion.buffer import PartitionBuffer, correlation_of
from apps.ingestion.topics import TopicDirectory, TopicState
from ml.contracts import TOPICS
from ml.lake import Lake
from ml.lake.bronze import DeadLine, Line, claim_batch, prepare_batch
from ml.lake.claims import Chain, Claim, Claimed, genesis, next_offset
from ml.lake.epochs import open_epoch

log = structlog.get_logger(__name__)


class OffsetsLost(Unavailable):
    """The broker no longer has what bronze expects next: a person must look before anything is skipped."""

    title = "Messages are missing on the broker"


@dataclass(frozen=True)
class Limits:
    """When a batch is cut and when reading pauses."""

    records: int = 1000
    seconds: float = 30.0
    waiting: int = 40_000
    """Messages that may wait for their write before reading pauses."""
    check_seconds: float = 1.0
    poll_records: int = 5000


def _nothing(*_: Any) -> None:
    return None


def writer_id() -> str:
    """Names this writer in its claims: machine, process, and a random part."""
    return f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"


class BronzeConsumer:
    """One process's part of the bronze consumer; :meth:`run` it.

    ``partitions`` None = all partitions, else their numbers in every topic. ``on_claim(claim)`` is called after each
    claim of ours, in order within a chain; ``on_epoch(topic, topic id, number)`` when a topic was made anew.
    ``probe(point)`` is called at "written" (objects there, claim not), "claimed" and "committed"; tests kill the
    process there.
    """

    def __init__(
        self,
        *,
        lake: Lake,
        servers: Sequence[str],
        group_id: str,
        default_trial: str,
        topics: Sequence[str] = TOPICS,
        partitions: Sequence[int] | None = None,
        limits: Limits | None = None,
        on_claim: Callable[[Claim], None] = _nothing,
        on_epoch: Callable[[str, str, int], None] = _nothing,
        probe: Callable[[str], None] = _nothing,
    ) -> None:
        self.lake = lake
        self.limits = limits or Limits()
        self.buffers: dict[TopicPartition, PartitionBuffer] = {}
        self.cut_now = False
        self._servers = list(servers)
        self._group_id = group_id
        self._default_trial = default_trial
        self._topics = tuple(topics)
        self._numbers = None if partitions is None else frozenset(partitions)
        self._on_claim = on_claim
        self._on_epoch = on_epoch
        self._probe = probe
        self._writer = writer_id()
        self._directory = TopicDirectory(servers)
        self._states: dict[str, TopicState] = {}
        self._uncommitted: dict[TopicPartition, int] = {}
        self._checked = 0.0
        self._consumer: Any = None
        self._pool = ThreadPoolExecutor(4, thread_name_prefix="bronze-write")

    # --- the loop ----------------------------------------------------------------------------------------------------

    def run(self, stop: Callable[[], bool], *, drain: bool = False) -> None:
        """Work until ``stop()``; with ``drain``, until everything that is on the broker now is claimed.

        Either way what was read is claimed before it returns. OffsetsLost where messages are gone from the broker.
        """
        try:
            self._open(self._directory.ensure(self._topics))
            idle_since = time.monotonic()
            while not stop():
                if self._poll():
                    idle_since = time.monotonic()
                self._check_ids()
                self._collect()
                self._cut(everything=self.cut_now)
                self.cut_now = False
                self._commit()
                if drain and time.monotonic() - idle_since > 1.5 and self._caught_up():
                    break
            self._flush()
        finally:
            self._close()

    def _close(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._directory.close()
        if self._consumer is not None:
            try:
                self._consumer.close()
            except (KafkaError, OSError) as error:
                log.warning("consumer_close_failed", error=str(error))

    # --- positions ---------------------------------------------------------------------------------------------------

    def _open(self, states: dict[str, TopicState]) -> None:
        """(Re)build every buffer from the claim chains of the topics' present ids, and seek there."""
        if self._consumer is not None:
            self._consumer.close()
        self._states = states
        self._consumer = KafkaConsumer(
            bootstrap_servers=self._servers,
            group_id=self._group_id,
            enable_auto_commit=False,
            auto_offset_reset="none",
            max_poll_records=self.limits.poll_records,
            fetch_max_wait_ms=200,
            max_partition_fetch_bytes=4 << 20,
            fetch_max_bytes=32 << 20,
            allow_auto_create_topics=False,
        )
        wanted = [
            TopicPartition(topic, number)
            for topic, state in sorted(states.items())
            for number in range(state.partitions)
            if self._numbers is None or number in self._numbers
        ]
        self._consumer.assign(wanted)
        earliest = self._consumer.beginning_offsets(wanted)
        self.buffers = {}
        for partition in wanted:
            state = states[partition.topic]
            epoch = open_epoch(
                self.lake,
                partition.topic,
                state.topic_id,
                opened=clock.now().isoformat(),
                partitions=state.partitions,
            )
            if epoch.fresh and epoch.number > 0:
                metrics.EPOCHS.labels(partition.topic).inc()
                log.error(
                    "epoch_opened",
                    topic=partition.topic,
                    topic_id=state.topic_id,
                    epoch=epoch.number,
                    message="The topic was made anew: its offsets begin again, and what was not yet claimed is lost.",
                )
                self._on_epoch(partition.topic, state.topic_id, epoch.number)
            chain = Chain(partition.topic, state.topic_id, partition.partition)
            first = int(earliest.get(partition) or 0)
            expected = next_offset(self.lake, chain)
            if expected is None:
                expected = genesis(self.lake, chain, first)
            if expected < first:
                raise self._lost(partition, expected, f"the oldest offset it still has is {first}")
            self.buffers[partition] = PartitionBuffer(chain, epoch.number, expected)
            self._consumer.seek(partition, expected)
        self._checked = time.monotonic()
        log.info("bronze_opened", partitions=len(self.buffers), writer=self._writer, group=self._group_id)

    @staticmethod
    def _lost(partition: TopicPartition, expected: int | None, detail: str) -> OffsetsLost:
        return OffsetsLost(
            f"Bronze expects offset {expected} of {partition.topic} partition {partition.partition}, but {detail}.",
            cure="Lengthen the topic's retention, and see docs/runbooks/bronze.md before anything is skipped.",
        )

    def _check_ids(self, *, force: bool = False) -> bool:
        """Ask the broker for the topic ids. True = still the same, so all that was read so far is of them."""
        if not force and time.monotonic() - self._checked < self.limits.check_seconds:
            return True
        try:
            states = self._directory.describe(self._topics)
        except KafkaError as error:
            log.warning("broker_not_answering", error=str(error))
            time.sleep(0.2)
            return False
        self._checked = time.monotonic()
        gone = {
            topic
            for topic, state in self._states.items()
            if topic not in states or states[topic].topic_id != state.topic_id
        }
        if not gone:
            for partition, buffer in self.buffers.items():
                buffer.verified = len(buffer.entries)
                self._see_lag(partition, buffer, buffer.next_offset)
            return True
        log.error("topic_made_anew", topics=sorted(gone))
        self._collect(wait=True)
        self._write_verified(buffer for buffer in self.buffers.values() if buffer.chain.topic in gone)
        self._open(self._directory.ensure(self._topics))
        return False

    # --- reading -----------------------------------------------------------------------------------------------------

    def _poll(self) -> int:
        if self._full():
            time.sleep(0.002)
            return 1
        try:
            polled = self._consumer.poll(timeout_ms=200, max_records=self.limits.poll_records)
        except (OffsetOutOfRangeError, NoOffsetForPartitionError) as error:
            if not self._check_ids(force=True):
                return 0  # the topic was made anew, or the broker is away: not a gap
            partition = next(iter(self.buffers))
            raise self._lost(partition, self.buffers[partition].position, f"the broker says {error}") from error
        except KafkaError as error:
            log.warning("broker_not_answering", error=str(error))
            time.sleep(0.2)
            return 0
        count = 0
        for partition, records in polled.items():
            buffer = self.buffers.get(partition)
            if buffer is None:
                continue
            before = len(buffer.entries)
            for record in records:
                refused = buffer.add(record, self._default_trial)
                if refused is not None:
                    first = refused.reasons[0]
                    metrics.REFUSED.labels(record.topic, first.rule).inc()
                    metrics.INVALID.labels(topic=record.topic, trial="", site="", rule=first.rule).inc()
                    log.warning(
                        "message_refused",
                        topic=record.topic,
                        partition=record.partition,
                        offset=record.offset,
                        rule=first.rule,
                        path=first.path,  # not the message: it quotes what was sent
                        correlation_id=correlation_of(record),
                    )
            buffer.mark(before)
            metrics.MESSAGES.labels(partition.topic).inc(len(records))
            count += len(records)
        return count

    def _full(self) -> bool:
        """Back-pressure: nothing is read while so much waits for its write. (Pausing single partitions is no way: the
        client in use can park a paused partition's records for ever.)"""
        return sum(len(buffer.entries) for buffer in self.buffers.values()) >= self.limits.waiting

    def _caught_up(self) -> bool:
        for partition, buffer in self.buffers.items():
            high = self._consumer.highwater(partition)
            if high is not None and buffer.position < high:
                return False
        return True

    # --- writing -----------------------------------------------------------------------------------------------------

    def _cut(self, *, everything: bool = False) -> None:
        due = [
            buffer
            for buffer in self.buffers.values()
            if buffer.writing is None
            and buffer.entries
            and (everything or len(buffer.entries) >= self.limits.records or buffer.age >= self.limits.seconds)
        ]
        # a batch may only be claimed under an id that the broker still confirmed after its messages had come
        if due and self._check_ids(force=any(buffer.verified < len(buffer.entries) for buffer in due)):
            for buffer in due:
                rest = everything or buffer.age >= self.limits.seconds
                count = buffer.verified if rest else buffer.verified - buffer.verified % self.limits.records
                if count:
                    self._start_write(buffer, count)

    def _start_write(self, buffer: PartitionBuffer, count: int) -> None:
        """Hand the first ``count`` messages, cut into batches, to a thread: one write at a time in a partition."""
        buffer.writing_since = time.monotonic() - buffer.age
        batches = []
        while count > 0:
            size = min(count, self.limits.records)
            batches.append(buffer.take(size))
            count -= size
        start = buffer.next_offset
        good, dead = batches[-1]
        buffer.next_offset = max(entries[-1].offset for entries in (good, dead) if entries) + 1
        buffer.writing = self._pool.submit(self._write, buffer.chain, start, batches)

    def _write(self, chain: Chain, start: int, batches: list[tuple[list[Line], list[DeadLine]]]) -> list[Claimed]:
        """Write and claim batch after batch; the last answer is another writer's claim where one stood in the way."""
        answers: list[Claimed] = []
        for good, dead in batches:
            prepared = prepare_batch(
                self.lake, chain, start, good, dead, writer=self._writer, created=clock.now().isoformat()
            )
            self._probe("written")
            answers.append(claim_batch(self.lake, prepared))
            self._probe("claimed")
            if not answers[-1].ours:
                break
            start = answers[-1].claim.end + 1
        return answers

    def _collect(self, *, wait: bool = False) -> None:
        """Take in the writes that are done, or all of them."""
        for partition, buffer in self.buffers.items():
            if buffer.writing is not None and (wait or buffer.writing.done()):
                answers = buffer.writing.result()
                buffer.writing = None
                for claimed in answers:
                    self._took(partition, buffer, claimed)

    def _took(self, partition: TopicPartition, buffer: PartitionBuffer, claimed: Claimed) -> None:
        claim = claimed.claim
        if not claimed.ours:
            # another writer was here: what we read is dropped, and we go on where its batch ends
            metrics.ADOPTED.labels(partition.topic).inc()
            log.warning(
                "claim_adopted",
                topic=partition.topic,
                partition=partition.partition,
                start=claim.start,
                end=claim.end,
                writer=claim.writer,
            )
            buffer.clear(claim.end + 1)
            self._consumer.seek(partition, claim.end + 1)
            return
        metrics.BATCHES.labels(partition.topic).inc()
        metrics.PROCESSED.labels(layer="bronze", topic=partition.topic).inc(claim.count)
        metrics.BATCH_AGE.observe(time.monotonic() - buffer.writing_since)
        self._see_lag(partition, buffer, claim.end + 1)
        buffer.last_timestamp = claim.last_timestamp
        self._uncommitted[partition] = claim.end + 1
        self._on_claim(claim)

    def _see_lag(self, partition: TopicPartition, buffer: PartitionBuffer, claimed_to: int) -> None:
        high = self._consumer.highwater(partition)
        if high is not None:
            buffer.lag = max(0, high - claimed_to)
            metrics.LAG.labels(partition.topic, partition.partition).set(buffer.lag)

    def _commit(self, *, wait: bool = False) -> None:
        """Tell Kafka how far we are: for lag displays, nothing rests on it."""
        if not self._uncommitted:
            return
        offsets = {partition: OffsetAndMetadata(offset, "", -1) for partition, offset in self._uncommitted.items()}
        self._uncommitted = {}
        try:
            if wait:
                self._consumer.commit(offsets)
            else:
                self._consumer.commit_async(offsets)
        except KafkaError as error:
            log.warning("commit_failed", error=str(error))
        self._probe("committed")

    def _flush(self) -> None:
        """Claim all that was read. What another writer claimed meanwhile is theirs."""
        self._collect(wait=True)
        if any(buffer.entries for buffer in self.buffers.values()):
            self._check_ids(force=True)
        self._write_verified(self.buffers.values())
        self._commit(wait=True)
        log.info("bronze_flushed", partitions=len(self.buffers))

    def _write_verified(self, buffers: Iterable[PartitionBuffer]) -> None:
        """Claim what is known to be of these buffers' topic ids, and wait for it."""
        for buffer in buffers:
            if buffer.verified:
                self._start_write(buffer, buffer.verified)
        self._collect(wait=True)
