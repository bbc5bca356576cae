"""Checks of bronze as a whole, and the removal of what no claim names."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import orjson

from ml.lake import names
from ml.lake.claims import Chain, Claim, chain_claims, chains, next_offset
from ml.lake.store import Lake, ObjectMissing


@dataclass(frozen=True, slots=True)
class Problem:
    """Something in bronze that must not be: where, and a sentence."""

    where: str
    message: str


@dataclass(frozen=True, slots=True)
class Report:
    """What a check saw of one topic."""

    topic: str
    claims: int
    good: int
    dead: int
    problems: tuple[Problem, ...]


def _offsets(lake: Lake, claim: Claim, name: str | None, sha: str | None, count: int) -> tuple[list[int], list[str]]:
    if name is None:
        return [], [] if count == 0 else [f"counts {count} messages but names no object"]
    try:
        data = lake.get(name)
    except ObjectMissing:
        return [], [f"its object {name} is missing"]
    if hashlib.sha256(data).hexdigest() != sha:
        return [], [f"{name} is not what was claimed: its SHA-256 differs"]
    lines = [orjson.loads(line) for line in data.split(b"\n") if line]
    faults = []
    if len(lines) != count:
        faults.append(f"{name} holds {len(lines)} messages, {count} were claimed")
    if any((line["topic"], line["topic_id"], line["partition"]) != claim.chain for line in lines):
        faults.append(f"{name} holds messages of another partition")
    return [line["offset"] for line in lines], faults


def check_claim(lake: Lake, claim: Claim) -> list[str]:
    """What is wrong with one claim and its objects, as sentences."""
    good, faults = _offsets(lake, claim, claim.object, claim.object_sha256, claim.count)
    dead, more = _offsets(lake, claim, claim.dead_object, claim.dead_sha256, claim.dead)
    faults += more
    seen = good + dead
    if len(set(seen)) != len(seen):
        faults.append("an offset occurs twice")
    if seen and (min(seen) < claim.start or max(seen) != claim.end):
        faults.append(f"offsets {min(seen)} to {max(seen)} do not fit {claim.start} to {claim.end}")
    return faults


def verify(lake: Lake, topic: str) -> Report:
    """Follow every chain of a topic: genesis first, each claim beginning where the one before ends, objects intact."""
    problems: list[Problem] = []
    count = good = dead = 0
    for chain in chains(lake, topic):
        try:
            expected = int(orjson.loads(lake.get(names.genesis_name(*chain)))["start"])
        except ObjectMissing:
            problems.append(Problem(names.chain_prefix(*chain), "The chain has no genesis."))
            expected = -1
        for claim in chain_claims(lake, chain):
            if expected >= 0 and claim.start != expected:
                problems.append(Problem(claim.name, f"It begins at {claim.start}; {expected} was expected."))
            problems += [Problem(claim.name, f"The claim is unsound: {fault}.") for fault in check_claim(lake, claim)]
            expected = claim.end + 1
            count, good, dead = count + 1, good + claim.count, dead + claim.dead
    return Report(topic, count, good, dead, tuple(problems))


def _unclaimed(lake: Lake, topic: str) -> Iterator[str]:
    named: set[str | None] = set()
    for chain in chains(lake, topic):
        for claim in chain_claims(lake, chain):
            named |= {claim.object, claim.dead_object}
    for prefix in (names.raw_prefix(topic), names.dead_prefix(topic)):
        for info in lake.list(prefix):
            if info.path not in named:
                yield info.path


def sweep(lake: Lake, topic: str, *, remove: bool = True) -> list[str]:
    """Remove objects that no claim names and none ever can; their names.

    An object is only touched once its first offset lies below its chain's claimed end: the claim it was written for
    then exists and names another. Younger ones may belong to a writer that is just about to claim.
    """
    swept = []
    candidates = list(_unclaimed(lake, topic))
    for path in candidates:
        try:
            lines = [orjson.loads(line) for line in lake.get(path).split(b"\n") if line]
        except ObjectMissing:
            continue
        if not lines:
            continue
        first = min(lines, key=lambda line: line["offset"])
        chain = Chain(first["topic"], first["topic_id"], first["partition"])
        claimed_to = next_offset(lake, chain)
        if claimed_to is None or first["offset"] >= claimed_to:
            continue
        if path in set(_unclaimed(lake, topic)):  # it may have been claimed while we looked
            if remove:
                lake.delete(path)
            swept.append(path)
    return swept
