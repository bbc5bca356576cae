"""Signed notes: a checkpoint of the log as text, with an Ed25519 signature beneath (C2SP signed-note, tlog-checkpoint).

A note is the signed text, which ends with a line break, an empty line, and one line a signature::

    clinical-portal/audit/5d1c0a44e2b9/1
    1734
    CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=
    2026-11-23T12:00:10.000000Z

    — clinical-portal/audit Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=

Nothing of Django here, and no clock: times come as arguments.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

KEY_NAME = "clinical-portal/audit"
EXPORT_HEAD = "clinical-portal/audit-export"
"""First line of an export's signed text: no checkpoint begins so, which keeps one from passing for the other."""
RECORD_HEAD = "clinical-portal/audit-record"
"""First line of what seals one record of an export."""
_ED25519 = b"\x01"
_DASH = "\N{EM DASH} "


class NoteError(ValueError):
    """The text is no note, or no signature of it is the key's."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The log ``origin`` had ``size`` leaves and this root (32 bytes) at ``at`` (ISO 8601, UTC)."""

    origin: str
    size: int
    root: bytes
    at: str

    @property
    def text(self) -> str:
        """What is signed."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n{self.at}\n"

    @classmethod
    def parse(cls, text: str) -> Checkpoint:
        """The checkpoint of a signed text. Raises NoteError."""
        lines = text.split("\n")
        try:
            origin, size, root, at, end = lines
            made = cls(origin, int(size), base64.b64decode(root, validate=True), at)
            datetime.fromisoformat(at)
        except (ValueError, binascii.Error) as error:
            raise NoteError("The text is no checkpoint: origin, size, root and time, a line each.") from error
        if end or made.text != text or len(made.root) != 32 or made.size < 0:
            raise NoteError("The text is no checkpoint: origin, size, root and time, a line each.")
        return made


class PublicKey:
    """An Ed25519 key that signs notes under ``KEY_NAME``."""

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self._key = Ed25519PublicKey.from_public_bytes(raw)

    @property
    def key_id(self) -> bytes:
        """Four bytes that stand before a signature, to find the key by."""
        return hashlib.sha256(KEY_NAME.encode() + b"\n" + _ED25519 + self.raw).digest()[:4]

    @property
    def text(self) -> str:
        """The key as it is published: name, key id and key (C2SP's verifier key)."""
        return f"{KEY_NAME}+{self.key_id.hex()}+{base64.b64encode(_ED25519 + self.raw).decode()}"

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the 32 bytes of the key, hexadecimal: short enough to be read out over the telephone."""
        return hashlib.sha256(self.raw).hexdigest()

    def open(self, note: str) -> str:
        """The signed text of a note. Raises NoteError unless one of its signatures is this key's."""
        text, gap, signatures = note.partition("\n\n")
        if not gap:
            raise NoteError("The text is no signed note.")
        text += "\n"
        for line in signatures.splitlines():
            name, _, code = line.removeprefix(_DASH).rpartition(" ")
            try:
                signature = base64.b64decode(code, validate=True)
            except (ValueError, binascii.Error):
                continue
            if name != KEY_NAME or signature[:4] != self.key_id:
                continue
            try:
                self._key.verify(signature[4:], text.encode())
            except InvalidSignature:
                continue
            return text
        raise NoteError("No signature of this note was made by the key.")


class SigningKey:
    """The private half. ``text`` is 32 random bytes in base64, as ``openssl rand -base64 32`` prints them."""

    def __init__(self, text: str) -> None:
        try:
            seed = base64.b64decode(text.strip(), validate=True)
        except (ValueError, binascii.Error) as error:
            raise NoteError("A signing key is 32 random bytes in base64.") from error
        if len(seed) != 32:
            raise NoteError("A signing key is 32 random bytes in base64.")
        self._key = Ed25519PrivateKey.from_private_bytes(seed)

    @cached_property
    def public(self) -> PublicKey:
        return PublicKey(self._key.public_key().public_bytes_raw())

    def seal(self, origin: str, seq: int, leaf: bytes) -> bytes:
        """The signature, 64 bytes, that the log's record ``seq`` has this leaf hash."""
        return self._key.sign(f"{RECORD_HEAD}\n{origin}\n{seq}\n{leaf.hex()}\n".encode())

    def sign(self, text: str) -> str:
        """The note of a text, which ends with a line break and holds no empty line."""
        if not text.endswith("\n") or "\n\n" in text:
            raise NoteError("A note's text ends with a line break and has no empty line.")
        signature = base64.b64encode(self.public.key_id + self._key.sign(text.encode())).decode()
        return f"{text}\n{_DASH}{KEY_NAME} {signature}\n"
