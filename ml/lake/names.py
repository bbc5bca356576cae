"""Names of bronze's objects, in one place.

| object | name |
|---|---|
| data | `raw/<topic>/date=YYYY-MM-DD/hour=HH/batch_<uuid>.json`, day and hour of its first record's timestamp, UTC |
| dead letters | `dead/<topic>/<topic id>/<partition>/<start>_<uuid>.json` |
| claim | `claims/<topic>/<topic id>/<partition>/<start>.json`, start = the chain's expected next offset |
| genesis | `claims/<topic>/<topic id>/<partition>/genesis.json` |
| epoch | `epochs/<topic>/<n>.json` |

Data and dead letters have names nobody else can take, so a writer that loses the race for a claim leaves nothing that
the winner could stumble over. Offsets are written with 20 digits: names sort as their numbers do.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

GENESIS = "genesis.json"


def raw_name(topic: str, timestamp_ms: int, token: str = "") -> str:
    """A new name for a data object whose first record has this timestamp; see :func:`dead_name` for ``token``."""
    moment = datetime.fromtimestamp(max(timestamp_ms, 0) / 1000, UTC)
    return f"raw/{topic}/date={moment:%Y-%m-%d}/hour={moment:%H}/batch_{token or uuid.uuid4()}.json"


def raw_prefix(topic: str) -> str:
    """Where a topic's data objects lie."""
    return f"raw/{topic}/"


def chain_prefix(topic: str, topic_id: str, partition: int) -> str:
    """Where one chain's genesis and claims lie."""
    return f"claims/{topic}/{topic_id}/{partition}/"


def claim_name(topic: str, topic_id: str, partition: int, start: int) -> str:
    """The one name that the batch beginning at ``start`` can be claimed under."""
    return f"{chain_prefix(topic, topic_id, partition)}{start:020d}.json"


def genesis_name(topic: str, topic_id: str, partition: int) -> str:
    """The name that fixes where a chain begins."""
    return f"{chain_prefix(topic, topic_id, partition)}{GENESIS}"


def dead_name(topic: str, topic_id: str, partition: int, start: int, token: str = "") -> str:
    """A new name for the dead letters of the batch beginning at ``start``.

    ``token`` stands in for the random part where there is one writer alone and the same input is to give the same names.
    """
    return f"dead/{topic}/{topic_id}/{partition}/{start:020d}_{token or uuid.uuid4()}.json"


def dead_prefix(topic: str) -> str:
    """Where a topic's dead letters lie."""
    return f"dead/{topic}/"


def epoch_name(topic: str, epoch: int) -> str:
    """The name of a topic's n-th epoch, counted from 0."""
    return f"epochs/{topic}/{epoch:06d}.json"


def epoch_prefix(topic: str) -> str:
    """Where a topic's epochs lie."""
    return f"epochs/{topic}/"
