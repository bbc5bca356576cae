"""What bronze holds behind given offsets, cleaned: the bulk from which tables and online windows are filled.

The same function serves in two places: in the caller's process, or, where there is much to read, in one beside it
(``python -m ml.backlog``, request on stdin, portions on stdout), so that reading and cleaning use one core while the
caller uses another. The program ends when the caller does: its stdin closes, or its stdout breaks.
"""

from __future__ import annotations

import queue
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import orjson
import pyarrow as pa

from ml.cleaning import clean
from ml.contracts.tables import SILVER
from ml.lake import Lake, LakeError
from ml.lake.bronze import BronzeLine, read_claimed
from ml.lake.epochs import epochs
from ml.profile import StudyProfile

PORTION_ROWS = 20_000
"""So many messages are cleaned together: enough that fixed costs vanish, few enough that a portion is some 10 MB."""
BESIDE_ABOVE = 50_000
"""From so many messages on another process reads and cleans: to start it takes about a second."""
_AHEAD = 2
_FAILED = 2**64 - 1

Place = tuple[str, str, int]
"""(topic, topic id, partition)."""


class Portion(NamedTuple):
    """Messages of one topic: how many were read, and their silver rows."""

    topic: str
    messages: int
    rows: pa.Table


@dataclass(frozen=True)
class Request:
    """Which messages: of ``topics``, in that order, from ``since`` (the next offset wanted; none = from the first)
    up to but without ``until`` (a chain that is not named is left out). ``profiles``: trial id → profile."""

    lake: Lake
    topics: tuple[str, ...]
    since: Mapping[Place, int]
    until: Mapping[Place, int]
    profiles: Mapping[str, StudyProfile]
    default_trial: str

    @property
    def messages(self) -> int:
        """How many at most."""
        return sum(max(0, end - self.since.get(place, 0)) for place, end in self.until.items())

    def to_bytes(self) -> bytes:
        """As JSON; it holds the object store's keys, so it goes through a pipe only."""
        return orjson.dumps(
            {
                "lake": {name: value for name, value in asdict(self.lake).items() if value is not None},
                "topics": self.topics,
                "since": [[*place, offset] for place, offset in self.since.items()],
                "until": [[*place, offset] for place, offset in self.until.items()],
                "profiles": {trial: profile.to_json() for trial, profile in self.profiles.items()},
                "default_trial": self.default_trial,
            }
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> Request:
        body: dict[str, Any] = orjson.loads(data)
        since, until = (
            {(topic, topic_id, number): at for topic, topic_id, number, at in body[name]} for name in ("since", "until")
        )
        profiles = {trial: StudyProfile.from_json(profile) for trial, profile in body["profiles"].items()}
        lake = Lake.from_url(**body["lake"])
        return cls(lake, tuple(body["topics"]), since, until, profiles, body["default_trial"])


def portions(request: Request) -> Iterator[Portion]:
    """The messages asked for, topic by topic, within one by (epoch, partition, claim). LakeError as ``read_claimed``.

    Read here or in a process beside, whichever is quicker; the rows are the same.
    """
    if request.messages < BESIDE_ABOVE or request.lake.url.startswith("memory:"):
        return read(request)
    return _beside(request)


def read(request: Request) -> Iterator[Portion]:
    """:func:`portions`, in this process."""
    for topic in request.topics:
        order = epochs(request.lake, topic)
        since = {place[1:]: at - 1 for place, at in request.since.items() if place[0] == topic}
        until = {place[1:]: at - 1 for place, at in request.until.items() if place[0] == topic}
        lines: list[BronzeLine] = []
        for batch in read_claimed(request.lake, topic, since=since, until=until):
            first = since.get((batch.claim.topic_id, batch.claim.partition), -1)
            if batch.claim.start > first:
                lines.extend(batch.lines())
            else:  # a claim that reaches over the place where somebody stopped reading
                lines.extend(line for line in batch.lines() if line["offset"] > first)
            if len(lines) >= PORTION_ROWS:
                yield _cleaned(request, topic, lines, order)
                lines = []
        if lines:
            yield _cleaned(request, topic, lines, order)


def _cleaned(request: Request, topic: str, lines: list[BronzeLine], order: Mapping[str, int]) -> Portion:
    rows = clean(topic, lines, epochs=order, profiles=request.profiles, default_trial=request.default_trial).rows
    return Portion(topic, len(lines), rows)


# --- the process beside ----------------------------------------------------------------------------------------------
def _beside(request: Request) -> Iterator[Portion]:
    process = subprocess.Popen(
        [sys.executable, "-m", "ml.backlog"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).resolve().parents[1],
    )
    assert process.stdin is not None
    assert process.stdout is not None
    found: queue.Queue[Portion | Exception | None] = queue.Queue(maxsize=_AHEAD)
    given_up = threading.Event()
    reader = threading.Thread(target=_receive, args=(process.stdout, found, given_up), name="backlog", daemon=True)
    try:
        body = request.to_bytes()
        process.stdin.write(len(body).to_bytes(8, "little") + body)
        process.stdin.flush()  # and kept open: its end tells the program that we are gone
        reader.start()
        while (item := found.get()) is not None:
            if isinstance(item, Exception):
                raise item
            yield item
    finally:
        given_up.set()
        process.kill()
        process.wait()
        process.stdin.close()
        if reader.ident is not None:
            reader.join(timeout=10)
        process.stdout.close()


def _receive(source: BinaryIO, found: queue.Queue[Portion | Exception | None], given_up: threading.Event) -> None:
    def put(item: Portion | Exception | None) -> None:
        while not given_up.is_set():
            try:
                found.put(item, timeout=0.5)
            except queue.Full:
                continue
            return

    try:
        while not given_up.is_set():
            size = int.from_bytes(_exactly(source, 8), "little")
            if size == 0:
                put(None)
                return
            if size == _FAILED:
                raise LakeError(_exactly(source, int.from_bytes(_exactly(source, 8), "little")).decode())
            head = orjson.loads(_exactly(source, size))
            rows = pa.ipc.open_stream(_exactly(source, head["bytes"])).read_all()
            put(Portion(head["topic"], head["messages"], rows))
    except (LakeError, OSError, ValueError, KeyError) as error:  # handed to the thread that asked
        put(error)


def _exactly(source: BinaryIO, size: int) -> bytes:
    data = source.read(size)
    if len(data) < size:
        raise LakeError("The process that reads bronze ended before it was done; its last words are in the log.")
    return data


def _send(portion: Portion, target: BinaryIO) -> None:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, SILVER[portion.topic]) as writer:
        writer.write_table(portion.rows)
    data = sink.getvalue()
    head = orjson.dumps({"topic": portion.topic, "messages": portion.messages, "bytes": data.size})
    target.write(len(head).to_bytes(8, "little") + head)
    target.write(data)
    target.flush()


def main() -> int:
    """Answer the request on stdin."""
    source, target = sys.stdin.buffer, sys.stdout.buffer
    request = Request.from_bytes(_exactly(source, int.from_bytes(_exactly(source, 8), "little")))
    try:
        for portion in read(request):
            _send(portion, target)
    except (LakeError, ValueError) as error:
        text = str(error).encode()
        target.write(_FAILED.to_bytes(8, "little") + len(text).to_bytes(8, "little") + text)
    except BrokenPipeError:
        return 1
    target.write((0).to_bytes(8, "little"))
    target.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
