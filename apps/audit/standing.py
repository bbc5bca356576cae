"""How the trail stands, in one word and a sentence: what the audit page shows above everything else."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from apps.audit import selectors, signer
from apps.audit.models import AuditCheckpoint, AuditEvent
from apps.core import clock
from ml.lake import LakeError

LATE = timedelta(minutes=2)
Tone = Literal["good", "late", "bad", "empty"]


@dataclass(frozen=True, slots=True)
class Standing:
    """``outside``: the size that the signer remembers outside the database, None where it remembers nothing."""

    tone: Tone
    sentence: str
    cure: str
    size: int
    waiting: int
    waiting_since: datetime | None
    last_sealed: datetime | None
    checkpoint: AuditCheckpoint | None
    outside: int | None
    verified: AuditEvent | None
    fingerprint: str
    key: str


def standing() -> Standing:
    """Ask database and signer. Costs a few reads by index and one object of the lake."""
    sealed = selectors.sealed()
    key = signer.public_key()
    outside: signer.Signed | None = None
    tone, sentence, cure = _of_database(sealed)
    try:
        outside = signer.memory()
        if worse := _against(sealed, outside):
            tone, sentence, cure = worse
    except signer.Refused as refusal:
        tone, sentence, cure = "bad", refusal.message, refusal.cure
    except (LakeError, OSError) as error:
        tone, sentence, cure = (
            "bad",
            f"What was signed outside the database cannot be read: {error}",
            "Look at the object store.",
        )
    verdict = selectors.newest_of("audit.verified", "audit.damage_found")
    if verdict and verdict[0].action == "audit.damage_found" and tone != "bad":
        problems = (verdict[0].after or {}).get("problems") or ["see the event"]
        tone, sentence, cure = (
            "bad",
            f"The last verification found damage: {problems[0]}",
            "Keep the anchors safe and begin an inquiry.",
        )
    return Standing(
        tone=tone,
        sentence=sentence,
        cure=cure,
        size=sealed.size,
        waiting=sealed.waiting.count,
        waiting_since=sealed.waiting.oldest,
        last_sealed=sealed.last_sealed,
        checkpoint=sealed.checkpoint,
        outside=outside.checkpoint.size if outside else None,
        verified=verdict[0] if verdict else None,
        fingerprint=key.fingerprint,
        key=key.text,
    )


def _of_database(sealed: selectors.Sealed) -> tuple[Tone, str, str]:
    if sealed.checkpoint is None:
        return "empty", "Nothing has been signed yet.", "The schedule seals every ten seconds; is it running?"
    oldest = sealed.waiting.oldest
    if oldest is not None and clock.now() - oldest > LATE:
        return (
            "late",
            f"{sealed.waiting.count:,} events wait to be sealed.",
            "Is the schedule (Celery beat and a worker) running?",
        )
    if sealed.size > sealed.checkpoint.size and sealed.last_sealed and clock.now() - sealed.last_sealed > LATE:
        return (
            "late",
            f"{sealed.size - sealed.checkpoint.size:,} sealed records are not signed.",
            "Look at the worker's log.",
        )
    return "good", "Every record is sealed, and the seal is signed and remembered outside the database.", ""


def _against(sealed: selectors.Sealed, outside: signer.Signed | None) -> tuple[Tone, str, str] | None:
    """What the signer's memory says against the database."""
    known, row = (outside.checkpoint if outside else None), sealed.checkpoint
    inquire = "Restore the newer state, or after an inquiry begin a new signed log: manage.py audit_resume."
    if known is None:
        return ("bad", "The signer has forgotten what it signed.", "Bring back audit/ of the lake.") if row else None
    if sealed.size < known.size:
        return (
            "bad",
            f"The database holds {sealed.size:,} sealed records, but {known.size:,} had been signed: it was rolled back.",
            inquire,
        )
    if row is None or row.origin != known.origin or row.size > known.size:
        return "bad", "The checkpoints in the database are not those the signer remembers.", inquire
    if row.size == known.size and bytes(row.root) != known.root:
        return "bad", f"The first {known.size:,} sealed records are not those that were signed.", inquire
    return None
