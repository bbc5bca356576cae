"""Refused and quarantined messages in words, and raw bytes as bytes: nothing in them is trusted, run or drawn."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from apps.audit.models import AuditEvent
from apps.core.models import OutboxMessage
from apps.ingestion import cures, refused
from apps.ingestion.models import DeadLetter, Quarantined
from apps.ingestion.outbox import SENT_AS
from apps.portal.presenters import words
from apps.portal.presenters.runs import StateLook
from apps.portal.viewer import Viewer

SHOWN_BYTES = 4096
A_LINE = 16
LOOK_OPEN = StateLook("open", "ring", "Open")
LOOK_REPLAYED = StateLook("good", "tick", "Replayed")
_POSITION = re.compile(r"\(char (\d+)\)")


@dataclass(frozen=True, slots=True)
class LetterRow:
    """A dead letter in the list."""

    pk: str
    topic: str
    place: str
    received: str
    titles: list[str]
    first: str
    producer: str
    site: str
    patient: str
    platform: bool
    state: StateLook
    open: bool
    now: StateLook | None
    now_why: str


@dataclass(frozen=True, slots=True)
class ReasonRow:
    """One rule that was broken: where, what stands there, and what would mend it."""

    rule: str
    title: str
    where: str
    stands: str
    message: str
    cure: str


@dataclass(frozen=True, slots=True)
class Dump:
    """Bytes, cut to SHOWN_BYTES: as a hex dump, and as text with every byte that is no printable character named."""

    lines: str
    text: str
    size: str
    cut: bool
    shown: str


@dataclass(frozen=True, slots=True)
class AsideRow:
    """A quarantined value in the list."""

    pk: str
    rule: str
    title: str
    field: str
    value: str
    site: str
    patient: str
    topic: str
    place: str
    happened: str
    message: str
    known_now: bool


@dataclass(frozen=True, slots=True)
class AdmittedRow:
    """A value that is no longer set aside."""

    topic: str
    place: str
    title: str
    field: str
    patient: str
    site: str
    happened: str
    since: str
    state: StateLook
    run: str


def letter(row: Any, viewer: Viewer, verdict: refused.Verdict | None = None) -> LetterRow:
    """One annotated letter (``refused.letters``)."""
    rules = list(dict.fromkeys(str(one.get("rule")) for one in row.reasons))
    now = None
    if verdict is not None:
        now = StateLook("good", "tick", "would pass") if verdict.passes else StateLook("bad", "cross", "still refused")
    return LetterRow(
        pk=str(row.pk),
        topic=row.topic,
        place=f"{row.partition} : {row.offset:,}",
        received=words.when(row.received_at, viewer.zone, year=True, seconds=True),
        titles=[cures.of_contract(rule).title for rule in rules],
        first=readable(str(row.reasons[0].get("message", ""))) if row.reasons else "",
        producer=row.producer_said,
        site=row.site_said,
        patient=row.patient_said,
        platform=not row.trial_said,
        state=LOOK_REPLAYED if row.replayed_at else LOOK_OPEN,
        open=row.replayed_at is None,
        now=now,
        now_why=readable(verdict.why) if verdict is not None else "",
    )


def reasons(row: DeadLetter) -> list[ReasonRow]:
    """Every rule it broke, with the value that stands there where the message can be read so far."""
    body = _parsed(bytes(row.raw))
    found = []
    for one in row.reasons:
        path, message = str(one.get("path") or ""), str(one.get("message") or "")
        at = _POSITION.search(message)
        cure = cures.of_contract(str(one.get("rule")))
        found.append(
            ReasonRow(
                rule=str(one.get("rule")),
                title=cure.title,
                where=path or (f"byte {int(at[1]):,}" if at else "the whole message"),
                stands=readable(_at(body, path)) if path else "",
                message=readable(message),
                cure=cure.cure,
            )
        )
    return found


def _parsed(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        return None


def _at(body: Any, path: str) -> str:
    for part in path.split("."):
        if isinstance(body, Mapping) and part in body:
            body = body[part]
        elif isinstance(body, list) and part.isdigit() and int(part) < len(body):
            body = body[int(part)]
        else:
            return ""
    return json.dumps(body, ensure_ascii=False)[:200]


def readable(text: str) -> str:
    """A text in which every character that could hide or turn something is written as its code."""
    return "".join(
        one if one == " " or unicodedata.category(one)[0] in "LNPS" else f"\\u{ord(one):04x}" for one in text
    )


def dump(raw: bytes) -> Dump:
    """The first SHOWN_BYTES of some bytes, side by side as numbers and as text."""
    part = raw[:SHOWN_BYTES]
    lines = [
        f"{start:06x}  {part[start : start + A_LINE].hex(' '):<47}  {_ascii(part[start : start + A_LINE])}"
        for start in range(0, len(part), A_LINE)
    ]
    text = "\n".join(readable(line) for line in part.decode("utf-8", "backslashreplace").split("\n"))
    return Dump(
        lines="\n".join(lines),
        text=text,
        size=words.plural(len(raw), "byte"),
        cut=len(raw) > SHOWN_BYTES,
        shown=f"{len(part):,}",
    )


def _ascii(part: bytes) -> str:
    return "".join(chr(byte) if 32 <= byte < 127 else "·" for byte in part)


def facts(row: Any, viewer: Viewer) -> list[tuple[str, str]]:
    """What is known of a letter beside its bytes."""
    broker = words.MISSING
    if row.timestamp is not None and 0 <= row.timestamp < 253_402_300_800_000:
        broker = words.when(datetime.fromtimestamp(row.timestamp / 1000, UTC), viewer.zone, year=True, seconds=True)
    return [
        ("Topic", row.topic),
        ("Topic id", row.topic_id),
        ("Partition, offset", f"{row.partition} : {row.offset:,}"),
        ("Time of the record", broker),
        ("Kept", words.when(row.received_at, viewer.zone, year=True, seconds=True)),
        ("Trial", row.trial_said or "none could be read: the platform's"),
        ("Site", row.site_said or words.MISSING),
        ("Patient", row.patient_said or words.MISSING),
        ("Producer", readable(row.producer_said) or words.MISSING),
        ("Key", readable(bytes(row.key).decode("utf-8", "backslashreplace"))[:200] if row.key else words.MISSING),
        ("Correlation id", readable(row.correlation_id)),
    ]


def headers(row: DeadLetter) -> list[tuple[str, str]]:
    """The message's headers as they came."""
    return [(readable(str(name))[:80], readable(str(value))[:400]) for name, value in sorted(row.headers.items())]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a replay."""

    when: str
    by: str
    reason: str
    sent: str
    sent_as: str
    error: str


def outcome(row: DeadLetter, viewer: Viewer) -> Outcome | None:
    """Whether, by whom and as what the letter was sent again."""
    if row.replayed_at is None:
        return None
    event = (
        AuditEvent.objects.filter(
            object_type="ingestion.DeadLetter", object_id=str(row.pk), action="ingestion.dead_letter_replayed"
        )
        .order_by("-id")
        .first()
    )
    after = (event.after or {}) if event else {}
    message = OutboxMessage.objects.filter(pk=after["outbox"]).first() if after.get("outbox") else None
    place = (message.headers.get(SENT_AS) or []) if message else []
    return Outcome(
        when=words.when(row.replayed_at, viewer.zone, year=True, seconds=True),
        by=row.replayed_by,
        reason=event.reason if event else "",
        sent=words.when(message.sent_at, viewer.zone, year=True, seconds=True) if message and message.sent_at else "",
        sent_as=f"{place[0]} {place[1]} : {place[2]:,}" if len(place) == 3 else "",
        error=message.error if message else "",
    )


def aside(row: Quarantined, viewer: Viewer, known: set[str]) -> AsideRow:
    """One quarantined value. ``known``: patients of whom a context has come since."""
    return AsideRow(
        pk=str(row.pk),
        rule=row.rule,
        title=cures.of_quarantine(row.rule).title,
        field=row.field,
        value=readable(row.value)[:120],
        site=row.site_id,
        patient=row.patient.partition("/")[2],
        topic=row.topic,
        place=f"{row.partition} : {row.offset:,}",
        happened=words.when(row.event_time, viewer.zone, year=True) if row.event_time else words.MISSING,
        message=readable(row.message),
        known_now=row.rule == "unknown_patient" and row.patient in known,
    )


def admitted(events: Iterable[AuditEvent], viewer: Viewer) -> list[AdmittedRow]:
    """Rows that left quarantine, as the trail names them."""
    rows = []
    for event in events:
        for one in (event.after or {}).get("rows", []):
            moment = datetime.fromisoformat(one["event_time"]) if one.get("event_time") else None
            look = (
                ("good", "tick", "admitted") if one.get("admitted") is True else ("open", "half", "under another rule")
            )
            rows.append(
                AdmittedRow(
                    topic=str(one["topic"]),
                    place=f"{one['partition']} : {int(one['offset']):,}",
                    title=cures.of_quarantine(str(one["rule"])).title,
                    field=str(one.get("field") or ""),
                    patient=str(one.get("patient") or "").partition("/")[2],
                    site=str(one.get("site_id") or ""),
                    happened=words.when(moment, viewer.zone, year=True) if moment else words.MISSING,
                    since=words.when(event.at, viewer.zone, year=True, seconds=True),
                    state=StateLook(*look),
                    run=str((event.after or {}).get("run") or ""),
                )
            )
    return rows
