"""Lineage of a prediction: the events it saw, the bronze objects they lie in, and which of them fed which feature.

Everything is looked up, not repeated from the prediction's row: events come from claimed bronze objects up to the
watermark, cleaned by the tables of today, and are asked which feature they reach.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Literal
from uuid import UUID

import numpy as np
import orjson
from django.conf import settings

from apps.core.lake import lake
from apps.predictions.models import Prediction
from apps.predictions.reach import reach
from ml.cleaning import clean, to_facts
from ml.contracts import EVENTS
from ml.contracts.columns import Blinding
from ml.facts import Facts
from ml.lake import LakeError, ObjectMissing
from ml.lake.bronze import BronzeLine, Share, epochs, shares_of_patient
from ml.lake.claims import Claim
from ml.profile import StudyProfile

Identity = tuple[str, str, int, int]
"""topic, topic id, partition, offset"""

#: Of a message's columns the ones that say what it is, in the order of a sentence; the contract has their classes.
SHOWN: dict[str, tuple[str, ...]] = {
    "patient-vitals": (
        "heart_rate", "blood_pressure_systolic", "blood_pressure_diastolic", "temperature", "spo2", "respiratory_rate",
        "supplemental_oxygen", "consciousness", "weight", "height", "source",
    ),
    "lab-results": ("test_name", "value", "unit", "reference_range", "value_text", "lab_id"),
    "medications": ("drug_name", "dosage", "unit", "route", "frequency", "end_timestamp", "outcome"),
    "adverse-events": ("event_type", "severity", "serious", "end_timestamp", "outcome"),
    "patient-context": (
        "kind", "age", "sex", "race", "ethnicity", "term", "arm_code", "arm_name", "treated", "status", "end_timestamp",
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Seen:
    """One event. Times are seconds since 1970 UTC. ``rule`` names the cleaning rule that set (part of) it aside, else "".
    ``value`` has the columns of SHOWN that the message carries; mask it with ``visible`` before anybody sees it."""

    identity: Identity
    epoch: int
    event_time: int
    known_time: int
    value: Mapping[str, Any]
    retracted: bool
    rule: str
    producer: str
    correlation_id: str
    claim: str
    features: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Bronze:
    """One claimed object, with how many of the events lie in it. ``start`` and ``length``: the patient's bytes in it."""

    claim: Claim
    epoch: int
    events: int
    start: int
    length: int


@dataclass(frozen=True, slots=True)
class Walk:
    """What lies beneath one prediction. ``later``: messages within the watermark that became known after its as-of time,
    so that it did not see them. ``feeds``: feature → how many events, and the newest event time among them."""

    events: tuple[Seen, ...]
    objects: tuple[Bronze, ...]
    later: int
    feeds: Mapping[str, tuple[int, int]] = field(default_factory=dict)


def find(prediction_id: UUID | str, trial_id: str) -> Prediction | None:
    """The prediction of that trial, with all its lineage names."""
    return (
        Prediction.objects.select_related(
            "patient__site", "trial", "model_version", "profile_version", "not_replayable"
        )
        .filter(pk=prediction_id, trial_id=trial_id)
        .first()
    )


def walk(prediction: Prediction) -> Walk:
    """The events beneath a prediction. LakeError where bronze does not hold what the watermark names.

    Neither a prediction nor what lies in bronze ever changes, so a walk is kept for the next page of it.
    """
    return _walk(
        settings.LAKE_URL,
        prediction.pk,
        prediction.patient_id,
        int(prediction.as_of.timestamp()),
        orjson.dumps(prediction.watermark),
        orjson.dumps(prediction.profile_version.body),
    )


@lru_cache(maxsize=16)
def _walk(_lake: str, _pk: UUID, patient: str, t: int, watermark: bytes, profile_body: bytes) -> Walk:
    profile = StudyProfile.from_json(orjson.loads(profile_body))
    shares = list(shares_of_patient(lake(), patient, orjson.loads(watermark)))
    events, later, fed, feeds = _events(shares, t, profile)
    here: dict[str, int] = {}
    for event in events:
        here[event.claim] = here.get(event.claim, 0) + 1
    objects = tuple(
        Bronze(share.claim, share.epoch, here.get(share.claim.name, 0), *share.claim.index[patient]) for share in shares
    )
    events = [replace(event, features=tuple(fed.get(event.identity, ()))) for event in events]
    events.sort(key=lambda one: (-one.event_time, -one.known_time, one.identity))
    return Walk(tuple(events), tuple(one for one in objects if one.events), later, feeds)


