"""The walk from a score to its messages, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.conf import settings

from apps.audit.models import AuditEvent
from apps.portal.presenters import factors, feature_words, words
from apps.portal.presenters.runs import StateLook
from apps.portal.viewer import Viewer
from apps.predictions import lineage
from apps.predictions import origin as origins
from apps.predictions.models import Prediction
from ml.contracts import EVENTS
from ml.features import FEATURES, from_bytes

MASKED = "masked"
LOOKS = {
    "good": ("good", "tick", "as claimed"),
    "open": ("open", "half", "not proven"),
    "bad": ("bad", "cross", "not as claimed"),
}
CHECKS = {
    "whole": StateLook("good", "tick", "whole"),
    "altered": StateLook("bad", "cross", "altered"),
    "missing": StateLook("bad", "cross", "missing"),
    "claim altered": StateLook("bad", "cross", "claim altered"),
}
TITLES = {"model": "Model version", "run": "Training run", "data": "Data version", "code": "Code and tables"}
SHOWS = {"counted": "That counted most", "all": "All 120", "missing": "Without a value"}


@dataclass(frozen=True, slots=True)
class Fact:
    """A name and a value; ``masked`` = kept from this reader."""

    name: str
    text: str
    masked: bool = False
    mono: bool = False


@dataclass(frozen=True, slots=True)
class FeatureRow:
    """One of the 120. ``events`` is None where it may not be told."""

    name: str
    title: str
    value: str
    unit: str
    age: str
    share: str
    events: int | None
    masked: bool
    description: str


@dataclass(frozen=True, slots=True)
class EventRow:
    topic: str
    topic_id: str
    partition: int
    offset: str
    happened: str
    known: str
    kind: str
    facts: list[Fact]
    note: str
    object: str


@dataclass(frozen=True, slots=True)
class ObjectRow:
    path: str
    topic: str
    claim: str
    partition: int
    span: str
    events: str
    bytes: str
    sha256: str
    masked: bool
    state: StateLook | None


@dataclass(frozen=True, slots=True)
class LinkCard:
    slug: str
    title: str
    state: StateLook
    sentence: str
    facts: list[Fact]
    url: str


@dataclass(frozen=True, slots=True)
class ReplayRow:
    at: str
    by: str
    verdict: str
    look: StateLook
    details: list[str]
    details_kept: bool
    seconds: str


def sight(viewer: Viewer, prediction: Prediction) -> dict[str, bool]:
    """What the viewer may see of this patient's events."""
    return {"blinded": viewer.blinded, "personal": prediction.patient.site_id in viewer.personal}


def answer(viewer: Viewer, prediction: Prediction, asked_by: str) -> dict[str, Any]:
    """The answer as it was shown then."""
    level = words.level(prediction.level)
    where = viewer.zone
    untold = factors.indeterminate(prediction.reasons) if prediction.probability is None else None
    return {
        "level": level,
        "word": level.capitalize(),
        "percent": words.percent(prediction.probability, viewer.profile),
        "exact": "" if prediction.probability is None else repr(prediction.probability),
        "reason": untold.reason if untold else "",
        "horizon": f"in {viewer.profile.horizon_hours} h",
        "zone": words.zone_words(prediction.as_of, where),
        "silent": prediction.silent,
        "facts": [
            Fact("As of", words.when(prediction.as_of, where, year=True, seconds=True)),
            Fact("Stored", words.when(prediction.created_at, where, year=True, seconds=True)),
            Fact("Asked for by", asked_by or words.MISSING),
            Fact("Through", prediction.get_source_display()),
            Fact("Model", str(prediction.model_version)),
            Fact("Study profile", f"version {prediction.profile_version.version}"),
            Fact("Prediction", str(prediction.pk), mono=True),
            Fact("Correlation id", prediction.correlation_id or words.MISSING, mono=True),
        ],
    }


def asked_by(prediction: Prediction) -> str:
    """Who asked, as the trail has it."""
    event = (
        AuditEvent.objects.filter(
            object_type="predictions.Prediction", object_id=str(prediction.pk), action="predictions.predicted"
        )
        .only("actor")
        .first()
    )
    return event.actor if event else ""


def watermark(prediction: Prediction) -> list[dict[str, Any]]:
    """Per topic the place up to which everything of the patient had been applied."""
    return [
        {"topic": name, "topic_id": mark[0], "partition": mark[1], "offset": f"{mark[2]:,}"}
        for name, mark in sorted(prediction.watermark.items())
    ]


