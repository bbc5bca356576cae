"""The quality check of the data plane: a table of what must not be exceeded, and the one step that walks it.

It looks at what lies in the lake and at nothing else, so it says the same on a folder and on S3, while bronze writes on.
What it finds is a warning on the run, never a failure: a check that fails is one that could not look.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

from apps.core import clock
from apps.core.lake import lake as the_lake
from apps.patients import selectors as patients
from ml.contracts import TOPICS
from ml.lake import Lake, LakeError, ObjectMissing
from ml.lake.claims import Claim, chain_claims, chains
from ml.lake.verify import check_claim

LATEST_REPORT = "quality/latest.json"
SEEN = "quality/checks/seen.json"
LATEST_CHECK = "quality/checks/latest.json"
HOUR = 3600
FEWEST_MESSAGES = 50
"""Of fewer messages no share is judged."""
RECENT_HOURS = 24


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it should be. `subject` says of what: a topic, a chain, a site."""

    check: str
    subject: str
    value: float
    threshold: float
    sentence: str
    cure: str


@dataclass
class Look:
    """What the checks look at, read once."""

    lake: Lake
    now: int
    live: bool
    claims: dict[str, list[list[Claim]]]
    """Topic → its chains, each with its claims in order."""
    seen: dict[str, int]
    """Chain → offset up to which its objects have been compared with their claims before."""
    report: dict[str, Any]
    deep: bool = False


Found = Iterator[tuple[str, float, str]]
"""(subject, value, what exactly)"""


@dataclass(frozen=True, slots=True)
class Check:
    """One row: a value above `threshold` (in `unit`) is a finding; `values` gives each (subject, value, detail)."""

    name: str
    sentence: str
    threshold: float
    unit: str
    cure: str
    values: Callable[[Look], Found]


def _gaps(look: Look) -> Found:
    for topic, found in look.claims.items():
        for claims in found:
            for before, after in pairwise(claims):
                if after.start != before.end + 1:
                    yield topic, 1.0, f"after offset {before.end} of partition {before.partition} follows {after.start}"


def _unsound(look: Look) -> Found:
    """Objects claimed since the last check (all, when asked for) against the hashes and counts in their claims."""
    for topic, found in look.claims.items():
        for claims in found:
            for claim in claims:
                if look.deep or claim.end > look.seen.get(_chain(claim), -1):
                    yield from ((topic, 1.0, f"{claim.name}: {fault}") for fault in check_claim(look.lake, claim))


def _refused(look: Look) -> Found:
    since = 1000 * (look.now - RECENT_HOURS * HOUR)
    for topic, found in look.claims.items():
        recent = [claim for claims in found for claim in claims if claim.last_timestamp >= since]
        dead, every = sum(one.dead for one in recent), sum(one.dead + one.count for one in recent)
        if every >= FEWEST_MESSAGES:
            yield (
                topic,
                dead / every,
                f"{dead:,} of {every:,} messages of the last {RECENT_HOURS} h broke their contract",
            )


def _quarantined(look: Look) -> Found:
    yield from _shares(look, lambda day, part: str(day["topic"]))


def _quarantined_site(look: Look) -> Found:
    yield from _shares(look, lambda day, part: f"{part['trial']}/{part['site'] or 'no site'}")


def _shares(look: Look, subject_of: Callable[[dict[str, Any], dict[str, Any]], str]) -> Found:
    aside, every = Counter[str](), Counter[str]()
    for day in look.report.get("days", ()):
        for part in day["messages"]:
            every[subject_of(day, part)] += part["count"]
        for part in day["quarantine"]:
            aside[subject_of(day, part)] += part["count"]
    for subject, count in sorted(every.items()):
        if count >= FEWEST_MESSAGES:
            words = f"{aside[subject]:,} of {count:,} messages of the days last cleaned were set aside"
            yield subject, aside[subject] / count, words