def _events(
    shares: list[Share], t: int, profile: StudyProfile
) -> tuple[list[Seen], int, dict[Identity, list[str]], dict[str, tuple[int, int]]]:
    """The events known and begun by ``t``, how many were not, and which features each fed."""
    by_chain: dict[tuple[str, str, int], list[tuple[BronzeLine, Share]]] = {}
    for share in shares:
        for line in share.lines:
            by_chain.setdefault((line["topic"], line["topic_id"], line["partition"]), []).append((line, share))
    events: list[Seen] = []
    later = 0
    parts: list[Facts] = []
    owners: list[tuple[str, str, int]] = []
    for chain, rows in sorted(by_chain.items()):
        topic = chain[0]
        cleaned = clean(
            topic,
            [line for line, _ in rows],
            epochs=epochs(lake(), topic),
            profiles={profile.trial_id: profile},
            default_trial=settings.DEFAULT_TRIAL_ID,
        )
        times: dict[int, tuple[int, int]] = {}
        rules: dict[int, str] = {}
        for table in (cleaned.quarantine, cleaned.rows):
            columns = (table[name].to_pylist() for name in ("offset", "event_time", "known_time"))
            times |= {offset: (event, known) for offset, event, known in zip(*columns, strict=True)}
        rules |= dict(
            zip(cleaned.quarantine["offset"].to_pylist(), cleaned.quarantine["rule"].to_pylist(), strict=True)
        )
        for line, share in rows:
            event, known = times[line["offset"]]
            if event > t or known > t:
                later += 1
                continue
            events.append(_seen(line, share, event, known, rules.get(line["offset"], "")))
        facts = to_facts(topic, cleaned.rows)
        parts.append(facts)
        owners += [chain] * len(facts)
    fed: dict[Identity, list[str]] = {}
    feeds: dict[str, tuple[int, int]] = {}
    together = Facts.concat(parts) if parts else Facts.empty()
    if len(together):
        for name, positions in reach(together, t, profile).items():
            places = {(*owners[place], int(together.offset[place])) for place in positions.tolist()}
            for place in places:
                fed.setdefault(place, []).append(name)
            if places:
                feeds[name] = (len(places), int(np.max(together.event_time[positions])))
    return events, later, fed, feeds


def _seen(line: BronzeLine, share: Share, event: int, known: int, rule: str) -> Seen:
    value, headers = line["value"], line.get("headers") or {}
    topic = line["topic"]
    return Seen(
        identity=(topic, line["topic_id"], line["partition"], line["offset"]),
        epoch=share.epoch,
        event_time=event,
        known_time=known,
        value={name: value[name] for name in SHOWN[topic] if value.get(name) is not None},
        retracted=value.get("retracted") is True,
        rule=rule,
        producer=str(headers.get("producer") or ""),
        correlation_id=str(headers.get("correlation_id") or ""),
        claim=share.claim.name,
    )


def hidden(kind: Blinding, *, blinded: bool, personal: bool) -> bool:
    """Whether a class is kept from a reader who is (not) blinded and may (not) see personal data."""
    return (kind == "arm" and blinded) or (kind == "personal" and not personal)


def visible(event: Seen, *, blinded: bool, personal: bool) -> dict[str, Any]:
    """The event's columns, with None in place of what the reader may not see. Which columns there are may itself tell
    (an amount that is absent), so where one of a class is hidden every column of that class is named."""
    contract = EVENTS[event.identity[0]]
    shown: dict[str, Any] = {}
    kind_of_context = event.value.get("kind")
    for name in SHOWN[event.identity[0]]:
        if hidden(contract.column(name).blinding, blinded=blinded, personal=personal):
            if _could_hold(event.identity[0], kind_of_context, name):
                shown[name] = None
        elif name in event.value:
            shown[name] = event.value[name]
    return shown


_ARM_PARTS, _PERSON_PARTS = ("arm_code", "arm_name"), ("age", "sex", "race", "ethnicity")


def _could_hold(topic: str, kind: Any, name: str) -> bool:
    """Of a context only the part that its kind is about."""
    if topic != "patient-context":
        return True
    return name in {"arm": _ARM_PARTS, "demographics": _PERSON_PARTS}.get(str(kind), ())


def contents_hidden(topic: str, *, blinded: bool, personal: bool) -> bool:
    """Whether digests and lengths of a topic's objects are kept from the reader: they are made of what is in them."""
    return any(hidden(column.blinding, blinded=blinded, personal=personal) for column in EVENTS[topic].columns)


@dataclass(frozen=True, slots=True)
class Check:
    """One object looked at now. ``state``: whole, altered, missing, or claim altered."""

    object: str
    state: Literal["whole", "altered", "missing", "claim altered"]
    sha256: str


def check(objects: Iterable[Bronze]) -> Iterator[Check]:
    """Read claim and object of each from the store, now, and compare: every byte of the object against its claim."""
    store = lake()
    for one in objects:
        name = one.claim.object or ""
        try:
            claim = Claim.from_bytes(store.get(one.claim.name))
            digest = hashlib.sha256(store.get(name)).hexdigest()
        except ObjectMissing:
            yield Check(name, "missing", "")
            continue
        except (LakeError, ValueError, TypeError):
            yield Check(name, "claim altered", "")
            continue
        if claim != one.claim:
            yield Check(name, "claim altered", digest)
        else:
            yield Check(name, "whole" if digest == claim.object_sha256 else "altered", digest)
