"""What holds for every SDTM package, and short ways to ask one."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import orjson

from ml.contracts import Accepted, validate
from ml.sdtm import RULES, Event, Package, read_package, remarks
from tests.support.random_trial import Rows, Trial, write

SMALL = Trial(seed=5, subjects=12, treatment=56)


def read(folder: Path, rows: Rows, **options: Any) -> Package:
    """The package of some rows, after the checks that hold for every package."""
    return checked(read_package(write(folder, rows, **options)))


def checked(package: Package) -> Package:
    for account in package.accounts:
        assert account.read == account.carried + account.refused, account
    for refusal in package.refusals:
        assert RULES[refusal.rule].cure == refusal.cure != ""
    for note in package.notes:
        assert note.cure
        assert note.message.startswith(note.domain)
    for event in package.events:
        assert isinstance(validate(event.topic, orjson.dumps(event.value)), Accepted)
    assert len(remarks(package.notes)) == len({(n.domain, n.rule) for n in package.notes} - {
        (n.domain, n.rule) for n in package.notes if n.rule == "domain_absent"
    })  # fmt: skip
    return package


def account(package: Package) -> dict[str, tuple[int, int, int]]:
    return {one.domain: (one.read, one.carried, one.refused) for one in package.accounts}


def refused(package: Package) -> Counter[tuple[str, str]]:
    found: Counter[tuple[str, str]] = Counter()
    for refusal in package.refusals:
        found[refusal.domain, refusal.rule] += refusal.count
    return found


def noted(package: Package) -> Counter[tuple[str, str]]:
    found: Counter[tuple[str, str]] = Counter()
    for note in package.notes:
        found[note.domain, note.rule] += note.count
    return found


def of_kind(package: Package, kind: str) -> dict[str, Event]:
    return {event.patient_id: event for event in package.events if event.value.get("kind") == kind}


def values(package: Package) -> Counter[bytes]:
    """What the events say, whatever their rows are called."""
    return Counter(orjson.dumps(e.value, option=orjson.OPT_SORT_KEYS) for e in package.events)
