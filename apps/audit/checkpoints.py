"""Checkpoints: after each pass of the sequencer the log's root is signed, and kept in the database and outside it.

What is signed is the signer's own last root plus the leaves after it. So a row changed in the database later cannot find
its way under a signature, and a database that is no continuation is refused, recorded and shown.
"""

from __future__ import annotations

import contextlib
import logging
from datetime import datetime
from functools import cache

from django.db import connection, transaction

from apps.audit import sequencer, signer, tree
from apps.audit.actors import Actor
from apps.audit.models import AuditCheckpoint, AuditEvent, AuditNode, AuditSequence
from apps.audit.services import record
from apps.audit.signer import Refused, Signed

log = logging.getLogger("audit")
SIGNER = Actor.process("audit-signer")
LOCK = 0x5EA2
TILE = 8  # levels between two kept nodes
CHUNK = 10_000


def seal(*, everything: bool = False) -> AuditCheckpoint | None:
    """Give every committed event its place, then sign. Returns the newest checkpoint; None of an empty log, or while
    another process does it. Raises Refused, after recording it, where the log may not be signed."""
    while sequencer.sequence(everything=everything):
        pass
    try:
        return _sign()
    except Refused as refusal:
        _record(refusal)
        raise


def newest() -> AuditCheckpoint | None:
    """The checkpoint written last."""
    return AuditCheckpoint.objects.order_by("-id").first()


def resume(*, by: Actor, reason: str) -> AuditCheckpoint | None:
    """Begin a new signed log after one that cannot go on (an older backup was restored, the key changed).

    The new log has a name of its own, so that nothing signed before is contradicted; the break, with what had been
    signed, is recorded in it. For an operator who has found out what happened: ``reason`` says it.
    """
    remembered: Signed | None = None
    with contextlib.suppress(Refused):
        remembered = signer.memory()
    last = newest()
    told = {"origin": last.origin, "size": last.size} if last else {}
    if remembered is not None:
        told = {"origin": remembered.checkpoint.origin, "size": remembered.checkpoint.size}
    with transaction.atomic():
        record(
            by=by,
            action="audit.resumed",
            object_type="audit.AuditCheckpoint",
            object_id="log",
            before=told,
            reason=reason,
        )
    while sequencer.sequence(everything=True):
        pass
    known = [row.origin for row in (last, remembered and remembered.checkpoint) if row]
    return _sign(origin=signer.next_origin(known) if known else signer.first_origin())


def restored(*, by: Actor, reason: str) -> AuditCheckpoint | None:
    """Go on after a restore, in a new log: the old name may have signed records that the backup does not hold.

    First the restored records are shown to continue what the signer remembered when the backup was made. Returns the new
    log's first checkpoint; None where nothing was ever signed. Raises Refused where they do not continue it.
    """
    remembered, size = signer.memory(), _size()
    if remembered is None:
        if newest() is None:
            return None
        raise Refused(
            "The backup holds checkpoints, but not what the signer remembered of them.",
            cure="After an inquiry begin a new signed log: manage.py audit_resume.",
            code="no_memory",
        )
    if size < remembered.checkpoint.size:
        raise Refused(
            f"The backup holds {size:,} sealed records, but {remembered.checkpoint.size:,} had been signed before it.",
            cure="Restore another backup; after an inquiry begin a new signed log: manage.py audit_resume.",
            code="rolled_back",
        )
    _grown(remembered.checkpoint.origin, None, remembered, size)
    return resume(by=by, reason=reason)


def _sign(origin: str = "") -> AuditCheckpoint | None:
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [LOCK])
        if not cursor.fetchone()[0]:
            return None
        remembered = None if origin else signer.memory()
        last = None if origin else newest()
        size = _size()
        if remembered is None and last is not None:
            raise Refused(
                f"The signer has forgotten what it signed; the database knows a checkpoint of {last.size:,} records.",
                cure="Bring back audit/ of the lake, or begin a new signed log: manage.py audit_resume.",
                code="no_memory",
            )
        if remembered is not None and size < remembered.checkpoint.size:
            raise Refused(
                f"The database has {size:,} sealed records, but {remembered.checkpoint.size:,} had been signed: "
                "it was rolled back, or an older backup was restored.",
                cure="Restore the newer state; after an inquiry begin a new signed log: manage.py audit_resume.",
                code="rolled_back",
            )
        if size == 0:
            return None
        name = origin or (remembered.checkpoint.origin if remembered else signer.first_origin())
        if last is not None and last.origin != name:
            last = None  # a resumed log whose first checkpoint a crash kept from the database
        if last is not None and remembered is not None and last.size > remembered.checkpoint.size:
            # Going on from its frontier would go round the memory: what is signed must grow from what was signed.
            raise Refused(
                f"The database knows a checkpoint of {last.size:,} records; the signer remembers "
                f"{remembered.checkpoint.size:,}: it was forged, or the lake was rolled back.",
                cure="Bring back audit/ of the lake; after an inquiry begin a new signed log: manage.py audit_resume.",
                code="unknown_checkpoint",
            )
        grown, nodes = _grown(name, last, remembered, size)
        if remembered is not None and remembered.checkpoint.size == size:
            signed = remembered  # signed before, and perhaps not yet written here
        else:
            signed = signer.sign(origin=name, grown=grown, since=remembered, anew=bool(origin))
        if last is not None and last.note == signed.note:
            return last
        AuditNode.objects.bulk_create(nodes, batch_size=CHUNK)
        return AuditCheckpoint.objects.create(
            origin=signed.checkpoint.origin,
            size=size,
            root=signed.checkpoint.root,
            frontier=b"".join(grown.hashes),
            at=datetime.fromisoformat(signed.checkpoint.at),
            note=signed.note,
        )


