"""Verifies an export of the audit trail, or the receipt of one record, on any machine with Python 3.9 or newer.

    python verify_audit.py EXPORT [--key KEY] [--checkpoint NOTE ...]

EXPORT is the zip, the folder it was unpacked into, or a receipt (.json). It prints what holds, or names every record that
was edited, deleted, inserted, moved or cut, and ends with status 0 (all holds), 1 (refused) or 2 (cannot be read).

One file, the standard library alone, and an implementation of its own of everything: canonical text, Merkle tree, signed
notes, Ed25519. That is deliberate: a verifier that shared code with what wrote the export would repeat its faults, and a
stranger should have to trust, and read, nothing else. The platform's tests compare the two.
"""

from __future__ import annotations

import argparse
import base64
import bisect
import csv
import hashlib
import io
import json
import sys
import uuid
import zipfile
import zlib
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO

KEY_NAME = "clinical-portal/audit"
EXPORT_HEAD = "clinical-portal/audit-export"
RECORD_HEAD = "clinical-portal/audit-record"
FORMAT = "2"
FILES = (
    "events.jsonl", "events.csv", "leaves.txt", "tree.bin", "seals.bin", "checkpoints.jsonl", "public_key.txt", "README.txt",
)  # fmt: skip
COLUMNS = [
    "seq", "id", "at", "actor", "actor_type", "action", "object_type", "object_id", "trial", "before", "after", "reason",
    "correlation_id",
]  # fmt: skip
# What a cell of events.csv may not begin with, spaces before it aside: an apostrophe stands before it there.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
SHOWN = 50
MOST_SEALS = 10_000  # single signatures looked at, some milliseconds each; only ever needed of a damaged export
TOLERANCE = timedelta(minutes=30)  # a transaction may stay open so long between its record and its place


class Unreadable(Exception):
    """What was given is no export at all."""


#: What reading a file that is no export, or was spoiled, can end in.
UNFIT = (
    *(Unreadable, OSError, EOFError, LookupError, ValueError, TypeError, AttributeError, RecursionError),
    *(NotImplementedError, zipfile.BadZipFile, zlib.error, csv.Error),
)


