"""The whole trail, verified in the database: what a stranger verifies on an export, and what only we can see.

Every sealed record gives its leaf hash again; places have no gap; the tree has the root of every checkpoint, of the
signer's memory and of the anchors outside; nothing waits unsealed; and rows still are what the trail last said of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.apps import apps as registry
from django.db import transaction
from django.db.models import Model

from apps.audit import canonical, checkpoints, signer, tree
from apps.audit.actors import Actor
from apps.audit.leaf import leaf_of
from apps.audit.models import AuditCheckpoint, AuditEvent, AuditSequence
from apps.audit.selectors import of_object, unsealed
from apps.audit.sequencer import LONGEST_TRANSACTION
from apps.audit.services import record
from apps.core import clock

LATE = timedelta(minutes=5)
"""An event that is older than this and not sealed is a problem."""
MOST = 100
CHUNK = 2_000
SHOWN = 120


@dataclass(frozen=True, slots=True)
class Told:
    """What the trail says of the rows of a model.

    ``columns`` must hold what the newest after-image with their names says. ``whole``: the one column that an after-image is.
    ``of``, ``key``: the events are about another type, and this name in their images says which row. ``known``: a row that no
    event tells of is a problem (sites and trials come to be by events of a study too, which are in bronze).
    """

    columns: tuple[str, ...] = ()
    whole: str = ""
    of: str = ""
    key: str = ""
    known: bool = True


#: By model: its rows against the trail. Predictions are not here: each is computed again from bronze by a replay.
IMAGES: dict[str, Told] = {
    "accounts.User": Told(
        ("username", "printed_name", "email", "is_active", "identity_verified_at", "identity_verified_by")
    ),
    "accounts.RoleGrant": Told(("role", "trial", "site", "ends_at", "revoked_at")),
    "accounts.TrainingRecord": Told(("course", "completed_on", "expires_on", "evidence", "void")),
    "accounts.ApiKey": Told(("name", "prefix", "scopes", "sites", "expires_at", "revoked_at")),
    "patients.Trial": Told(("name", "simulated"), known=False),
    "patients.StudyProfileVersion": Told(whole="body"),
    "patients.Site": Told(("name", "timezone", "closed_at"), known=False),
    "patients.Arm": Told(("code", "name", "withdrawn_at")),
    "registry.ModelVersion": Told(
        (
            *("state", "name", "version", "run_id", "metrics", "gates", "gates_passed", "digests", "data_version"),
            *("git_commit", "bundle_path", "release_plan"),
        )
    ),
    "registry.Approval": Told(
        ("printed_name", "meaning", "as_silent", "signed_hash", "signed_at"), of="registry.ModelVersion", key="approval"
    ),
}
Report = Callable[[str, int, int], None]
Image = dict[str, tuple[Any, Any]]
"""By column: the value the trail says last, and the event that says it."""


@dataclass(slots=True)
class Verdict:
    """What was looked at, and what is wrong: sentences that name the record. ``fits``: up to which size the records have
    the roots that were signed; ``broken``: whether one differed."""

    records: int = 0
    checkpoints: int = 0
    anchors: int = 0
    rows: int = 0
    fits: int = 0
    broken: bool = False
    problems: list[str] = field(default_factory=list)
    more: int = 0

    def problem(self, sentence: str) -> None:
        if len(self.problems) < MOST:
            self.problems.append(sentence)
        else:
            self.more += 1

    @property
    def sentence(self) -> str:
        """The outcome in a line."""
        looked = f"{self.records:,} records, {self.checkpoints:,} checkpoints, {self.anchors:,} anchors and {self.rows:,} rows verified"
        return f"{looked}: {f'{len(self.problems) + self.more:,} problems' if self.problems else 'all of it holds'}."


def verify(*, by: Actor, report: Report | None = None) -> Verdict:
    """Verify everything and record the outcome. Reads the trail once; holds a few thousand rows at a time."""
    verdict = Verdict()
    _tree(verdict, report or (lambda *_: None))
    _waiting(verdict)
    _rows(verdict)
    with transaction.atomic():
        record(
            by=by,
            action="audit.damage_found" if verdict.problems else "audit.verified",
            object_type="audit.AuditCheckpoint",
            object_id="log",
            after={
                "records": verdict.records,
                "checkpoints": verdict.checkpoints,
                "anchors": verdict.anchors,
                "problems": verdict.problems[:20],
                "problem_count": len(verdict.problems) + verdict.more,
            },
        )
    return verdict


def _tree(verdict: Verdict, report: Report) -> None:
    expected = _expected(verdict)
    total = AuditSequence.objects.count()
    grown = tree.CompactRange()
    _compare(verdict, grown, expected)
    newest: datetime | None = None
    for row in _sealed():
        name = f"Record {row.seq} ({row.event_id})"
        if row.seq != grown.size:
            verdict.problem(f"{name}: the records {grown.size} to {row.seq - 1} are missing before it.")
            return
        event = row.event
        leaf = bytes(row.leaf_hash)
        if leaf_of(event) != leaf or bytes(event.leaf_hash) != leaf:
            verdict.problem(
                f"{name}: its content is not what was sealed ({event.action} by {event.actor}, {event.at:%Y-%m-%d %H:%M:%S} UTC)."
            )
        if newest is not None and event.at < newest - LONGEST_TRANSACTION:
            verdict.problem(
                f"{name}: it is dated {event.at:%Y-%m-%d %H:%M:%S} UTC, long before records sealed earlier."
            )
        newest = max(newest or event.at, event.at)
        grown.append(leaf)
        verdict.records += 1
        _compare(verdict, grown, expected)
        if grown.size % CHUNK == 0:
            report(f"{grown.size:,} of {total:,} records", grown.size, total)
    for size, claims in sorted(expected.items()):
        for what, _ in claims:
            verdict.problem(f"The records from {grown.size} on are missing: {what} speaks of {size:,} records.")


def _expected(verdict: Verdict) -> dict[int, list[tuple[str, bytes]]]:
    """By size: who claims that the log had which root. Of the database only roots are taken, under a good signature."""
    claims: dict[int, list[tuple[str, bytes]]] = {}
    key = signer.public_key()
    newest = checkpoints.newest()
    for row in AuditCheckpoint.objects.order_by("id").iterator(chunk_size=CHUNK):
        what = f"checkpoint {row.size} of {row.at:%Y-%m-%d %H:%M:%S} UTC"
        if newest is not None and row.origin == newest.origin:
            try:
                told = signer.Checkpoint.parse(key.open(row.note))
            except signer.NoteError:
                verdict.problem(f"The {what} is not signed by the key of this installation.")
                continue
            if (told.origin, told.size, told.root) != (row.origin, row.size, bytes(row.root)):
                verdict.problem(f"The {what} says something else than its signed note.")
                continue
            claims.setdefault(row.size, []).append((f"the {what}", bytes(row.root)))
            verdict.checkpoints += 1
    try:
        remembered = signer.memory()
        outside = [remembered, *signer.anchors(remembered.checkpoint.origin)] if remembered else []
    except signer.Refused as refusal:
        verdict.problem(str(refusal))
        outside = []
    for signed in outside:
        claims.setdefault(signed.checkpoint.size, []).append(
            (f"what was signed at {signed.checkpoint.at} and kept outside the database", signed.checkpoint.root)
        )
    verdict.anchors = max(0, len(outside) - 1)
    return claims


def _compare(verdict: Verdict, grown: tree.CompactRange, expected: dict[int, list[tuple[str, bytes]]]) -> None:
    for what, root in expected.pop(grown.size, ()):
        if root == grown.root():
            verdict.fits = max(verdict.fits, grown.size)
        elif not verdict.broken:
            verdict.broken = True  # every later root differs too: said once, at the place
            verdict.problem(
                f"The records {verdict.fits:,} to {grown.size - 1:,} are not those that were signed: their root is not that of {what}."
            )


def _sealed() -> Iterator[AuditSequence]:
    last = -1
    while rows := list(AuditSequence.objects.filter(seq__gt=last).select_related("event").order_by("seq")[:CHUNK]):
        yield from rows
        last = rows[-1].seq


def _waiting(verdict: Verdict) -> None:
    waiting = unsealed(everything=True)
    if waiting.oldest is not None and clock.now() - waiting.oldest > LATE:
        verdict.problem(
            f"{waiting.count:,} events wait to be sealed, the oldest since {waiting.oldest:%Y-%m-%d %H:%M:%S} UTC."
        )


def _rows(verdict: Verdict) -> None:
    """Each row against the newest after-image of each of its columns."""
    for model, told in IMAGES.items():
        images: dict[str, Image] = {}
        about = AuditEvent.objects.filter(object_type=told.of or model).order_by("id").only("id", "object_id", "after")
        for event in about.iterator(chunk_size=CHUNK):
            if (row_id := _row_of(event, told)) is not None:
                _learn(images.setdefault(row_id, {}), event, told)
        for row in registry.get_model(model)._default_manager.iterator(chunk_size=CHUNK):
            verdict.rows += 1
            image = images.get(str(row.pk))
            if image is not None and not _differs(row, image):
                continue
            fresh: Image | None = None  # written or changed while we read? then its newest event says so
            for event in _events_of(row, model, told):
                fresh = {} if fresh is None else fresh
                _learn(fresh, event, told)
            if fresh is None:
                if told.known:
                    verdict.problem(f"{model} {row.pk}: the trail tells of no such row.")
                continue
            row.refresh_from_db()
            for name, now, value, event_id in _differs(row, fresh):
                verdict.problem(
                    f"{model} {row.pk}: {name} is {_short(now)}, but the trail's last word (event {event_id}) is {_short(value)}."
                )


def _row_of(event: AuditEvent, told: Told) -> str | None:
    """The row that an event tells of; None where it tells of none of this model."""
    if not told.key:
        return event.object_id
    return event.after.get(told.key) if isinstance(event.after, dict) else None


def _events_of(row: Model, model: str, told: Told) -> list[AuditEvent]:
    if not told.key:
        return of_object(model, row.pk)
    return list(AuditEvent.objects.filter(object_type=told.of, **{f"after__{told.key}": str(row.pk)}).order_by("id"))


def _learn(image: Image, event: AuditEvent, told: Told) -> None:
    if isinstance(event.after, dict) and told.whole:
        image[told.whole] = (event.after, event.pk)
    elif isinstance(event.after, dict):
        image.update({name: (event.after[name], event.pk) for name in told.columns if name in event.after})


def _differs(row: Model, image: Image) -> list[tuple[str, Any, Any, Any]]:
    now = {name: canonical.normalise(getattr(row, row._meta.get_field(name).attname)) for name in image}  # type: ignore[union-attr]
    return [(name, now[name], value, event_id) for name, (value, event_id) in image.items() if now[name] != value]


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}… ({len(text):,} characters)"