def _size() -> int:
    last = AuditSequence.objects.order_by("-seq").values_list("seq", flat=True).first()
    return 0 if last is None else last + 1


def _grown(
    origin: str, last: AuditCheckpoint | None, remembered: Signed | None, size: int
) -> tuple[tree.CompactRange, list[AuditNode]]:
    """The compact range of ``size`` leaves, shown to continue the signer's memory, and the nodes completed since
    ``last``. Raises Refused where it does not continue it."""
    grown = tree.CompactRange(last.size, _cut(bytes(last.frontier))) if last else tree.CompactRange()
    nodes: list[AuditNode] = []
    known = remembered.checkpoint if remembered else None
    _continues(grown, known)
    for leaf in sequencer.leaves(start=grown.size):
        if grown.size == size:
            break
        place = grown.size
        for level, digest in enumerate(grown.append(leaf), 1):
            if level % TILE == 0:
                nodes.append(AuditNode(origin=origin, level=level, place=place >> level, digest=digest))
        _continues(grown, known)
    return grown, nodes


def _continues(grown: tree.CompactRange, known: signer.Checkpoint | None) -> None:
    if known is not None and grown.size == known.size and grown.root() != known.root:
        raise Refused(
            f"The first {known.size:,} sealed records are not those that were signed at {known.at}.",
            cure="Export the trail and run tools/verify_audit.py: it names the records. Then restore them.",
            code="history_differs",
        )


def _cut(frontier: bytes) -> list[bytes]:
    return [frontier[start : start + 32] for start in range(0, len(frontier), 32)]


def _record(refusal: Refused) -> None:
    """Tell of a refusal once, not at every pass."""
    log.error("audit trail not signed", extra={"refusal": refusal.code, "sentence": refusal.message})
    action = "audit.sealing_refused"
    before = AuditEvent.objects.filter(action__in=(action, "audit.resumed")).order_by("-id").first()
    if before is not None and before.action == action and (before.after or {}).get("code") == refusal.code:
        return
    with transaction.atomic():
        record(
            by=SIGNER,
            action=action,
            object_type="audit.AuditCheckpoint",
            object_id="log",
            after={"code": refusal.code, "sentence": refusal.message},
        )


def roots(origin: str) -> tree.RootOf:
    """The tree hash of the sealed leaves start, …, end − 1 (see ``tree.RootOf``), from kept nodes where there are."""

    @cache
    def root_of(start: int, end: int) -> bytes:
        level = (end - start).bit_length() - 1
        if end - start == 1 << level and level and level % TILE == 0:
            kept = AuditNode.objects.filter(origin=origin, level=level, place=start >> level).first()
            if kept is not None:
                return bytes(kept.digest)
        if end - start <= 1 << TILE:
            return tree.root(_leaves(start, end))
        middle = start + tree.split(end - start)
        return tree.node_hash(root_of(start, middle), root_of(middle, end))

    return root_of


def _leaves(start: int, end: int) -> list[bytes]:
    rows = AuditSequence.objects.filter(seq__gte=start, seq__lt=end).order_by("seq")
    return [bytes(leaf) for leaf in rows.values_list("leaf_hash", flat=True)]


def proof_of(seq: int, checkpoint: AuditCheckpoint) -> list[bytes]:
    """The inclusion proof of a sealed record against a checkpoint. Raises Conflict where the tables contradict it."""
    proof = tree.inclusion_proof(seq, checkpoint.size, roots(checkpoint.origin))
    leaf = _leaves(seq, seq + 1)[0]
    if not tree.verify_inclusion(leaf, seq, checkpoint.size, proof, bytes(checkpoint.root)):
        raise Refused(
            f"The sealed records no longer give the root signed at {checkpoint.at:%Y-%m-%d %H:%M:%S} UTC.",
            cure="Verify the trail: manage.py verify_audit names the record.",
            code="history_differs",
        )
    return proof
