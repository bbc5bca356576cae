"""The signer: it signs a checkpoint only if the log grew from the one it signed last, which it remembers by itself.

Its memory lies in the lake, outside the database: a database that was rolled back, restored from an older backup or
rewritten would otherwise simply be signed again. Beside the memory, the first checkpoint of every hour is an *anchor*: an
object created once and never replaced, for a place whose objects are locked.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from django.conf import settings

from apps.audit import canonical, tree
from apps.audit.notes import KEY_NAME, Checkpoint, NoteError, PublicKey, SigningKey
from apps.core import clock
from apps.core.errors import Conflict
from apps.core.lake import lake
from ml.lake import ObjectMissing

MEMORY = "audit/signer/last.note"
ANCHORS = "audit/anchors/"


class Refused(Conflict):
    """The log is not the continuation of what was signed: ``code`` says in which way."""

    default_code = "audit_refused"
    title = "The audit trail was not signed"


@dataclass(frozen=True, slots=True)
class Signed:
    """A checkpoint and its note."""

    checkpoint: Checkpoint
    note: str


def signing_key() -> SigningKey:
    """The key of the settings."""
    return _key(settings.AUDIT_SIGNING_KEY)


def public_key() -> PublicKey:
    """Its public half, which the portal, every export and ``/audit/key/`` show."""
    return signing_key().public


@lru_cache(maxsize=4)
def _key(text: str) -> SigningKey:
    return SigningKey(text)


def memory() -> Signed | None:
    """What was signed last; None before the first time. Raises Refused where the memory is not our own."""
    try:
        note = lake().get(MEMORY).decode()
    except ObjectMissing:
        newest = max((one.path for one in lake().list(ANCHORS)), default="")
        if not newest:
            return None
        note = lake().get(newest).decode()
    try:
        return Signed(Checkpoint.parse(public_key().open(note)), note)
    except NoteError as error:
        raise Refused(
            "The checkpoint that the signer remembers was not signed by the key it has.",
            cure="Give it back its key (AUDIT_SIGNING_KEY), or begin a new signed log: manage.py audit_resume.",
            code="other_key",
        ) from error


def first_origin() -> str:
    """The name of a log that begins: no other installation has it."""
    return f"{KEY_NAME}/{uuid.uuid4().hex[:12]}/1"


def next_origin(origins: list[str]) -> str:
    """The name of the log that follows those that were broken off."""
    newest = max(origins, key=number_of)
    return f"{newest.rpartition('/')[0]}/{number_of(newest) + 1}"


def number_of(origin: str) -> int:
    """Which of an installation's logs it is, from 1."""
    return int(origin.rpartition("/")[2])


def sign(*, origin: str, grown: tree.CompactRange, since: Signed | None, anew: bool = False) -> Signed:
    """Sign the log as it is, and remember it.

    ``since`` is the memory that the caller has shown ``grown`` to continue: it must still be the memory. ``anew`` begins
    a log of another name, which continues nothing. Written to the lake before the caller writes it to the database, so a
    crash between the two loses nothing that was signed.
    """
    remembered = None if anew else memory()
    if (remembered and remembered.note) != (since and since.note):
        raise Refused(
            "Another signer has signed meanwhile.", cure="Let one database use this lake.", code="two_signers"
        )
    now = clock.now()
    checkpoint = Checkpoint(origin, grown.size, grown.root(), canonical.moment(now))
    signed = Signed(checkpoint, signing_key().sign(checkpoint.text))
    anchor = anchor_path(origin, now)
    if since is None or anchor_path(origin, datetime.fromisoformat(since.checkpoint.at)) != anchor:
        lake().create(anchor, signed.note.encode())
    lake().put(MEMORY, signed.note.encode())
    return signed


def anchor_path(origin: str, moment: datetime) -> str:
    """The object of an hour's anchor of a log."""
    return f"{ANCHORS}{number_of(origin):04d}/date={moment:%Y-%m-%d}/hour={moment:%H}.note"


def anchors(origin: str) -> list[Signed]:
    """Every anchor of a log, oldest first. Raises Refused for one that is not the signer's."""
    found = []
    for one in lake().list(f"{ANCHORS}{number_of(origin):04d}/"):
        note = lake().get(one.path).decode(errors="replace")
        try:
            found.append(Signed(Checkpoint.parse(public_key().open(note)), note))
        except NoteError as error:
            raise Refused(
                f"The anchor {one.path} is not what the signer wrote.",
                cure="Compare it with a copy of the lake.",
                code="anchor",
            ) from error
    return found