# --- Ed25519, verification only (RFC 8032, section 5.1) -------------------------------------------------------------
P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
SQRT_M1 = pow(2, (P - 1) // 4, P)


def _add(one, other):
    """The sum of two points in extended coordinates (X, Y, Z, T)."""
    a = (one[1] - one[0]) * (other[1] - other[0]) % P
    b = (one[1] + one[0]) * (other[1] + other[0]) % P
    c, d = 2 * one[3] * other[3] * D % P, 2 * one[2] * other[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def _times(scalar, point):
    if scalar < 2:
        return point if scalar else (0, 1, 1, 0)
    rest = _times(scalar >> 1, _add(point, point))
    return _add(rest, point) if scalar & 1 else rest


def _point(data):
    """The point of 32 bytes, or None where they are none in canonical form."""
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & (2**255 - 1)
    if y >= P:
        return None
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if x * x % P != square:
        x = x * SQRT_M1 % P
    if x * x % P != square or (x == 0 and sign):
        return None
    x = x if x & 1 == sign else P - x
    return x, y, 1, x * y % P


BASE = _point((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))


def ed25519_verify(key: bytes, signature: bytes, message: bytes) -> bool:
    """Whether the 64 bytes are the signature of the message by the key of 32 bytes."""
    public, r = _point(key), _point(signature[:32])
    s = int.from_bytes(signature[32:], "little")
    if len(key) != 32 or len(signature) != 64 or public is None or r is None or s >= L:
        return False
    k = int.from_bytes(hashlib.sha512(signature[:32] + key + message).digest(), "little") % L
    left, right = _times(s, BASE), _add(r, _times(k, public))
    return (left[0] * right[2] - right[0] * left[2]) % P == 0 and (left[1] * right[2] - right[1] * left[2]) % P == 0


# --- the Merkle tree (RFC 6962, section 2.1) ------------------------------------------------------------------------
def sha256(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


class Tree:
    """A tree that grows leaf by leaf; ``peaks``: (leaves below, hash), the largest first."""

    def __init__(self) -> None:
        self.size = 0
        self.peaks: list[tuple[int, bytes]] = []

    def add(self, leaf: bytes) -> list[bytes]:
        """Add a leaf hash; returns the nodes it completes, from below."""
        self.size += 1
        self.peaks.append((1, leaf))
        made = []
        while len(self.peaks) > 1 and self.peaks[-1][0] == self.peaks[-2][0]:
            (count, right), (_, left) = self.peaks.pop(), self.peaks.pop()
            made.append(sha256(b"\x01", left, right))
            self.peaks.append((2 * count, made[-1]))
        return made

    def root(self) -> bytes:
        if not self.peaks:
            return sha256()
        digest = self.peaks[-1][1]
        for _, left in reversed(self.peaks[:-1]):
            digest = sha256(b"\x01", left, digest)
        return digest


def root_by_path(leaf: bytes, place: int, size: int, path: list[bytes]) -> bytes | None:
    """The root to which an inclusion proof leads (nearest hash first), or None where it has not the right length."""
    if size == 1:
        return leaf if not path else None
    if not path or not 0 <= place < size:
        return None
    left = 1
    while left * 2 < size:
        left *= 2
    if place < left:
        below = root_by_path(leaf, place, left, path[:-1])
        return None if below is None else sha256(b"\x01", below, path[-1])
    below = root_by_path(leaf, place - left, size - left, path[:-1])
    return None if below is None else sha256(b"\x01", path[-1], below)


# --- signed notes (C2SP signed-note and tlog-checkpoint) ------------------------------------------------------------
def read_key(text: str) -> bytes:
    """The 32 bytes of a published key: name + key id + base64(0x01, key)."""
    try:
        name, key_id, code = text.strip().split("+", 2)
        raw = base64.b64decode(code, validate=True)
    except ValueError as error:
        raise Unreadable("The key is not of the form name+id+base64.") from error
    if len(raw) != 33 or raw[0] != 1 or sha256(name.encode(), b"\n", raw)[:4].hex() != key_id:
        raise Unreadable("The key does not fit its own id: it was copied badly, or changed.")
    return raw[1:]


def open_note(note: str, key: bytes) -> str | None:
    """The signed text of a note, or None unless the key signed it and nothing but signatures stands beneath."""
    text, gap, signatures = note.partition("\n\n")
    if not gap or not signatures.endswith("\n"):
        return None
    text, good = text + "\n", False
    key_id = sha256(KEY_NAME.encode(), b"\n\x01", key)[:4]
    for line in signatures[:-1].split("\n"):
        name, _, code = line.removeprefix("\u2014 ").rpartition(" ")
        try:
            signature = base64.b64decode(code, validate=True)
        except ValueError:
            return None
        if not line.startswith("\u2014 ") or not name or base64.b64encode(signature).decode() != code:
            return None
        ours = name == KEY_NAME and signature[:4] == key_id
        good = good or (ours and ed25519_verify(key, signature[4:], text.encode()))
    return text if good else None


def read_checkpoint(note: str, key: bytes) -> tuple[str, int, bytes, str] | None:
    """Origin, size, root and time of a checkpoint that the key signed, or None."""
    text = open_note(note, key)
    lines = (text or "").split("\n")
    if len(lines) != 5 or lines[0] == EXPORT_HEAD or not lines[1].isdigit():
        return None
    root = base64.b64decode(lines[2])
    return (lines[0], int(lines[1]), root, lines[3]) if len(root) == 32 else None


def canonical(value: object) -> bytes:
    """The text that is hashed: keys sorted, no spaces, UTF-8."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()


# --- the export -----------------------------------------------------------------------------------------------------
class Export:
    """The files of a zip or a folder."""

    def __init__(self, path: Path) -> None:
        try:
            packed = None if path.is_dir() else zipfile.ZipFile(path)
        except (OSError, zipfile.BadZipFile) as error:
            raise Unreadable(f"{path} cannot be opened: {error}.") from error
        self.root = zipfile.Path(packed) if packed else path
        listed = packed.namelist() if packed else [one.name for one in path.iterdir()]
        self.names = set(listed)
        self.twice = sorted({name for name in listed if listed.count(name) > 1})

    def open(self, name: str) -> IO[bytes]:
        return (self.root / name).open("rb")

    def data(self, name: str) -> bytes:
        with self.open(name) as data:
            return data.read()

    def lines(self, name: str) -> Iterator[bytes]:
        with self.open(name) as data:
            yield from (line.rstrip(b"\n") for line in data)


class Verifier:
    """Collects what holds and what does not."""

    def __init__(self, export: Export, key: bytes, outside: list[str]) -> None:
        self.export, self.key, self.outside = export, key, outside
        self.said: dict[str, list[str]] = {"holds": [], "note": []}
        self.refused: dict[str, None] = {}
        self.origin = ""
        self.ids: dict[int, str] = {}
        self.seals_left = MOST_SEALS

    def wrong(self, sentence: str) -> None:
        self.refused[sentence] = None  # each once, in their order

    def name(self, seq: int) -> str:
        return f"record {seq} ({self.ids[seq]})" if seq in self.ids else f"record {seq}"

    def run(self) -> None:
        for name in self.export.twice:
            self.wrong(f"{name} is in the zip twice.")
        manifest = self.manifest()
        for name in sorted(set(FILES) - self.export.names):
            self.wrong(f"{name} is missing.")
        trusted = self.checkpoints(manifest)
        if manifest:
            trusted.append((manifest["size"], bytes.fromhex(manifest["root"]), "the signed manifest"))
        if not trusted:
            self.wrong("No signature in this export is the key's: nothing in it is proven.")
            return
        size = int(manifest["size"]) if manifest else max(one[0] for one in trusted)
        trusted += self.from_outside(manifest, size)
        if manifest:
            self.ids = self.listed(manifest)
        leaves = self.tree(size, [one for one in trusted if one[0] <= size])
        scope = self.scope(manifest, size)
        whole = self.events(leaves, scope)
        self.spreadsheet(whole, scope)
        if manifest:
            self.digests(manifest, leaves)

    def manifest(self) -> dict | None:
        """The manifest, where it is what was signed; ``size`` as a number."""
        if not {"manifest.json", "manifest.note"} <= self.export.names:
            self.wrong("The signed manifest (manifest.json, manifest.note) is missing.")
            return None
        data = self.export.data("manifest.json")
        text = open_note(self.export.data("manifest.note").decode("utf-8", "replace"), self.key)
        lines = (text or "").split("\n")
        if len(lines) != 4 or lines[0] != EXPORT_HEAD:
            self.wrong("manifest.note was not signed by the key.")
            return None
        if hashlib.sha256(data).hexdigest() != lines[2]:
            self.wrong("manifest.json was changed after it was signed.")
            return None
        manifest = json.loads(data)
        if manifest["format"] != FORMAT:
            raise Unreadable(f"It has format {manifest['format']}; this program reads format {FORMAT}.")
        manifest["size"] = int(manifest["size"])
        what = f"trial {manifest['trial']}" if manifest["trial"] else "everything"
        made = f"made {manifest['made_at']} by {manifest['made_by']}"
        self.said["holds"].append(f"The manifest is signed: {manifest['records']} records of {what}, {made}.")
        return manifest

    def checkpoints(self, manifest: dict | None) -> list[tuple[int, bytes, str]]:
        found: list[tuple[int, bytes, str]] = []
        origins, before = set(), ""
        there = "checkpoints.jsonl" in self.export.names
        for line, told in enumerate(self.export.lines("checkpoints.jsonl") if there else (), 1):
            try:
                read = read_checkpoint(json.loads(told)["note"], self.key)
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
                read = None
            if read is None:
                self.wrong(f"checkpoints.jsonl: the note in line {line} was not signed by the key.")
                continue
            origin, size, root, at = read
            origins.add(origin)
            if found and (size <= found[-1][0] or at < before):
                self.wrong(f"checkpoints.jsonl: the checkpoint in line {line} stands in the wrong place.")
            before = at
            found.append((size, root, f"the checkpoint of {size} records signed at {at}"))
        if manifest:
            for size in sorted(set(map(int, manifest["checkpoints"])) - {one[0] for one in found}):
                self.wrong(f"checkpoints.jsonl: the checkpoint of {size} records is missing.")
        if len(origins | ({manifest["origin"]} if manifest else set())) > 1:
            self.wrong("checkpoints.jsonl holds checkpoints of another log.")
        self.origin = manifest["origin"] if manifest else next(iter(origins), "")
        if found:
            self.said["holds"].append(f"{len(found)} checkpoints are signed by the key, the newest at {before}.")
        return found

    def from_outside(self, manifest: dict | None, size: int) -> list[tuple[int, bytes, str]]:
        found = []
        for note in self.outside:
            read = read_checkpoint(note, self.key)
            if read is None:
                self.wrong("The checkpoint given with --checkpoint was not signed by the key.")
                continue
            origin, known, root, at = read
            if origin != self.origin:
                self.wrong(f"The checkpoint given is of log {origin}, the export of {self.origin}: one was broken off.")
            elif known > size:
                older = " (or the export is older: it is whole as it was signed)" if manifest else ""
                self.wrong(f"The records {size} to {known - 1} were cut off: {known} had been signed at {at}{older}.")
            else:
                found.append((known, root, f"the checkpoint kept elsewhere ({known} records, {at})"))
        return found

    def tree(self, size: int, trusted: list[tuple[int, bytes, str]]) -> list[bytes]:
        """The leaf hashes that the signed root covers, from whichever of the two lists still gives it."""
        told = self.read_leaves()
        listed = [one[0] for one in told]
        stored, nodes_wrong = self.read_tree()
        fit, other = self.fits(listed, size, trusted), self.fits(stored, size, trusted)
        leaves, source = (listed, "leaves.txt") if fit >= other else (stored, "tree.bin")
        reached, whole, first = max(fit, other)
        if whole:
            self.said["holds"].append(f"{size} leaves have the signed root, and that of every checkpoint on the way.")
        else:
            self.wrong(f"{source}: the records {reached} to {first - 1} are not those that were signed.")
        named = {leaf: name for leaf, _, name in told if name}
        if len(told) == size:  # an edited line still says whose it is, if the others stand in step
            named = {**{leaf: one[2] for leaf, one in zip(leaves, told) if one[2]}, **named}  # noqa: B905
        self.ids = {**{seq: named[leaf] for seq, leaf in enumerate(leaves[:size]) if leaf in named}, **self.ids}
        if not whole and (sealed := self.sealed([leaves, stored if source == "leaves.txt" else listed], reached, size)):
            # no list is whole, but each record was signed by itself too: what still has its seal is what was there
            leaves = leaves[:reached] + [sealed.get(seq, b"") for seq in range(reached, size)]
            self.align(source, self.pairs(listed if source == "leaves.txt" else stored), leaves, list(range(size)))
        if source == "leaves.txt" and stored[:size] != leaves[:size]:
            self.align("tree.bin", self.pairs(stored), leaves[:size], list(range(size)))
        elif nodes_wrong or len(stored) > size:
            self.wrong(nodes_wrong or f"tree.bin: {len(stored) - size} leaves were inserted at its end.")
        if [one[:2] for one in told] != [(leaf, seq) for seq, leaf in enumerate(leaves[:size])]:
            self.align("leaves.txt", told, leaves[:size], list(range(size)))
        else:
            for _, seq, name in told:
                if self.ids.get(seq, name) != name:
                    self.wrong(f"leaves.txt: {self.name(seq)} was given the id {name or 'of another trial'}.")
        return leaves[:size]

    @staticmethod
    def pairs(leaves: list[bytes]) -> list[tuple[bytes, int, str]]:
        """Leaves of a list that says no numbers, as entries: it means them in their order."""
        return [(leaf, seq, "") for seq, leaf in enumerate(leaves)]

    def sealed(self, lists: list[list[bytes]], start: int, size: int) -> dict[int, bytes]:
        """The leaves from place ``start`` on that some list still holds under the seal of their own place.

        Whoever deleted or inserted a record shifted what follows, with its seals or without: both are tried, nearest first.
        """
        seals = self.read_seals()
        found: dict[int, bytes] = {}
        for leaves in lists:
            shift, known = (0, 0), set(found.values())
            for at in range(start, len(leaves)):
                if leaves[at] in known:
                    continue
                near = [(at + d, at + d * kept) for d in (0, 1, -1, 2, -2, 3, -3) for kept in (1, 0)]
                for seq, seal in dict.fromkeys([(at + shift[0], at + shift[1]), *near]):
                    if 0 <= seq < size and 0 <= seal < len(seals) and self.has_seal(seq, leaves[at], seals[seal]):
                        found[seq], shift = leaves[at], (seq - at, seal - at)
                        break
        if seals and self.seals_left <= 0:
            self.said["note"].append(f"The seals of single records were looked at {MOST_SEALS} times, then no more.")
        return found

    def read_seals(self) -> list[bytes]:
        data = self.export.data("seals.bin") if "seals.bin" in self.export.names else b""
        return [data[at : at + 64] for at in range(0, len(data), 64)]

    def has_seal(self, seq: int, leaf: bytes, seal: bytes) -> bool:
        """Whether the key signed that record ``seq`` of this log has this leaf. Says no once it was asked too often."""
        self.seals_left -= 1
        text = f"{RECORD_HEAD}\n{self.origin}\n{seq}\n{leaf.hex()}\n"
        return self.seals_left >= 0 and ed25519_verify(self.key, seal, text.encode())

    @staticmethod
    def listed(manifest: dict) -> dict[int, str]:
        """The ids of the records in scope, by place."""
        raw = base64.b64decode(manifest["ids"])
        scope = Verifier.scope_of(manifest)
        return {seq: str(uuid.UUID(bytes=raw[16 * n : 16 * n + 16])) for n, seq in enumerate(scope)}

    @staticmethod
    def scope_of(manifest: dict) -> list[int]:
        bits = zlib.decompress(base64.b64decode(manifest["in_scope"]))
        return [seq for seq in range(manifest["size"]) if bits[seq // 8] >> seq % 8 & 1]

    def read_leaves(self) -> list[tuple[bytes, int, str]]:
        """Hash, place and id of every line of leaves.txt."""
        told = []
        for line in self.export.lines("leaves.txt") if "leaves.txt" in self.export.names else ():
            seq, digest, name = (*line.decode("utf-8", "replace").split(" "), "", "", "")[:3]
            hexadecimal = len(digest) == 64 and not set(digest) - set("0123456789abcdef")
            told.append((bytes.fromhex(digest) if hexadecimal else b"", number(seq), "" if name == "-" else name))
        return told

    def read_tree(self) -> tuple[list[bytes], str]:
        """The leaves of tree.bin, and what is wrong with its inner nodes."""
        leaves: list[bytes] = []
        data = self.export.data("tree.bin") if "tree.bin" in self.export.names else b""
        grown, wrong, at = Tree(), "", 0
        while at + 32 <= len(data):
            leaves.append(data[at : at + 32])
            at += 32
            for node in grown.add(leaves[-1]):
                if data[at : at + 32] != node and not wrong:
                    wrong = f"tree.bin: a node above record {len(leaves) - 1} is not the hash of what stands below it."
                at += 32
        return leaves, wrong or ("tree.bin ends in the middle of a node." if at != len(data) else "")

    @staticmethod
    def fits(leaves: list[bytes], size: int, trusted: list[tuple[int, bytes, str]]) -> tuple[int, bool, int]:
        """(up to which size signed roots fit, whether all do, the first that does not)."""
        wanted: dict[int, set[bytes]] = {}
        for known, root, _ in trusted:
            wanted.setdefault(known, set()).add(root)
        grown, reached = Tree(), 0
        for leaf in [*leaves[:size], None]:
            if grown.size in wanted:
                if wanted[grown.size] != {grown.root()}:
                    return reached, False, grown.size
                reached = grown.size
            if leaf is not None:
                grown.add(leaf)
        missing = [known for known in wanted if known > grown.size]
        return reached, not missing, min(missing, default=size)

    def scope(self, manifest: dict | None, size: int) -> list[int]:
        """The places of the records that belong into the export."""
        if manifest is None:
            return sorted(seq for seq in self.ids if seq < size) or list(range(size))
        return self.scope_of(manifest)

    def events(self, leaves: list[bytes], scope: list[int]) -> bool:
        """Whether every record is what was sealed; names those that are not."""
        if "events.jsonl" not in self.export.names:
            return False
        entries, newest, clean = [], None, True
        for number, line in enumerate(self.export.lines("events.jsonl")):
            leaf, seq, name = self.record(line)
            entries.append((leaf, seq, name))
            wanted = scope[number] if number < len(scope) else -1
            clean = clean and seq == wanted and 0 <= seq < len(leaves) and leaf == leaves[seq]
            if name and clean:
                if self.ids.setdefault(seq, name) != name:
                    self.wrong(f"events.jsonl: record {seq} has the id {self.ids[seq]}, but its content says {name}.")
                    self.ids[seq] = name
                newest = self.moment(line, seq, newest)
        if clean and len(entries) == len(scope):
            self.said["holds"].append(
                f"{len(entries)} records give their sealed hashes, in order, none missing, none added."
            )
            return True
        self.align("events.jsonl", entries, leaves, scope)
        return False

    def record(self, line: bytes) -> tuple[bytes, int, str]:
        """The leaf hash that a line's content gives (empty where it is not what the platform writes), seq and id."""
        try:
            told = json.loads(line)
            seq, event = told["seq"], told["event"]
            leaf = sha256(b"\x00", canonical(event))
            stated, name = number(seq), str(event["id"])
        except (ValueError, KeyError, TypeError, RecursionError):
            return b"", -1, ""
        # the same record written otherwise (another order, a name twice) could be read otherwise by another program
        intact = canonical(told) == line and told["leaf"] == leaf.hex() and set(told) == {"seq", "leaf", "event"}
        return (leaf if intact else b""), stated, name

    def moment(self, line: bytes, seq: int, newest: datetime | None) -> datetime | None:
        at = datetime.fromisoformat(json.loads(line)["event"]["at"][:26])
        if newest is not None and at < newest - TOLERANCE:
            self.said["note"].append(
                f"{self.name(seq)} is dated {at}, before records sealed earlier: a clock set back?"
            )
        return at if newest is None else max(at, newest)

    def align(self, file: str, entries: list[tuple[bytes, int, str]], leaves: list[bytes], scope: list[int]) -> None:
        """Say how entries (hash, stated place, id) differ from the leaves in scope: edited, deleted, inserted, moved, cut."""
        places = {leaves[seq]: seq for seq in scope if seq < len(leaves) and leaves[seq]}
        by_name = {self.ids[seq]: seq for seq in scope if seq in self.ids}
        absent, true = set(scope), []
        for leaf, _, name in entries:
            seq = places.get(leaf, -1)
            if name and seq >= 0:
                self.ids[seq] = name
            true.append(seq if seq in absent else (-2 if seq >= 0 else -1))
            absent.discard(seq)
        kept = in_order([seq for seq in true if seq >= 0])
        renumbered, before = [], -1
        for line, ((leaf, stated, name), seq) in enumerate(zip(entries, true), 1):  # noqa: B905
            if seq >= 0:
                if seq not in kept:
                    self.wrong(f"{file}: {self.name(seq)} was moved: it stands in line {line}.")
                elif stated != seq:
                    renumbered.append((seq, stated))
                before = max(before, seq)
                continue
            if seq == -2:
                self.wrong(f"{file}: line {line} was inserted: it repeats {self.name(places[leaf])}.")
                continue
            named = by_name.get(name, -1) if by_name.get(name) in absent else -1
            next_one = next(iter(scope[bisect.bisect_right(scope, before) :]), -1)
            guess = stated if stated in absent else named if named >= 0 else next_one
            if guess in absent and (stated == guess or named == guess or stated == -1):
                absent.discard(guess)
                before = max(before, guess)
                self.wrong(f"{file}: {self.name(guess)} was edited (line {line}).")
            else:
                says = f" as record {stated}{f' ({name})' if name else ''}" if stated >= 0 else ""
                self.wrong(f"{file}: line {line} was inserted after record {before}{says}: it was never sealed.")
        if renumbered:
            seq, stated = renumbered[0]
            others = f", and so were {len(renumbered) - 1} more" if len(renumbered) > 1 else ""
            self.wrong(f"{file}: {self.name(seq)} was given the number {stated}{others}.")
        missing = sorted(absent)
        if missing and missing == scope[-len(missing) :]:
            last = f" to {self.name(missing[-1])}" if len(missing) > 1 else ""
            self.wrong(f"{file}: the end was cut off: {self.name(missing[0])}{last} deleted.")
        else:
            for seq in missing:
                self.wrong(f"{file}: {self.name(seq)} was deleted.")

    def spreadsheet(self, whole: bool, scope: list[int]) -> None:
        """events.csv against events.jsonl, cell by cell."""
        if not whole or "events.csv" not in self.export.names:
            return
        csv.field_size_limit(1 << 30)
        with io.TextIOWrapper(self.export.open("events.csv"), "utf-8", errors="replace", newline="") as data:
            rows = csv.reader(data)
            if next(rows, None) != COLUMNS:
                self.wrong("events.csv: its heading was changed.")
            entries = [(sha256("\x1f".join(row).encode()), number(row[0] if row else ""), "") for row in rows]
        wanted = []
        for line in self.export.lines("events.jsonl"):
            told = json.loads(line)
            wanted.append(sha256("\x1f".join(csv_row(told["seq"], told["event"])).encode()))
        if [one[0] for one in entries] != wanted:
            leaves = [b""] * (max(scope, default=-1) + 1)
            for seq, digest in zip(scope, wanted):  # noqa: B905 - Python 3.9
                leaves[seq] = digest
            self.align("events.csv", entries, leaves, scope)

    def digests(self, manifest: dict, leaves: list[bytes]) -> None:
        for name in sorted(self.export.names - set(manifest["files"]) - {"manifest.json", "manifest.note"}):
            self.wrong(f"{name} does not belong to the export: the manifest does not know it.")
        for name in sorted(set(manifest["files"]) & self.export.names):
            digest = hashlib.sha256()
            with self.export.open(name) as data:
                while chunk := data.read(1 << 20):
                    digest.update(chunk)
            if digest.hexdigest() != manifest["files"][name]["sha256"]:
                self.wrong(f"{name} is not the file that was signed.")
                if name == "seals.bin":
                    self.seals(leaves)

    def seals(self, leaves: list[bytes]) -> None:
        """Name the records whose seal is not theirs."""
        seals = self.read_seals()
        for seq, leaf in enumerate(leaves):
            if self.seals_left > 0 and leaf and not (seq < len(seals) and self.has_seal(seq, leaf, seals[seq])):
                self.wrong(f"seals.bin: the seal of {self.name(seq)} was changed.")


def csv_row(seq: str, event: dict) -> list[str]:
    """A record as the cells of events.csv: nested values as JSON, an apostrophe before what would be a formula."""
    cells = []
    for value in (seq, *(event[name] for name in COLUMNS[1:])):
        text = "" if value is None else value if isinstance(value, str) else canonical(value).decode()
        cells.append(f"'{text}" if text.lstrip(" ").startswith(FORMULA) else text)
    return cells


def in_order(places: list[int]) -> set[int]:
    """A longest part of the list that ascends: what is not in it was moved."""
    tails: list[int] = []
    where: list[int] = []
    back: dict[int, int] = {}
    for place in places:
        at = bisect.bisect_left(tails, place)
        back[place] = where[at - 1] if at else -1
        tails[at : at + 1] = [place]
        where[at : at + 1] = [place]
    kept, place = set(), where[-1] if where else -1
    while place >= 0:
        kept.add(place)
        place = back[place]
    return kept


def number(text: object) -> int:
    """The number of ASCII digits, or -1."""
    return int(text) if isinstance(text, str) and text.isascii() and text.isdigit() and len(text) < 16 else -1


def verify_receipt(receipt: dict, key: bytes) -> dict[str, list[str]]:
    """What holds and what does not of one record's receipt."""
    read = read_checkpoint(receipt["checkpoint"], key)
    name = f"Record {receipt['seq']} ({receipt['event']['id']})"
    if read is None:
        return {"holds": [], "refused": [f"{name}: the checkpoint of its receipt was not signed by the key."]}
    leaf = sha256(b"\x00", canonical(receipt["event"]))
    root = root_by_path(leaf, int(receipt["seq"]), read[1], [bytes.fromhex(one) for one in receipt["proof"]])
    if root != read[2]:
        return {"holds": [], "refused": [f"{name} is not what was sealed and signed."]}
    return {"holds": [f"{name} was sealed, and signed at {read[3]}."], "refused": []}


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the status to end with."""
    parser = argparse.ArgumentParser(description="Verify an export of the audit trail, offline.")
    parser.add_argument("export", type=Path, help="the zip, its folder, or a receipt (.json)")
    parser.add_argument("--key", help="the operator's public key, or a file with it (else the export's own)")
    parser.add_argument("--checkpoint", action="append", default=[], type=Path, help="a signed note kept elsewhere")
    options = parser.parse_args(arguments)
    try:
        return verify(options.export, options.key, [path.read_text("utf-8") for path in options.checkpoint])
    except UNFIT as error:
        print(f"refused: it cannot be read: {error}")
        return 2


def given_key(text: str) -> bytes:
    """The key, from the text or the file that it names."""
    return read_key(Path(text).read_text("utf-8") if len(text) < 4096 and Path(text.strip()).is_file() else text)


def verify(path: Path, key_text: str | None, outside: list[str]) -> int:
    """Print the verdict; returns the status to end with."""
    if path.suffix == ".json":
        receipt = json.loads(path.read_text("utf-8"))
        key = given_key(key_text or receipt["public_key"])
        said = verify_receipt(receipt, key)
    else:
        export = Export(path)
        key = given_key(key_text or export.data("public_key.txt").decode())
        verifier = Verifier(export, key, outside)
        verifier.run()
        said = {**verifier.said, "refused": list(verifier.refused)}
    for kind, sentences in said.items():
        for sentence in sentences[:SHOWN]:
            print(f"{kind + ':':9}{sentence}")
        if (more := len(sentences) - SHOWN) > 0:
            print(f"{kind + ':':9}and {more} more.")
    print(f"key:     {hashlib.sha256(key).hexdigest()} (SHA-256)")
    if key_text is None:
        print("         It came with what it is to prove: compare it with the fingerprint the operator publishes.")
    print("REFUSED" if said["refused"] else "VERIFIED")
    return 1 if said["refused"] else 0


if __name__ == "__main__":
    sys.exit(main())
