"""The trail in words: who did what to what, when, why, and what changed from what to what."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from django.urls import reverse

from apps.audit.actions import ACTIONS
from apps.audit.models import AuditEvent
from apps.audit.standing import Standing
from apps.core import clock
from apps.portal.audit_records import KINDS, Kind
from apps.portal.presenters import words
from apps.portal.presenters.pager import Pager
from apps.portal.viewer import Viewer
from ml.contracts.columns import Blinding

MASKED = "masked"
KEPT_REASON = "kept from blinded roles"
LONGEST = 300
MOST_CHANGES = 60
LOOKS = {"good": ("good", "tick", "Sealed and signed"), "late": ("open", "clock", "Late"), "bad": ("bad", "cross", "Not in order"),
         "empty": ("quiet", "ring", "Nothing signed yet")}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Change:
    """One field: ``old`` and ``new`` in words; ``masked`` where the reader may not know them."""

    field: str
    old: str
    new: str
    masked: bool


@dataclass(frozen=True, slots=True)
class EventRow:
    """One event as listed, in a pop-up and on its own page."""

    id: str
    seq: str
    utc: str
    local: str
    actor: str
    actor_type: str
    action: str
    sentence: str
    object_type: str
    object_label: str
    object_id: str
    record_url: str
    trial: str
    reason: str
    correlation_id: str
    changes: list[Change]
    more: int
    leaf: str


def event(row: AuditEvent, viewer: Viewer, *, kind: Kind | None = None, personal: bool = True) -> EventRow:
    """An event as this viewer may see it. ``kind``: the classes of its fields; without one (the trail itself) a blinded
    reader sees no values at all. Needs ``sequence`` selected."""
    action = ACTIONS.get(row.action)
    class_of: Callable[[str], Blinding] = kind.class_of if kind else (lambda _: "arm")
    shown, more = changes(row.before, row.after, class_of, blinded=viewer.blinded, personal=personal)
    sequence = getattr(row, "sequence", None)
    hides_reason = viewer.blinded and (kind is None or bool(kind.classes))
    known = KINDS.get(row.object_type)
    return EventRow(
        id=str(row.pk),
        seq=f"{sequence.seq:,}" if sequence else "",
        utc=utc(row.at),
        local=f"{words.when(row.at, viewer.zone, year=True, seconds=True)} {words.zone_words(row.at, viewer.zone)}",
        actor=row.actor,
        actor_type=row.get_actor_type_display(),
        action=row.action,
        sentence=action.sentence if action else row.action,
        object_type=row.object_type,
        object_label=known.label if known else row.object_type.partition(".")[2],
        object_id=row.object_id,
        record_url=record_url(viewer.trial.pk, row.object_type, row.object_id) if row.trial == viewer.trial.pk else "",
        trial=row.trial,
        reason=(KEPT_REASON if hides_reason else row.reason) if row.reason else "",
        correlation_id=row.correlation_id,
        changes=shown,
        more=more,
        leaf=bytes(row.leaf_hash).hex(),
    )


def utc(moment: datetime) -> str:
    """``2026-11-23 14:32:10 UTC``."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def record_url(trial: str, object_type: str, object_id: str) -> str:
    """The address of a record's trail; "" for an identifier that no address can hold."""
    if not object_id or "/" in object_type:
        return ""
    return reverse("portal:audit_of", args=[trial, object_type, object_id])


def changes(
    before: Any, after: Any, class_of: Callable[[str], Blinding], *, blinded: bool, personal: bool
) -> tuple[list[Change], int]:
    """What differs, field by field, and how many more there are than are shown.

    A field the reader may not know is listed whether it differs or not: that it changed would tell something too.
    """
    old, new = flat(before), flat(after)
    found = []
    for name in sorted(old.keys() | new.keys()):
        kind = class_of(name)
        if (kind == "arm" and blinded) or (kind == "personal" and not personal):
            found.append(Change(_field(name.partition(".")[0]), MASKED, MASKED, masked=True))
        elif old.get(name) != new.get(name):
            found.append(Change(_field(name), _value(old, name), _value(new, name), masked=False))
    found = list(dict.fromkeys(found))  # the parts of one masked field are one
    return found[:MOST_CHANGES], max(0, len(found) - MOST_CHANGES)


