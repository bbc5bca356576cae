"""Bronze: every message as it came, once, and the ways to read it back.

A data object is NDJSON, one line a good message:
``{"topic", "topic_id", "partition", "offset", "timestamp", "key", "headers", "value"}`` with the message's own JSON as
``value``. Lines lie grouped by patient (by offset within one), and the claim's index says where each patient begins, so
that the events of one patient are read without touching the others'. What no claim names does not exist for a reader.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson

from ml.lake import names
from ml.lake.claims import Chain, Claim, Claimed, chain_claims, chains, next_offset, try_claim
from ml.lake.epochs import epochs
from ml.lake.store import Lake, LakeError

__all__ = [
    "Batch",
    "BronzeLine",
    "DeadLine",
    "Line",
    "Share",
    "Watermark",
    "dead_line",
    "epochs",
    "events_of_patient",
    "events_of_patients",
    "good_line",
    "line_at",
    "read_claimed",
    "read_dead",
    "shares_of_patient",
    "write_batch",
]

BronzeLine = dict[str, Any]
_ALTERED = "{} is not what was claimed: its SHA-256 differs."
Watermark = Mapping[str, Sequence[Any]]
"""Topic → [topic id, partition, offset]: up to there a patient's events had been applied. A patient's messages lie in
one partition of a topic; should a foreign producer have put some elsewhere, those stand under ``<topic>@<partition>``."""


class Line(NamedTuple):
    """A good message on its way to bronze."""

    offset: int
    timestamp: int
    patient: str
    data: bytes


class DeadLine(NamedTuple):
    """A refused message on its way to the dead letters."""

    offset: int
    timestamp: int
    data: bytes


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("utf-8", "backslashreplace")


def good_line(
    chain: Chain,
    offset: int,
    timestamp: int,
    key: bytes | None,
    headers: Sequence[tuple[str, bytes | None]],
    value: bytes,
    patient: str,
) -> Line:
    """The bronze line of a message that kept its contract. ``value`` goes in verbatim.

    Line breaks can only stand between the tokens of valid JSON, never inside its strings; they become blanks, because
    here a line is a message.
    """
    if b"\n" in value or b"\r" in value:
        value = value.replace(b"\n", b" ").replace(b"\r", b" ")
    body = {
        "topic": chain.topic,
        "topic_id": chain.topic_id,
        "partition": chain.partition,
        "offset": offset,
        "timestamp": timestamp,
        "key": _text(key),
        "headers": {name: _text(data) for name, data in headers},
        "value": orjson.Fragment(value),
    }
    return Line(offset, timestamp, patient, orjson.dumps(body, option=orjson.OPT_APPEND_NEWLINE))


def dead_line(
    chain: Chain,
    offset: int,
    timestamp: int,
    key: bytes | None,
    headers: Sequence[tuple[str, bytes | None]],
    value: bytes | None,
    reasons: Sequence[Mapping[str, str]],
) -> DeadLine:
    """The dead letter of a message that broke its contract: its raw bytes (base64; null if it had none) and why."""
    body = {
        "topic": chain.topic,
        "topic_id": chain.topic_id,
        "partition": chain.partition,
        "offset": offset,
        "timestamp": timestamp,
        "key": _text(key),
        "headers": {name: _text(data) for name, data in headers},
        "reasons": [dict(reason) for reason in reasons],
        "raw": None if value is None else base64.b64encode(value).decode(),
    }
    return DeadLine(offset, timestamp, orjson.dumps(body, option=orjson.OPT_APPEND_NEWLINE))


class Prepared(NamedTuple):
    """A batch whose objects are written and whose claim is not: nobody can see it yet."""

    claim: Claim


def prepare_batch(
    lake: Lake,
    chain: Chain,
    start: int,
    lines: Sequence[Line],
    dead: Sequence[DeadLine],
    *,
    writer: str,
    created: str,
    token: str = "",
) -> Prepared:
    """Write the objects of the messages from offset ``start`` (the chain's expected next) on. ValueError if none.

    ``token`` names them where the same input is to give the same names (see :mod:`ml.lake.names`).
    """
    offsets = [line.offset for line in lines] + [letter.offset for letter in dead]
    if not offsets or min(offsets) < start:
        raise ValueError(f"A batch of {chain} from {start} needs messages, none of them before its start.")
    timestamps = [line.timestamp for line in lines] + [letter.timestamp for letter in dead]
    name = sha = dead_name = dead_sha = None
    size = 0
    index: dict[str, list[int]] = {}
    if lines:
        ordered = sorted(lines, key=lambda line: (line.patient, line.offset))
        for line in ordered:
            length = len(line.data)
            if line.patient in index:
                index[line.patient][1] += length
            else:
                index[line.patient] = [size, length]
            size += length
        data = b"".join([line.data for line in ordered])
        sha = hashlib.sha256(data).hexdigest()
        name = names.raw_name(chain.topic, min(lines, key=lambda line: line.offset).timestamp, token)
        _create_new(lake, name, data)
    if dead:
        data = b"".join([letter.data for letter in sorted(dead)])
        dead_sha = hashlib.sha256(data).hexdigest()
        dead_name = names.dead_name(*chain, start, token)
        _create_new(lake, dead_name, data)
    return Prepared(
        Claim(
            *chain,
            start=start,
            end=max(offsets),
            count=len(lines),
            dead=len(dead),
            object=name,
            object_sha256=sha,
            object_bytes=size,
            dead_object=dead_name,
            dead_sha256=dead_sha,
            first_timestamp=min(timestamps),
            last_timestamp=max(timestamps),
            writer=writer,
            created=created,
            index=index,
        )
    )


def _create_new(lake: Lake, name: str, data: bytes) -> None:
    # the name holds a fresh UUID: "exists" can only be our own write, sent twice
    if not lake.create(name, data) and lake.get(name) != data:
        raise LakeError(f"Another writer took the name {name}, which nobody else can know.")


def claim_batch(lake: Lake, prepared: Prepared) -> Claimed:
    """Claim a prepared batch. Where another's claim stands, our objects are removed and theirs is the answer."""
    claimed = try_claim(lake, prepared.claim)
    if not claimed.ours:
        for name in (prepared.claim.object, prepared.claim.dead_object):
            if name:
                lake.delete(name)
    return claimed


def write_batch(
    lake: Lake,
    chain: Chain,
    start: int,
    lines: Sequence[Line],
    dead: Sequence[DeadLine] = (),
    *,
    writer: str,
    created: str,
    token: str = "",
) -> Claimed:
    """Prepare and claim in one go."""
    return claim_batch(
        lake, prepare_batch(lake, chain, start, lines, dead, writer=writer, created=created, token=token)
    )


@dataclass(frozen=True, slots=True)
class Batch:
    """One claimed batch, its content read when asked for."""

    lake: Lake
    claim: Claim
    epoch: int

    def raw(self) -> bytes:
        """The data object's bytes; LakeError if they are not those that were claimed."""
        if self.claim.object is None:
            return b""
        data = self.lake.get(self.claim.object)
        if hashlib.sha256(data).hexdigest() != self.claim.object_sha256:
            raise LakeError(_ALTERED.format(self.claim.object))
        return data

    def lines(self) -> list[BronzeLine]:
        """The good messages, grouped by patient, by offset within a patient."""
        return [orjson.loads(line) for line in self.raw().split(b"\n") if line]


def read_claimed(
    lake: Lake,
    topic: str,
    since: Mapping[tuple[str, int], int] | None = None,
    until: Mapping[tuple[str, int], int] | None = None,
) -> Iterator[Batch]:
    """The claimed batches of a topic by (epoch, partition, start).

    ``since`` and ``until``: (topic id, partition) → offset. Batches that end at or before ``since`` are left out, as
    are those that begin behind ``until``; a chain that ``until`` does not name is left out whole.
    """
    order = epochs(lake, topic)
    known = [chain for chain in chains(lake, topic) if chain.topic_id in order]
    for chain in sorted(known, key=lambda chain: (order[chain.topic_id], chain.partition)):
        address = (chain.topic_id, chain.partition)
        if until is not None and address not in until:
            continue
        for claim in chain_claims(lake, chain, after=(since or {}).get(address, -1)):
            if until is not None and claim.start > until[address]:
                break
            yield Batch(lake, claim, order[chain.topic_id])


def read_dead(lake: Lake, claim: Claim) -> list[dict[str, Any]]:
    """The dead letters of one claim, by offset; ``raw`` as bytes or None."""
    if claim.dead_object is None:
        return []
    letters = [orjson.loads(line) for line in lake.get(claim.dead_object).split(b"\n") if line]
    for letter in letters:
        letter["raw"] = None if letter["raw"] is None else base64.b64decode(letter["raw"])
    return letters


def _limits(order: Mapping[str, int], watermark: Watermark, topic: str) -> tuple[int, dict[tuple[str, int], int]]:
    newest = -1
    limits: dict[tuple[str, int], int] = {}
    for name, (topic_id, partition, offset) in watermark.items():
        if name.partition("@")[0] != topic:
            continue
        if topic_id not in order:
            raise LakeError(f"Bronze knows no epoch of {topic} with the id {topic_id}; the answer cannot be rebuilt.")
        newest = max(newest, order[topic_id])
        limits[str(topic_id), int(partition)] = int(offset)
    return newest, limits


def _must_hold(lake: Lake, topic: str, known: Sequence[Chain], limits: Sequence[Mapping[tuple[str, int], int]]) -> None:
    """LakeError where a watermark names an offset that is not claimed."""
    needed: dict[tuple[str, int], int] = {}
    for wanted_to in limits:
        for address, offset in wanted_to.items():
            needed[address] = max(needed.get(address, -1), offset)
    ends = {
        (chain.topic_id, chain.partition): (next_offset(lake, chain) or 0) - 1
        for chain in known
        if (chain.topic_id, chain.partition) in needed
    }
    for address, offset in sorted(needed.items()):
        end = ends.get(address, -1)
        if end < offset:
            raise LakeError(
                f"Bronze holds {topic} partition {address[1]} up to offset {end}, the watermark says {offset}: "
                "not replayable."
            )


def events_of_patients(
    lake: Lake, watermarks: Mapping[str, Watermark], *, verified: set[str] | None = None
) -> dict[str, list[BronzeLine]]:
    """The messages of several patients ("trial/patient"), each up to their own watermark; earlier epochs count whole.

    By (topic, epoch, partition, offset). LakeError where a watermark lies behind what bronze holds: the prediction it
    stands on cannot be replayed. With ``verified`` (names of objects that have been looked at already; grows) every other
    object is read whole and must be what was claimed, else LakeError names it.
    """
    found: dict[str, list[BronzeLine]] = {patient: [] for patient in watermarks}
    for claim, _, wanted in _claims_of(lake, watermarks):
        here = wanted.keys() & claim.index.keys()
        if here and verified is not None:
            _verify(lake, claim, verified)
        for patient in here:
            found[patient].extend(_patient_lines(lake, claim, patient, wanted[patient]))
    return found


class Share(NamedTuple):
    """What one claimed object holds of one patient, up to the watermark."""

    claim: Claim
    epoch: int
    lines: list[BronzeLine]


def shares_of_patient(lake: Lake, patient: str, watermark: Watermark) -> Iterator[Share]:
    """The same messages of one patient ("trial/patient"), object by object, with the claims they stand under.

    LakeError as for :func:`events_of_patients`; objects are not verified.
    """
    for claim, epoch, wanted in _claims_of(lake, {patient: watermark}):
        if patient in claim.index and (lines := list(_patient_lines(lake, claim, patient, wanted[patient]))):
            yield Share(claim, epoch, lines)


def line_at(lake: Lake, claim: Claim, offset: int) -> bytes | None:
    """The bytes of one good message's line; None where the offset is a dead letter or a gap of the broker's.

    LakeError if the object is not what was claimed.
    """
    for line in Batch(lake, claim, 0).raw().split(b"\n"):
        if line and orjson.loads(line)["offset"] == offset:
            return line
    return None


def _claims_of(lake: Lake, watermarks: Mapping[str, Watermark]) -> Iterator[tuple[Claim, int, dict[str, int]]]:
    """Every claim that may hold something within the watermarks, its epoch, and the last offset of each patient."""
    topics = sorted({name.partition("@")[0] for watermark in watermarks.values() for name in watermark})
    for topic in topics:
        order = epochs(lake, topic)
        limits = {patient: _limits(order, watermark, topic) for patient, watermark in watermarks.items()}
        known = sorted(
            (chain for chain in chains(lake, topic) if chain.topic_id in order),
            key=lambda chain: (order[chain.topic_id], chain.partition),
        )
        _must_hold(lake, topic, known, [wanted_to for _, wanted_to in limits.values()])
        for chain in known:
            epoch = order[chain.topic_id]
            address = (chain.topic_id, chain.partition)
            wanted = {
                patient: wanted_to[address] if epoch == newest else wanted_to.get(address, 2**63)
                for patient, (newest, wanted_to) in limits.items()
                if epoch < newest or address in wanted_to
            }
            highest = max(wanted.values(), default=-1)
            for claim in chain_claims(lake, chain):
                if claim.start > highest:
                    break
                yield claim, epoch, wanted


def _verify(lake: Lake, claim: Claim, verified: set[str]) -> None:
    if claim.object is None or claim.object in verified:
        return
    if hashlib.sha256(lake.get(claim.object)).hexdigest() != claim.object_sha256:
        raise LakeError(_ALTERED.format(claim.object))
    verified.add(claim.object)


def _patient_lines(lake: Lake, claim: Claim, patient: str, limit: int) -> Iterator[BronzeLine]:
    if claim.object is None:
        return
    start, length = claim.index[patient]
    for data in lake.get_range(claim.object, start, length).split(b"\n"):
        if data:
            line: BronzeLine = orjson.loads(data)
            if line["offset"] <= limit:
                yield line


def events_of_patient(lake: Lake, trial: str, patient: str, watermark: Watermark) -> list[BronzeLine]:
    """The messages of one patient up to the watermark; see :func:`events_of_patients`."""
    name = f"{trial}/{patient}"
    return events_of_patients(lake, {name: watermark})[name]
