"""The claim chain: which offsets of a partition lie in bronze, and in which objects.

A chain belongs to one (topic, topic id, partition). Its genesis fixes the first offset; each claim is named by the
offset that was expected next and says where the next one begins. A claim is created only if its name is free, so of
writers that race (a paused process that wakes, two consumers on one partition, our own retry) one wins, and every
other adopts what the winner wrote. No fencing and no Kafka transaction is needed: every writer's start is some existing
claim's end + 1, therefore the claims can neither overlap nor leave a gap.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple

import orjson

from ml.lake import names
from ml.lake.store import Lake, LakeError, ObjectMissing

FORMAT = 1


class Chain(NamedTuple):
    """Whose offsets a chain counts."""

    topic: str
    topic_id: str
    partition: int


@dataclass(frozen=True, slots=True)
class Claim:
    """One claimed batch: offsets ``start`` to ``end``, both included.

    ``count`` good messages lie in ``object``, ``dead`` refused ones in ``dead_object``; offsets of neither are gaps the
    broker itself left (compaction, transaction markers). ``index`` says for each patient ("trial/patient") where their
    lines lie in the object: [first byte, number of bytes].
    """

    topic: str
    topic_id: str
    partition: int
    start: int
    end: int
    count: int
    dead: int
    object: str | None
    object_sha256: str | None
    object_bytes: int
    dead_object: str | None
    dead_sha256: str | None
    first_timestamp: int
    last_timestamp: int
    writer: str
    created: str
    index: dict[str, list[int]] = field(default_factory=dict)
    format: int = FORMAT

    @property
    def chain(self) -> Chain:
        return Chain(self.topic, self.topic_id, self.partition)

    @property
    def name(self) -> str:
        return names.claim_name(self.topic, self.topic_id, self.partition, self.start)

    def to_bytes(self) -> bytes:
        return orjson.dumps(asdict(self))

    @classmethod
    def from_bytes(cls, data: bytes) -> Claim:
        body: dict[str, Any] = orjson.loads(data)
        if body.get("format") != FORMAT:
            raise LakeError(
                f"A claim of format {body.get('format')!r} was written by a newer release; upgrade this one."
            )
        return cls(**body)


class Claimed(NamedTuple):
    """What holds after an attempt to claim: the claim in force, and whether it is ours."""

    claim: Claim
    ours: bool


def genesis(lake: Lake, chain: Chain, earliest: int) -> int:
    """Fix where the chain begins, unless that is fixed already; the offset in force."""
    name = names.genesis_name(*chain)
    lake.create(name, orjson.dumps({"format": FORMAT, "start": earliest}))
    return int(orjson.loads(lake.get(name))["start"])


def try_claim(lake: Lake, claim: Claim) -> Claimed:
    """Create the claim, or adopt the one that stands in its place.

    A store may answer "exists" to our own write sent twice; the same bytes are therefore ours.
    """
    data = claim.to_bytes()
    if lake.create(claim.name, data):
        return Claimed(claim, ours=True)
    there = lake.get(claim.name)
    return Claimed(claim, ours=True) if there == data else Claimed(Claim.from_bytes(there), ours=False)


@lru_cache(maxsize=4_000)
def _read(lake: Lake, name: str) -> Claim:
    return Claim.from_bytes(lake.get(name))  # a claim never changes: what was read once holds


def read_claim(lake: Lake, name: str) -> Claim:
    """The claim of that name; :class:`ObjectMissing` where there is none."""
    return Claim.from_bytes(lake.get(name)) if lake.url.startswith("memory:") else _read(lake, name)


def start_of(name: str) -> int | None:
    """The start offset a claim's name tells; None for a genesis."""
    stem = name.rpartition("/")[2].removesuffix(".json")
    return int(stem) if stem.isdigit() else None


def chain_claims(lake: Lake, chain: Chain, *, after: int = -1) -> Iterator[Claim]:
    """The chain's claims in order, those that end behind offset ``after``."""
    prefix = names.chain_prefix(*chain)
    starts = [(start, info.path) for info in lake.list(prefix) if (start := start_of(info.path)) is not None]
    first = 0
    for position, (start, _) in enumerate(starts):
        if start <= after + 1:  # starts rise, so this one may still reach behind `after`
            first = position
    for _, path in starts[first:]:
        claim = read_claim(lake, path)
        if claim.end > after:
            yield claim


def claim_of(lake: Lake, chain: Chain, offset: int) -> Claim | None:
    """The claim that covers an offset; None where none does (yet)."""
    claim = next(chain_claims(lake, chain, after=offset - 1), None)
    return claim if claim is not None and claim.start <= offset <= claim.end else None


def last_claim(lake: Lake, chain: Chain) -> Claim | None:
    """The claim with the highest start; None in a chain without any."""
    newest = None
    for info in lake.list(names.chain_prefix(*chain)):
        if start_of(info.path) is not None:
            newest = info.path
    return read_claim(lake, newest) if newest else None


def next_offset(lake: Lake, chain: Chain) -> int | None:
    """The offset the chain expects next; None before its genesis."""
    newest = last_claim(lake, chain)
    if newest is not None:
        return newest.end + 1
    try:
        return int(orjson.loads(lake.get(names.genesis_name(*chain)))["start"])
    except ObjectMissing:
        return None


def chains(lake: Lake, topic: str) -> list[Chain]:
    """Every chain of a topic, of all epochs, in the order of their names."""
    found: dict[Chain, None] = {}
    for info in lake.list(f"claims/{topic}/"):
        parts = info.path.split("/")
        if len(parts) == 5 and parts[3].isdigit():
            found.setdefault(Chain(parts[1], parts[2], int(parts[3])))
    return sorted(found)