def flat(value: Any, path: str = "") -> dict[str, Any]:
    """A value as {"a.b": leaf}; lists stay whole."""
    if isinstance(value, dict) and (value or not path):
        parts: dict[str, Any] = {}
        for name, inner in value.items():
            parts |= flat(inner, f"{path}.{name}" if path else str(name))
        return parts
    return {} if value is None and not path else {path or "value": value}


def _field(name: str) -> str:
    return name.replace("_", " ")


def _value(values: dict[str, Any], name: str) -> str:
    if name not in values or values[name] is None:
        return words.MISSING
    value = values[name]
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)
    if not text:
        return "(empty)"
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} …"


def pager(events: list[AuditEvent], query: dict[str, str], *, newer: bool, older: bool) -> Pager:
    """Newer and older by key, the filters kept."""

    def address(**key: str) -> str:
        return f"?{urlencode({name: value for name, value in query.items() if value} | key)}"

    return Pager(
        words.plural(len(events), "event") + " on this page" if events else "",
        address(after=str(events[0].pk)) if newer and events else "",
        address(before=str(events[-1].pk)) if older and events else "",
    )


@dataclass(frozen=True, slots=True)
class StandingCard:
    tone: str
    icon: str
    word: str
    sentence: str
    cure: str
    bad: bool
    facts: list[tuple[str, str, str]]
    fingerprint: str


def standing(state: Standing, where: ZoneInfo) -> StandingCard:
    """The chain's state for the head of the page."""
    tone, icon, word = LOOKS[state.tone]

    def ago(moment: datetime | None) -> str:
        return f"{words.age((clock.now() - moment).total_seconds())} ago" if moment else ""

    checkpoint = state.checkpoint
    verified = state.verified
    found = verified is not None and verified.action == "audit.damage_found"
    return StandingCard(
        tone=tone,
        icon=icon,
        word=word,
        sentence=state.sentence,
        cure=state.cure,
        bad=state.tone == "bad",
        facts=[
            ("Sealed records", f"{state.size:,}", f"last {ago(state.last_sealed)}" if state.last_sealed else ""),
            (
                "Signed up to",
                f"{checkpoint.size:,}" if checkpoint else words.MISSING,
                ago(checkpoint.at) if checkpoint else "",
            ),
            (
                "Outside the database",
                f"{state.outside:,}" if state.outside is not None else words.MISSING,
                "remembered by the signer",
            ),
            (
                "Waiting to be sealed",
                f"{state.waiting:,}",
                f"oldest {ago(state.waiting_since)}" if state.waiting_since else "",
            ),
            (
                "Last verified",
                words.when(verified.at, where) if verified else "never",
                ("damage found" if found else "all held") if verified else "nightly, 03:40 UTC",
            ),
        ],
        fingerprint=state.fingerprint,
    )


@dataclass(frozen=True, slots=True)
class ExportRow:
    id: str
    when: str
    by: str
    scope: str
    records: str
    size: str
    ready: bool


def export(row: AuditEvent, where: ZoneInfo) -> ExportRow:
    """An export that was made."""
    told = row.after or {}
    count = told.get("records", "")
    return ExportRow(
        id=row.object_id,
        when=words.when(row.at, where, year=True),
        by=row.actor,
        scope=str(told.get("scope", "")),
        records=f"{int(count):,}" if str(count).isdigit() else words.MISSING,
        size=f"{int(told['bytes']) / 1e6:.1f} MB" if str(told.get("bytes", "")).isdigit() else "",
        ready=told.get("form") == "zip",
    )


@dataclass(frozen=True, slots=True)
class Review:
    """A signed review, as the signature component shows it."""

    title: str
    state: str
    given: bool
    name: str
    meaning: str
    when: str
    hash: str
    findings: str


def review(row: AuditEvent) -> Review:
    """One signed review."""
    told = row.after or {}
    since, until = (str(told.get(name, ""))[:16].replace("T", " ") for name in ("since", "until"))
    return Review(
        title=f"{since} to {until} UTC",
        state=f"{told.get('records', '')} records",
        given=True,
        name=str(told.get("printed_name", row.actor)),
        meaning=str(told.get("meaning", "")),
        when=utc(row.at),
        hash=f"log root {str(told.get('log_root', ''))[:16]}… at {told.get('log_size', '')}; text {str(told.get('sha256', ''))[:16]}…",
        findings=str(told.get("findings", "")),
    )