def features(
    viewer: Viewer, prediction: Prediction, walk: lineage.Walk | None, show: str, query: str
) -> list[FeatureRow]:
    """The chosen rows of the vector; in the order of the table, or of what counted most."""
    may = sight(viewer, prediction)
    shares = {one["feature"]: float(one["contribution"]) for one in prediction.top_factors}
    rows = []
    for feature, value in zip(FEATURES, from_bytes(bytes(prediction.features)).tolist(), strict=True):
        masked = lineage.hidden(feature.blinding, **may)
        said = feature_words.say(feature.name, None)
        there = value == value
        if query and query.lower() not in f"{feature.name} {said.title}".lower():
            continue
        if not query and (
            (show == "counted" and feature.name not in shares) or (show == "missing" and (there or masked))
        ):
            continue
        count, newest = (walk.feeds.get(feature.name, (0, 0)) if walk else (0, 0)) if not masked else (0, 0)
        rows.append(
            FeatureRow(
                name=feature.name,
                title=said.title,
                value=MASKED if masked else words.number(value, 6) if there else words.MISSING,
                unit=words.unit(feature.unit),
                age=words.age(prediction.as_of.timestamp() - newest) if count else "",
                share=factors.points(shares[feature.name]) if feature.name in shares and not masked else "",
                events=None if masked or walk is None else count,
                masked=masked,
                description=feature.description,
            )
        )
    if show == "counted" and not query:
        rows.sort(key=lambda row: -abs(shares[row.name]))
    return rows


def event(one: lineage.Seen, viewer: Viewer, may: Mapping[str, bool], paths: Mapping[str, str]) -> EventRow:
    """One event, with what the reader may see of it."""
    topic, topic_id, partition, offset = one.identity
    contract = EVENTS[topic]
    shown = lineage.visible(one, **may)
    notes = []
    if one.retracted:
        notes.append("entered in error: ends its record")
    if one.rule:
        notes.append(f"set aside: {one.rule}")
    return EventRow(
        topic=topic,
        topic_id=topic_id,
        partition=partition,
        offset=f"{offset:,}",
        happened=_when(one.event_time, viewer),
        known=_when(one.known_time, viewer),
        kind=str(shown.get("kind") or contract.table.replace("_", " ")),
        facts=[
            Fact(
                feature_words.subject(name) if topic == "patient-vitals" else name.replace("_", " "),
                "" if value is None else _value(value, contract.column(name).unit),
                masked=value is None,
            )
            for name, value in shown.items()
            if name != "kind"
        ],
        note="; ".join(notes),
        object=paths.get(one.claim, ""),
    )


def _value(value: Any, unit: str) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return words.with_unit(float(value), unit, 6)
    return str(value)[:200]


def _when(seconds: int, viewer: Viewer) -> str:
    return words.when(datetime.fromtimestamp(seconds, UTC), viewer.zone, year=True, seconds=True)


def bronze(
    objects: Sequence[lineage.Bronze], may: Mapping[str, bool], checks: Mapping[str, lineage.Check]
) -> list[ObjectRow]:
    """The claimed objects, newest first; with their state where they were just looked at."""
    rows = []
    for one in sorted(objects, key=lambda one: (-one.claim.last_timestamp, one.claim.topic, one.claim.start)):
        claim, masked = one.claim, lineage.contents_hidden(one.claim.topic, **may)
        checked = checks.get(claim.object or "")
        rows.append(
            ObjectRow(
                path=claim.object or "",
                topic=claim.topic,
                claim=claim.name,
                partition=claim.partition,
                span=f"{claim.start:,} to {claim.end:,}",
                events=f"{one.events:,}",
                bytes="" if masked else f"{one.start:,} + {one.length:,}",
                sha256="" if masked else claim.object_sha256 or "",
                masked=masked,
                state=CHECKS[checked.state] if checked else None,
            )
        )
    return rows


def link(one: origins.Link, prediction: Prediction, *, blinded: bool) -> LinkCard:
    """One arrow of the model's chain."""
    address = settings.MLFLOW_TRACKING_URI.rstrip("/")
    experiment = dict(one.facts).get(origins.EXPERIMENT, "")
    there = bool(experiment) and not blinded and address.startswith(("http://", "https://"))
    facts = [
        Fact(name, value or "", masked=value is None, mono=len(value or "") >= 32 or "/" in (value or ""))
        for name, value in origins.shown(one, blinded=blinded)
        if value != ""
    ]
    return LinkCard(
        slug=one.name,
        title=TITLES[one.name],
        state=StateLook(*LOOKS[one.state]),
        sentence=one.sentence,
        facts=facts,
        url=f"{address}/#/experiments/{experiment}/runs/{prediction.model_version.run_id}" if there else "",
    )


def replay(one: AuditEvent, viewer: Viewer, may: Mapping[str, bool]) -> ReplayRow:
    """One verdict; what differs may name values, so only who sees all of them is told."""
    after = one.after or {}
    verdict = str(after.get("verdict", ""))
    proven = after.get("proven") is True
    details = [str(line) for line in after.get("details", [])]
    everything = may["personal"] and not may["blinded"]
    tone, icon = ("good", "tick") if proven else ("open", "half") if verdict.startswith("not") else ("bad", "cross")
    return ReplayRow(
        at=words.when(one.at, viewer.zone, year=True, seconds=True),
        by=one.actor,
        verdict=verdict,
        look=StateLook(tone, icon, verdict[:1].upper() + verdict[1:]),
        details=details if everything else [],
        details_kept=bool(details) and not everything,
        seconds=f"{float(after.get('seconds', 0)):.2f} s",
    )