def _stale(*topics: str) -> Callable[[Look], Found]:
    def values(look: Look) -> Found:
        for topic in topics:
            newest = max((one.last_timestamp for claims in look.claims[topic] for one in claims), default=None)
            if look.live and newest is not None:
                age = (look.now - newest / 1000) / HOUR
                yield topic, age, f"the newest message is {age:.1f} h old"

    return values


# fmt: off
CHECKS: tuple[Check, ...] = (
    Check("contiguous", "Claims of bronze leave no gap", 0, "gaps", "See docs/runbooks/bronze.md before anything is skipped.", _gaps),
    Check("intact", "Objects of bronze are what was claimed", 0, "faults", "See docs/runbooks/bronze.md; restore the object.", _unsound),
    Check("refused", "Messages that break their contract", 0.10, "share", "See the dead letters: which producer, which rule.", _refused),
    Check("quarantined", "Records set aside in a topic", 0.10, "share", "See the quarantine: which rule, since when.", _quarantined),
    Check("quarantined_site", "Records set aside of a site", 0.20, "share", "Ask the site: a device, a unit, a clock.", _quarantined_site),
    Check("stale_vitals", "Hours without vital signs", 6, "hours", "Look whether producers and the bronze consumer run.",
          _stale("patient-vitals")),
    Check("stale_daily", "Hours without medications or lab results", 72, "hours", "Ask the laboratory and the EDC for their feeds.",
          _stale("medications", "lab-results")),
)
# fmt: on


def check(context: dict[str, Any], report: Callable[[str, int, int], None]) -> dict[str, Any]:
    """The step. Input: deep (compare every object, not only new ones). Outputs: warnings (how many), findings, checked;
    the whole is kept under quality/checks/."""
    look = _look(the_lake(), deep=bool(context.get("deep")))
    findings: list[Finding] = []
    for done, row in enumerate(CHECKS):
        report(row.sentence, done, len(CHECKS))
        findings += [
            Finding(row.name, subject, round(value, 6), row.threshold, f"{row.sentence}: {subject}, {words}.", row.cure)
            for subject, value, words in row.values(look)
            if value > row.threshold
        ]
    moment = clock.now()
    body = {
        "checked_at": moment.isoformat(timespec="seconds"),
        "checks": [row.name for row in CHECKS],
        "claims": sum(len(claims) for found in look.claims.values() for claims in found),
        "quality_report": look.report.get("path"),
        "findings": [asdict(one) for one in findings],
    }
    data = json.dumps(body, indent=1, sort_keys=True).encode()
    place = f"quality/checks/{moment:%Y-%m-%dT%H%M%S}.json"
    for path in (place, LATEST_CHECK):
        look.lake.put(path, data)
    if not any(one.check == "intact" for one in findings):
        ends = {_chain(claims[-1]): claims[-1].end for found in look.claims.values() for claims in found if claims}
        look.lake.put(SEEN, json.dumps(ends, sort_keys=True).encode())
    return {
        "warnings": len(findings),
        "findings": [one.sentence for one in findings],
        "claims_checked": body["claims"],
        "quality_check": place,
    }


def _look(lake: Lake, *, deep: bool) -> Look:
    try:
        claims = {topic: [list(chain_claims(lake, chain)) for chain in chains(lake, topic)] for topic in TOPICS}
    except ObjectMissing as error:
        raise LakeError(f"Bronze changed while it was looked at: {error} Check again.") from error
    return Look(
        lake=lake,
        now=int(clock.now().timestamp()),
        live=bool(patients.live_trial_ids()),
        claims=claims,
        seen=_json(lake, SEEN),
        report=_json(lake, LATEST_REPORT),
        deep=deep,
    )


def _json(lake: Lake, path: str) -> dict[str, Any]:
    try:
        body: dict[str, Any] = json.loads(lake.get(path))
    except ObjectMissing:
        return {}
    return body


def _chain(claim: Claim) -> str:
    return f"{claim.topic}/{claim.topic_id}/{claim.partition}"
