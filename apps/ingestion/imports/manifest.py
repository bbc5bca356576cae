"""What imports have sent, record by record, and what a later package changes of it.

Objects under `imports/<trial>/` in the lake, one an import, only ever added, written once bronze holds the events. The
newest line of a record says what stands; its value is kept, so that a record can be retracted whose row is gone.

A correction or retraction is known after everything the packages before it told of (their *cut*): until then the
study's own database said otherwise. A record never seen before is known when it says it was recorded.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, Protocol

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from ml.contracts import EVENTS
from ml.contracts.signs import SIGNS
from ml.lake import Lake

DIGEST_BYTES = 16
TRANSPORT = frozenset({"recorded_at", "source_rows"})
"""Columns that say how a record came and not what it says; a change of these alone is no correction."""
SERIES: dict[str, tuple[str, ...]] = {
    "lab-results": ("test_name",),
    "medications": ("drug_name",),
    "patient-context": ("kind",),
}
"""Columns by which features file a record: where one of them changes, the record as it stood is retracted first, or it
would stand on under its old name. Vital signs add up sign by sign: a sign that is gone is such a change."""
SCHEMA = pa.schema(
    [("topic", pa.string()), ("record", pa.string()), ("patient_id", pa.string()), ("known_at", pa.int64()), ("digest", pa.binary()),
     ("value", pa.string()), ("scope", pa.string())]
)  # fmt: skip
Kind = Literal["new", "corrected", "retracted"]


class EventLike(Protocol):
    """What is needed of an event of a package."""

    @property
    def topic(self) -> str: ...
    @property
    def patient_id(self) -> str: ...
    @property
    def known_at(self) -> int: ...
    @property
    def value(self) -> dict[str, Any]: ...
    @property
    def rows(self) -> tuple[str, ...]: ...


@dataclass(frozen=True, slots=True)
class Message:
    """One event to be sent. `digest` is empty for a retraction; `scope` names the domain or file it belongs to."""

    topic: str
    patient_id: str
    record: str
    known_at: int
    value: dict[str, Any]
    digest: bytes
    scope: str


@dataclass(frozen=True, slots=True)
class Standing:
    """The newest line of a record."""

    patient_id: str
    known_at: int
    digest: bytes
    value: dict[str, Any]
    scope: str


@dataclass(frozen=True, slots=True)
class Change:
    """A record that is corrected or retracted, with the columns that differ: name → (before, after)."""

    kind: Kind
    topic: str
    patient_id: str
    record: str
    columns: dict[str, tuple[Any, Any]]


@dataclass(slots=True)
class Difference:
    """What a package changes. The counts are of records; `messages` in the order in which they are to be sent."""

    messages: list[Message] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    new: int = 0
    corrected: int = 0
    retracted: int = 0
    unchanged: int = 0
    kept: int = 0
    """Records whose rows are there but were refused this time: they stay as they were."""
    absent: dict[str, int] = field(default_factory=dict)
    """Scope that this package does not bring → records of it that stay as they were."""

    @property
    def known(self) -> int:
        """Records that had been sent before and are still there."""
        return self.unchanged + self.corrected


@dataclass(frozen=True, slots=True)
class Held:
    """The manifest as read: what stands of each record (topic, record), and the end of the data told of so far."""

    records: Mapping[tuple[str, str], Standing]
    cut: int


class Manifest:
    """The manifest of one trial."""

    def __init__(self, place: Lake, trial_id: str) -> None:
        self.place = place
        self.prefix = f"imports/{trial_id}/"

    def read(self) -> Held:
        """Fold all objects, oldest first."""
        records: dict[tuple[str, str], Standing] = {}
        cut = 0
        for path in self._paths():
            table = pq.read_table(io.BytesIO(self.place.get(path)))
            cut = max(cut, int((table.schema.metadata or {}).get(b"cut", b"0")))
            for row in table.to_pylist():
                records[row["topic"], row["record"]] = Standing(
                    row["patient_id"], row["known_at"], row["digest"], orjson.loads(row["value"]), row["scope"]
                )
        return Held(records, cut)

    def add(self, messages: Sequence[Message], *, cut: int) -> None:
        """Keep what was sent; `cut` is the end of the package's data, seconds."""
        table = pa.table(
            {
                "topic": [one.topic for one in messages],
                "record": [one.record for one in messages],
                "patient_id": [one.patient_id for one in messages],
                "known_at": [one.known_at for one in messages],
                "digest": [one.digest for one in messages],
                "value": [orjson.dumps(one.value, option=orjson.OPT_SORT_KEYS).decode() for one in messages],
                "scope": [one.scope for one in messages],
            },
            schema=SCHEMA.with_metadata({"cut": str(cut)}),
        )
        body = io.BytesIO()
        pq.write_table(table, body, compression="zstd")
        number = len(self._paths()) + 1
        while not self.place.create(f"{self.prefix}records-{number:06d}.parquet", body.getvalue()):
            number += 1

    def _paths(self) -> list[str]:
        return sorted(item.path for item in self.place.list(self.prefix) if item.path.endswith(".parquet"))


