"""The online windows in Valkey: facts and watermark of every patient, and how far the live loop has read.

| key | holds |
|---|---|
| `window:stamp` | that the windows are whole, and by which tables they were built; gone when Valkey was emptied |
| `window:p:<trial/patient>` | one patient's window (``ml.window``) |
| `window:positions` | hash: `<topic>/<topic id>/<partition>` → next offset to read |
| `window:due` | hash: patient → correlation id and time of the event that asks for a new score |
| `window:rebuilding` | set: patients whose window lacks readings until it is built anew |
| `window:waiting:<trial/patient>` | list: silver rows that wait for their patient's context (Arrow) |

Windows, positions and what is due change in one transaction of Valkey, so a killed loop goes on exactly where it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

import orjson
import pyarrow as pa
import redis
from django.conf import settings

from apps.core.errors import Unavailable
from ml.facts import Facts
from ml.features import TABLE_DIGEST
from ml.window import Window, pack, unpack

STAMP = "window:stamp"
POSITIONS = "window:positions"
DUE = "window:due"
REBUILDING = "window:rebuilding"
_PATIENT = "window:p:"
_WAITING = "window:waiting:"
_MANY = 200
#: A window built by other code may hold other facts: a changed table means building anew.
BUILT_BY = f"1:{TABLE_DIGEST}"

Position = tuple[str, str, int]
Watermarks = dict[str, dict[str, list[Any]]]


class Due(NamedTuple):
    """A patient to be scored: since when (record's time, milliseconds), and because of which event."""

    since_ms: int
    correlation_id: str


class WindowStore:
    """Reads and writes windows. One live loop writes; any number of processes read.

    ``client`` is a redis client that answers in bytes (the library's types cannot tell).
    """

    def __init__(self, client: Any) -> None:
        self.client = client

    # --- reading -----------------------------------------------------------------------------------------------------

    def whole(self) -> bool:
        """Whether the windows are there and were built by these tables; if not they must be rebuilt from bronze."""
        return self.client.get(STAMP) == BUILT_BY.encode()

    def windows(self, patients: Sequence[str]) -> dict[str, Window]:
        """The windows of those patients who have one."""
        found: dict[str, Window] = {}
        for start in range(0, len(patients), _MANY):
            names = patients[start : start + _MANY]
            for name, data in zip(names, self.client.mget([_PATIENT + name for name in names]), strict=True):
                if data is not None:
                    found[name] = unpack(data)
        return found

    def load_many(self, patients: Sequence[str]) -> tuple[Facts, Watermarks]:
        """Facts of several patients ("trial/patient"), and what of each one's events they rest on.

        A patient without a window is among ``facts.patients`` without facts, and has no watermark. Unavailable while
        the windows are being built: an answer from half a window would be wrong.
        """
        names = list(dict.fromkeys(patients))
        if not self.whole() or (names and any(self.client.smismember(REBUILDING, names))):
            raise Unavailable(
                "The patients' recent events are being read again.",
                cure="Ask again in a minute; if it stays so, see whether the live loop runs.",
                code="windows_missing",
                extra={"retry_after": 30},
            )
        found = self.windows(names)
        facts = Facts.concat([*(window.facts for window in found.values()), Facts.empty(sorted(set(patients)))])
        return facts, {name: window.watermark for name, window in found.items()}

    def positions(self) -> dict[Position, int]:
        """(topic, topic id, partition) → the next offset to be applied."""
        found = {}
        for name, offset in self.client.hgetall(POSITIONS).items():
            topic, topic_id, partition = name.decode().split("/")
            found[topic, topic_id, int(partition)] = int(offset)
        return found

    def due(self) -> dict[str, Due]:
        """Who asked for a new score and has not had it."""
        return {name.decode(): Due(*orjson.loads(body)) for name, body in self.client.hgetall(DUE).items()}

    def rebuilding(self) -> set[str]:
        """Whose window must be built anew from bronze before it answers."""
        return {name.decode() for name in self.client.smembers(REBUILDING)}

    def patients(self) -> list[str]:
        """Everyone who has a window, sorted."""
        size = len(_PATIENT)
        return sorted(key.decode()[size:] for key in self.client.scan_iter(f"{_PATIENT}*", count=1000))

    # --- writing -----------------------------------------------------------------------------------------------------

    def save(
        self,
        windows: Iterable[Window],
        positions: Mapping[Position, int],
        due: Mapping[str, Due] | None = None,
        *,
        rebuilding: Iterable[str] = (),
        rebuilt: Iterable[str] = (),
    ) -> None:
        """Replace windows, move positions, add to what is due and to who is being rebuilt, all or nothing."""
        pipe = self.client.pipeline(transaction=True)
        for window in windows:
            pipe.set(_PATIENT + window.patient, pack(window))
        if positions:
            pipe.hset(
                POSITIONS,
                mapping={"/".join([topic, topic_id, str(n)]): at for (topic, topic_id, n), at in positions.items()},
            )
        if due:
            pipe.hset(DUE, mapping={name: orjson.dumps(list(entry)) for name, entry in due.items()})
        if names := list(rebuilding):
            pipe.sadd(REBUILDING, *names)
        if names := list(rebuilt):
            pipe.srem(REBUILDING, *names)
        pipe.execute()

    def scored(self, patients: Iterable[str]) -> None:
        """Those patients have their score."""
        if names := list(patients):
            self.client.hdel(DUE, *names)

    def begin(self) -> None:
        """Forget every window, to build them anew; until ``finish`` nobody takes them for whole."""
        self.client.delete(STAMP, POSITIONS, DUE, REBUILDING)
        for pattern in (_PATIENT, _WAITING):
            keys = list(self.client.scan_iter(f"{pattern}*", count=1000))
            for start in range(0, len(keys), 1000):
                self.client.delete(*keys[start : start + 1000])

    def finish(self) -> None:
        """The windows are whole from now on."""
        self.client.set(STAMP, BUILT_BY)

    # --- patients nobody knows yet -----------------------------------------------------------------------------------

    def keep_waiting(self, topic: str, rows: pa.Table, names: Sequence[str]) -> None:
        """Keep silver rows of unknown patients; ``names`` is each row's "trial/patient"."""
        pipe = self.client.pipeline(transaction=True)
        for name in sorted(set(names)):
            mine = rows.filter(pa.array([other == name for other in names]))
            pipe.rpush(_WAITING + name, topic.encode() + b"\n" + _arrow(mine))
        pipe.execute()

    def waiting(self, patient: str) -> list[tuple[str, pa.Table]]:
        """(topic, silver rows) that wait for this patient's context."""
        found = []
        for body in self.client.lrange(_WAITING + patient, 0, -1):
            topic, _, data = body.partition(b"\n")
            found.append((topic.decode(), pa.ipc.open_stream(data).read_all()))
        return found

    def waiting_patients(self) -> set[str]:
        """Unknown patients whose rows are kept."""
        size = len(_WAITING)
        return {key.decode()[size:] for key in self.client.scan_iter(f"{_WAITING}*", count=1000)}

    def admitted(self, patient: str) -> None:
        """The patient is known and what waited is in the tables."""
        self.client.delete(_WAITING + patient)


def _arrow(rows: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as writer:
        writer.write_table(rows)
    return bytes(sink.getvalue())


@cache
def window_store() -> WindowStore:
    """The store that REDIS_URL names; its client may be used by many threads."""
    return WindowStore(redis.Redis.from_url(settings.REDIS_URL))
