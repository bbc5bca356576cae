"""An export of the trail that a stranger can verify: ``tools/verify_audit.py EXPORT``, offline, without this program.

An export of one trial holds that trial's records, and of every other record the hash alone: the tree still closes, and
nothing of another trial is told (a leaf's text holds 74 random bits, so it cannot be guessed from its hash). The whole
tree lies in it a second time, so that a record is found even where the first list was rewritten to match a forgery; and
the manifest, which says what belongs into the export, is signed.
"""

from __future__ import annotations

import base64
import hashlib
import json
import uuid
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any

from apps.audit import canonical, checkpoints, signer, tree
from apps.audit.export_text import COLUMNS, README, csv_row
from apps.audit.leaf import content
from apps.audit.models import AuditCheckpoint, AuditSequence
from apps.audit.notes import EXPORT_HEAD
from apps.core import clock
from apps.core.errors import Conflict
from apps.core.spreadsheet import line

FORMAT = "2"
CHUNK = 2_000
ALL_CHECKPOINTS = 500
"""So many of the newest checkpoints go into an export whole; of those before them the last of each hour."""
Report = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written: ``records`` in scope of ``size`` sealed ones, and the file's SHA-256."""

    export_id: str
    size: int
    root: str
    records: int
    bytes: int
    sha256: str


class _Out:
    """A file that knows the hash of what was written into it."""

    def __init__(self, stack: ExitStack, folder: Path, name: str) -> None:
        self.name, self.path = name, folder / name
        self._file: IO[bytes] = stack.enter_context(self.path.open("wb"))
        self._hash = hashlib.sha256()

    def write(self, data: bytes) -> None:
        self._file.write(data)
        self._hash.update(data)

    def facts(self) -> dict[str, str]:
        self._file.flush()
        return {"sha256": self._hash.hexdigest(), "bytes": str(self._file.tell())}


def write(*, target: Path, trial: str | None, made_by: str, report: Report | None = None) -> Exported:
    """Write the export of a trial (None: of everything) to ``target``, a zip. Streams; memory does not grow with the
    trail but for its identifiers, 16 bytes a record. Everything sealed and signed up to now is in it. Raises Conflict of an empty trail,
    Refused where the trail may not be signed."""
    checkpoint = checkpoints.seal() or checkpoints.newest()
    if checkpoint is None:
        raise Conflict("The trail has no sealed record yet.", cure="Try again in some seconds.", code="empty")
    export_id = str(uuid.uuid4())
    with TemporaryDirectory(dir=target.parent) as name, ExitStack() as stack:
        folder = Path(name)
        out = {
            one: _Out(stack, folder, one)
            for one in ("events.jsonl", "leaves.txt", "tree.bin", "seals.bin", "events.csv")
        }
        bits, ids = _records(out, trial, checkpoint, report or (lambda *_: None))
        records, notes = len(ids) // 16, _notes(checkpoint)
        for file, text in _small_files(checkpoint, notes):
            out[file] = _Out(stack, folder, file)
            out[file].write(text.encode())
        manifest = canonical.encode(
            {
                "format": FORMAT,
                "id": export_id,
                "made_at": clock.now(),
                "made_by": made_by,
                "trial": trial or "",
                "origin": checkpoint.origin,
                "size": checkpoint.size,
                "root": bytes(checkpoint.root).hex(),
                "records": records,
                "in_scope": base64.b64encode(zlib.compress(bytes(bits), 9)).decode(),
                "ids": base64.b64encode(bytes(ids)).decode(),
                "checkpoints": list(notes),
                "files": {one.name: one.facts() for one in out.values()},
            }
        )
        note = signer.signing_key().sign(f"{EXPORT_HEAD}\n{export_id}\n{hashlib.sha256(manifest).hexdigest()}\n")
        _zip(
            target,
            {one.name: one.path for one in out.values()},
            {"manifest.json": manifest, "manifest.note": note.encode()},
        )
    with target.open("rb") as made:
        digest = hashlib.file_digest(made, "sha256").hexdigest()
    root = bytes(checkpoint.root).hex()
    return Exported(export_id, checkpoint.size, root, records, target.stat().st_size, digest)


