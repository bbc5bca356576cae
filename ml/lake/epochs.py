"""Epochs: the order of a topic's lives.

A topic that is deleted and made again, or an in-memory broker that was restarted, counts its offsets from 0 once more
under a new topic id. Each id is therefore an epoch; its number is fixed by whoever creates ``epochs/<topic>/<n>``.
"""

from __future__ import annotations

from typing import NamedTuple

import orjson

from ml.lake import names
from ml.lake.store import Lake


class Epoch(NamedTuple):
    """A topic id's place in the order; ``fresh`` if this call opened it, ``number`` > 0 then means an alarm."""

    number: int
    topic_id: str
    fresh: bool


def epochs(lake: Lake, topic: str) -> dict[str, int]:
    """Topic id → epoch, for every epoch that was ever opened."""
    found: dict[str, int] = {}
    for info in lake.list(names.epoch_prefix(topic)):
        body = orjson.loads(lake.get(info.path))
        found.setdefault(str(body["topic_id"]), int(body["epoch"]))
    return found


def open_epoch(lake: Lake, topic: str, topic_id: str, *, opened: str, partitions: int) -> Epoch:
    """The epoch of ``topic_id``, opened as the newest if the id is new. ``opened`` is an ISO time, for people."""
    while True:
        known = epochs(lake, topic)
        if topic_id in known:
            return Epoch(known[topic_id], topic_id, fresh=False)
        number = max(known.values(), default=-1) + 1
        body = {"epoch": number, "topic": topic, "topic_id": topic_id, "partitions": partitions, "opened": opened}
        if lake.create(names.epoch_name(topic, number), orjson.dumps(body)):
            return Epoch(number, topic_id, fresh=True)