def digest_of(topic: str, value: Mapping[str, Any]) -> bytes:
    """What an event says: the first 16 bytes of the SHA-256 of topic and canonical JSON, transport aside."""
    body = {name: item for name, item in value.items() if name not in TRANSPORT}
    said = topic.encode() + b"\n" + orjson.dumps(body, option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(said).digest()[:DIGEST_BYTES]


def record_of(event: EventLike) -> str:
    """The record's identity at its source; without one, the columns that its contract names."""
    if said := event.value.get("record_id"):
        return str(said)
    columns = EVENTS[event.topic].identity
    return "|".join([event.patient_id, *(str(event.value.get(name)) for name in columns)])


def domain_of(event: EventLike) -> str:
    """The scope of an SDTM event: the domain of the row it was made of, or stands for where a rule made it of dates."""
    return (event.rows[0] if event.rows else str(event.value.get("record_id") or event.topic)).partition(":")[0]


def difference(
    events: Iterable[EventLike],
    held: Held,
    *,
    scopes: Iterable[str],
    scope_of: Callable[[EventLike], str] = domain_of,
    replaces: bool = True,
    refused: frozenset[str] = frozenset(),
    cut: int | None = None,
) -> Difference:
    """What `events` change of what is `held`.

    `scopes` are the domains (or the source) that the package brings whole: only their records can be missing from it,
    and with `replaces` are then retracted, unless they or one of their rows are among the `refused` ones. `cut` replaces the end
    of the data told of so far, seconds: a study with live data learns of a correction now.
    """
    found = Difference()
    end = held.cut if cut is None else cut
    versions: dict[tuple[str, str], list[EventLike]] = {}
    for event in events:
        versions.setdefault((event.topic, record_of(event)), []).append(event)
    for (topic, record), told in versions.items():
        told.sort(key=lambda event: event.known_at)
        before = held.records.get((topic, record))
        if before is None:
            found.new += 1
            found.messages += [_message(event, record, event.known_at, scope_of(event)) for event in told]
        else:
            _compare(found, record, told, before, end, scope_of)
    brought = set(scopes)
    for (topic, record), before in held.records.items():
        if (topic, record) in versions or not before.digest:
            continue
        if before.scope not in brought:
            found.absent[before.scope] = found.absent.get(before.scope, 0) + 1
        elif not replaces or record in refused or not refused.isdisjoint(before.value.get("source_rows") or ()):
            found.kept += 1
        else:
            found.retracted += 1
            at = max(end, before.known_at) + 1
            found.messages.append(_retraction(topic, record, before.patient_id, before.value, before.scope, at))
            found.changes.append(Change("retracted", topic, before.patient_id, record, _gone(before.value)))
    found.messages.sort(key=lambda one: one.known_at)  # stable: a retraction stays before what follows it
    return found


def _compare(
    found: Difference,
    record: str,
    told: list[EventLike],
    before: Standing,
    end: int,
    scope_of: Callable[[EventLike], str],
) -> None:
    """A record sent before: what it had come to by the cut is one correction, what came later its own version."""
    early = [event for event in told if event.known_at <= end]
    timed = [(event, max(end, before.known_at) + 1) for event in early[-1:]]
    timed += [(event, max(event.known_at, before.known_at + 1)) for event in told[len(early) :]]
    standing, value = before.digest, before.value
    sent: list[Message] = []
    for event, at in timed:
        digest = digest_of(event.topic, event.value)
        if digest == standing:
            continue
        scope = scope_of(event)
        if standing and _moves(event.topic, value, event.value):
            sent.append(_retraction(event.topic, record, event.patient_id, value, scope, at))
        sent.append(_message(event, record, at, scope))
        standing, value = digest, event.value
    if not sent:
        found.unchanged += 1
        return
    found.corrected += 1
    found.messages += sent
    old = before.value if before.digest else {}
    found.changes.append(Change("corrected", told[0].topic, before.patient_id, record, _differs(old, value)))


def _moves(topic: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    if topic == "patient-vitals":
        return any(old.get(sign.name) is not None and new.get(sign.name) is None for sign in SIGNS)
    return any(old.get(name) != new.get(name) for name in SERIES.get(topic, ()))


def _message(event: EventLike, record: str, at: int, scope: str) -> Message:
    value = event.value if at == event.known_at else {**event.value, "recorded_at": iso(at)}
    return Message(event.topic, event.patient_id, record, at, value, digest_of(event.topic, value), scope)


def _retraction(topic: str, record: str, patient_id: str, old: Mapping[str, Any], scope: str, at: int) -> Message:
    value = {**old, "recorded_at": iso(at), "retracted": True}
    return Message(topic, patient_id, record, at, value, b"", scope)


def iso(seconds: int) -> str:
    """Seconds since 1970 as ISO 8601, UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _differs(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    names = [name for name in (*old, *(name for name in new if name not in old)) if name not in TRANSPORT]
    return {name: (old.get(name), new.get(name)) for name in names if old.get(name) != new.get(name)}


def _gone(old: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    plain = {"trial_id", "patient_id", "record_id", "trial_site_id", *TRANSPORT}
    return {name: (item, None) for name, item in old.items() if name not in plain and item is not None}
