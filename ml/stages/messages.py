"""Messages in files, one file a topic: what came over the wire, so that it can be sent or taken in again.

``<topic>.ndjson``, one message a line: ``{"known_at": seconds since 1970 UTC, "key": "trial/patient", "value": text}``,
with ``"raw"`` (base64) in place of ``"value"`` for bytes that are no UTF-8. A line without this frame is taken for a
message itself: an archive of another system knows nothing of ours.
"""

from __future__ import annotations

import base64
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import orjson

from ml.contracts import TOPICS, Accepted, validate
from ml.contracts.events import SCHEMA_VERSION
from ml.lake import Lake
from ml.lake.bronze import DeadLine, Line, dead_line, good_line, write_batch
from ml.lake.claims import Chain, genesis, next_offset
from ml.lake.epochs import open_epoch

PRODUCER = "simulator-history"
_NAMESPACE = uuid.UUID("6a1f4d0e-3f0b-5e0a-9a51-5a5f6d1c2b77")


class Filed(NamedTuple):
    """One message of a file. `known_at` (seconds) and `key` are None where the file does not say."""

    topic: str
    known_at: int | None
    key: str | None
    value: bytes


def write(folder: Path, messages: Iterable[tuple[int, str, str, bytes]]) -> dict[str, int]:
    """Write (known_at, topic, key, value) in the order given; messages by topic."""
    folder.mkdir(parents=True, exist_ok=True)
    counts = dict.fromkeys(TOPICS, 0)
    with ExitStack() as stack:
        files = {topic: stack.enter_context((folder / f"{topic}.ndjson").open("wb")) for topic in TOPICS}
        for known_at, topic, key, value in messages:
            try:
                content = {"value": value.decode()}
            except UnicodeDecodeError:
                content = {"raw": base64.b64encode(value).decode()}
            files[topic].write(orjson.dumps({"known_at": known_at, "key": key, **content}) + b"\n")
            counts[topic] += 1
    return counts


def read(path: Path) -> Iterator[Filed]:
    """The messages of one file, named for its topic. ValueError where the name is none of our topics."""
    topic = path.name.removesuffix(".ndjson")
    if topic not in TOPICS:
        raise ValueError(
            f"{path.name} is named for none of our topics: {', '.join(f'{one}.ndjson' for one in TOPICS)}."
        )
    with path.open("rb") as lines:
        for line in lines:
            text = line.rstrip(b"\r\n")
            if text:
                yield _unframed(topic, text)


def _unframed(topic: str, text: bytes) -> Filed:
    try:
        body = orjson.loads(text)
    except ValueError:
        return Filed(
            topic, None, None, text
        )  # broken: it is for the contract to say so, and for the dead letters to keep it
    if not isinstance(body, dict) or not isinstance(body.get("known_at"), int) or not body.keys() & {"value", "raw"}:
        return Filed(topic, None, None, text)
    value = body["value"] if "value" in body else base64.b64decode(body["raw"])
    raw = value if isinstance(value, bytes) else value.encode() if isinstance(value, str) else orjson.dumps(value)
    key = body.get("key")
    return Filed(topic, body["known_at"], key if isinstance(key, str) else None, raw)


def to_bronze(lake: Lake, topic: str, messages: Sequence[Filed], *, batch_size: int, default_trial: str) -> int:
    """Judge messages that follow on what the topic's chain holds, and claim them in batches; how many.

    One writer, one partition, and names that follow from the offsets: the same messages give the same objects.
    """
    chain = Chain(topic, str(uuid.uuid5(_NAMESPACE, topic)), 0)
    if not messages:
        return 0
    created = _iso(messages[0].known_at or 0)
    open_epoch(lake, topic, chain.topic_id, opened=created, partitions=1)
    genesis(lake, chain, 0)
    start = next_offset(lake, chain) or 0
    for first in range(0, len(messages), batch_size):
        lines: list[Line] = []
        dead: list[DeadLine] = []
        for place, message in enumerate(messages[first : first + batch_size], start + first):
            known = 1000 * (message.known_at or 0)
            key = None if message.key is None else message.key.encode()
            headers = [("producer", PRODUCER.encode()), ("schema_version", SCHEMA_VERSION.encode())]
            outcome = validate(topic, message.value, SCHEMA_VERSION)
            if isinstance(outcome, Accepted):
                patient = f"{outcome.value.get('trial_id') or default_trial}/{outcome.value['patient_id']}"
                lines.append(good_line(chain, place, known, key, headers, message.value, patient))
            else:
                reasons = [{"rule": why.rule, "path": why.path, "message": why.message} for why in outcome.reasons]
                dead.append(dead_line(chain, place, known, key, headers, message.value, reasons))
        token = str(uuid.uuid5(_NAMESPACE, f"{topic}/{start + first}"))
        write_batch(lake, chain, start + first, lines, dead, writer="stages", created=created, token=token)
    return len(messages)


def _iso(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()
