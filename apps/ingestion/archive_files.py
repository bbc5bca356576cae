"""History that was kept in files of messages, one file a topic, sent through the producer as backfill."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import orjson
from django.conf import settings

from apps.core.errors import Invalid
from apps.ingestion.producer import EventProducer, patient_key
from ml.contracts import TOPICS
from ml.stages import messages

PRODUCER = "history-import"
TOLD_EVERY = 1000


class Sent(NamedTuple):
    """What was sent, by topic; `undated` of them bore no time at all, so that the broker's stands in."""

    topics: dict[str, int]
    undated: int


def files_of(folder: Path) -> list[Path]:
    """The files of messages in a folder, in the order of our topics (context first: it names the patients). Invalid where
    there is none, or one is named for no topic of ours."""
    found = sorted(folder.glob("*.ndjson")) if folder.is_dir() else []
    if not found:
        names = ", ".join(f"{topic}.ndjson" for topic in TOPICS)
        raise Invalid(
            f"{folder} holds no files of messages.", cure=f"Name a folder with any of {names}.", code="no_files"
        )
    strangers = [path.name for path in found if path.stem not in TOPICS]
    if strangers:
        raise Invalid(f"{strangers[0]} is named for none of our topics.", cure=f"They are {', '.join(TOPICS)}.")
    return sorted(found, key=lambda path: (path.stem != "patient-context", path.stem))


def send(folder: Path, *, trial: str, report: Callable[[str, int], Any] = lambda topic, count: None) -> Sent:
    """Send every message; bronze judges them as any other, and refuses into the dead letters. A message that is sent again
    is the same record, and cleaning removes it. `trial` is that of messages that name none. NotDelivered from the broker."""
    counts: dict[str, int] = {}
    undated = 0
    paths = files_of(folder)
    with EventProducer(settings.KAFKA_BOOTSTRAP_SERVERS, producer=PRODUCER) as out:
        for path in paths:
            for message in messages.read(path):
                key, known_at = _of(message, trial)
                undated += known_at is None
                out.send(message.topic, key, message.value, timestamp_ms=None if known_at is None else 1000 * known_at)
                counts[path.stem] = counts.get(path.stem, 0) + 1
                if counts[path.stem] % TOLD_EVERY == 0:
                    report(path.stem, counts[path.stem])
            report(path.stem, counts.get(path.stem, 0))
    return Sent(counts, undated)


def _of(message: messages.Filed, trial: str) -> tuple[str | None, int | None]:
    """Key and time of knowing: as the file says, else as the message itself says."""
    if message.key is not None and message.known_at is not None:
        return message.key, message.known_at
    try:
        body = orjson.loads(message.value)
    except ValueError:
        return message.key, message.known_at
    if not isinstance(body, dict):
        return message.key, message.known_at
    key = message.key
    if key is None and isinstance(body.get("patient_id"), str):
        key = patient_key(str(body.get("trial_id") or trial), body["patient_id"])
    names = ("recorded_at", "report_timestamp", "timestamp", "event_timestamp")
    told = (message.known_at, *(_seconds(body.get(name)) for name in names))
    return key, next((one for one in told if one is not None), None)


def _seconds(value: object) -> int | None:
    try:
        return int(datetime.fromisoformat(str(value)).timestamp())
    except (ValueError, OverflowError):
        return None
