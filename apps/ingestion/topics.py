"""The topics on the broker: made if they are missing, and told apart by their ids."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from kafka import KafkaAdminClient
from kafka.admin import NewTopic
from kafka.errors import KafkaError, TopicAlreadyExistsError

from ml.contracts import TOPICS

PARTITIONS = 4


class TopicState(NamedTuple):
    """What the broker says of a topic. The id is a text that may stand in a file name."""

    topic_id: str
    partitions: int


class TopicDirectory:
    """Asks the broker for topic ids over one admin connection, which is made anew after a failure."""

    def __init__(self, servers: Sequence[str]) -> None:
        self._servers = list(servers)
        self._client: Any = None

    def _admin(self) -> Any:
        if self._client is None:
            self._client = KafkaAdminClient(
                bootstrap_servers=self._servers, request_timeout_ms=10_000, bootstrap_timeout_ms=5_000
            )
        return self._client

    def close(self) -> None:
        if self._client is not None:
            client, self._client = self._client, None
            with contextlib.suppress(KafkaError, OSError):
                client.close()

    def describe(self, topics: Iterable[str]) -> dict[str, TopicState]:
        """The state of those of ``topics`` that exist. KafkaError if the broker cannot be asked."""
        try:
            answer = self._admin().describe_topics(list(topics))
        except (KafkaError, OSError, RuntimeError) as error:
            self.close()
            raise error if isinstance(error, KafkaError) else KafkaError(str(error)) from error
        found = {}
        for row in answer:
            if row.get("error_code"):
                continue
            topic_id = str(row["topic_id"]).replace("/", "_")
            found[str(row["name"])] = TopicState(topic_id, len(row["partitions"]))
        return found

    def ensure(
        self,
        topics: Sequence[str] = TOPICS,
        *,
        partitions: int = PARTITIONS,
        replication: int = 1,
        config: Mapping[str, str] | None = None,
    ) -> dict[str, TopicState]:
        """Create the topics that are missing; the state of all. KafkaError if the broker cannot be asked."""
        missing = [topic for topic in topics if topic not in self.describe(topics)]
        if missing:
            wanted = [NewTopic(topic, partitions, replication, topic_configs=dict(config or {})) for topic in missing]
            with contextlib.suppress(TopicAlreadyExistsError):  # another process was quicker
                self._admin().create_topics(wanted)
        end = time.monotonic() + 10
        while len(found := self.describe(topics)) < len(topics):
            if time.monotonic() > end:
                raise KafkaError(f"The broker did not create {sorted(set(topics) - set(found))}.")
            time.sleep(0.1)
        return found


def ensure_topics(servers: Sequence[str], topics: Sequence[str] = TOPICS, **options: Any) -> dict[str, TopicState]:
    """:meth:`TopicDirectory.ensure` over a connection of its own."""
    directory = TopicDirectory(servers)
    try:
        return directory.ensure(topics, **options)
    finally:
        directory.close()