def _records(
    out: dict[str, _Out], trial: str | None, checkpoint: AuditCheckpoint, report: Report
) -> tuple[bytearray, bytearray]:
    """Write what there is a line a record of. Returns which are in scope (bit n = record n), and their ids, 16 bytes each."""
    bits, ids = bytearray((checkpoint.size + 7) // 8), bytearray()
    key = signer.signing_key()
    grown = tree.CompactRange()
    out["events.csv"].write(line(COLUMNS).encode())
    for row in _sealed(checkpoint.size):
        leaf, event = bytes(row.leaf_hash), row.event
        inside = trial is None or event.trial == trial
        out["leaves.txt"].write(f"{row.seq} {leaf.hex()} {event.pk if inside else '-'}\n".encode())
        out["tree.bin"].write(b"".join((leaf, *grown.append(leaf))))
        out["seals.bin"].write(key.seal(checkpoint.origin, row.seq, leaf))
        if inside:
            bits[row.seq // 8] |= 1 << row.seq % 8
            ids += event.pk.bytes
            told = canonical.normalise(content(event))
            assert isinstance(told, dict)
            out["events.jsonl"].write(
                canonical.encode({"seq": str(row.seq), "leaf": leaf.hex(), "event": told}) + b"\n"
            )
            out["events.csv"].write(line(csv_row(row.seq, told)).encode())
        if row.seq % CHUNK == 0:
            report(f"{row.seq:,} of {checkpoint.size:,} records", row.seq, checkpoint.size)
    return bits, ids


def _sealed(size: int) -> Iterator[AuditSequence]:
    last = -1
    rows = AuditSequence.objects.filter(seq__lt=size).select_related("event").order_by("seq")
    while found := list(rows.filter(seq__gt=last)[:CHUNK]):
        yield from found
        last = found[-1].seq


def _small_files(checkpoint: AuditCheckpoint, notes: dict[int, str]) -> Iterator[tuple[str, str]]:
    key = signer.public_key()
    yield "checkpoints.jsonl", "".join(json.dumps({"note": note}) + "\n" for note in notes.values())
    yield "public_key.txt", key.text + "\n"
    yield "README.txt", README.format(fingerprint=key.fingerprint, size=f"{checkpoint.size:,}", at=checkpoint.at)


def _notes(checkpoint: AuditCheckpoint) -> dict[int, str]:
    """Notes of the log up to the checkpoint by their size, oldest first."""
    rows = AuditCheckpoint.objects.filter(origin=checkpoint.origin, size__lte=checkpoint.size)
    newest = list(rows.order_by("-size").values_list("size", "note")[:ALL_CHECKPOINTS])
    older = (
        rows.filter(size__lt=newest[-1][0]).order_by("at__date", "at__hour", "-size").distinct("at__date", "at__hour")
    )
    notes = dict(newest) | dict(older.values_list("size", "note"))
    return dict(sorted(notes.items()))


def _zip(target: Path, files: dict[str, Path], texts: dict[str, bytes]) -> None:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as made:
        for name, data in texts.items():
            made.writestr(name, data)
        for name, path in sorted(files.items()):
            made.write(path, name)


def receipt(seq: int) -> dict[str, Any]:
    """What proves one sealed record to whoever holds it: its content, its path through the tree, the signed root.

    Raises Conflict for one that is not signed yet.
    """
    row = AuditSequence.objects.select_related("event").get(seq=seq)
    checkpoint = checkpoints.newest()
    if checkpoint is None or checkpoint.size <= seq:
        raise Conflict("This record is not signed yet.", cure="Try again in some seconds.", code="not_signed")
    told = canonical.normalise(content(row.event))
    return {
        "format": FORMAT,
        "seq": str(seq),
        "event": told,
        "proof": [one.hex() for one in checkpoints.proof_of(seq, checkpoint)],
        "checkpoint": checkpoint.note,
        "public_key": signer.public_key().text,
    }
