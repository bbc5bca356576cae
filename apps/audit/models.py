"""The audit trail: what was done, and the order in which it was sealed and signed. These tables are only ever inserted into."""

from __future__ import annotations

from django.db import models

from apps.core.ids import uuid7
from apps.core.models import InsertOnly


class AuditEvent(InsertOnly):
    """One thing done by one actor, with the state before and after.

    ``before`` and ``after`` are stored in the canonical form that ``leaf_hash`` covers (every number a string), so the
    hash can be computed again from the row alone. Time is the server's, UTC, in microseconds. ``trial`` is the trial's
    identifier as text, not a foreign key: the trail outlives what it tells of.
    """

    class ActorType(models.TextChoices):
        PERSON = "person", "Person"
        PROCESS = "process", "System process"
        KEY = "key", "API key"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    at = models.DateTimeField()
    actor = models.CharField(max_length=200)
    actor_type = models.CharField(max_length=10, choices=ActorType.choices)
    action = models.CharField(max_length=80)
    object_type = models.CharField(max_length=80)
    object_id = models.CharField(max_length=200)
    trial = models.CharField(max_length=64, blank=True)
    before = models.JSONField(null=True, blank=True)
    after = models.JSONField(null=True, blank=True)
    reason = models.TextField(blank=True)
    correlation_id = models.CharField(max_length=64, blank=True)
    leaf_hash = models.BinaryField(max_length=32, editable=False)

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["object_type", "object_id", "id"], name="audit_by_object"),
            models.Index(fields=["trial", "id"], name="audit_by_trial"),
            models.Index(fields=["correlation_id"], name="audit_by_correlation"),
        ]

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M:%S} {self.actor} {self.action} {self.object_type} {self.object_id}"


class AuditSequence(InsertOnly):
    """The place of an event in the sealed order: 0, 1, 2 … without a gap, given by one sequencer."""

    seq = models.BigIntegerField(primary_key=True)
    event = models.OneToOneField(AuditEvent, on_delete=models.PROTECT, related_name="sequence")
    leaf_hash = models.BinaryField(max_length=32, editable=False)
    sequenced_at = models.DateTimeField()

    class Meta:
        ordering = ["seq"]

    def __str__(self) -> str:
        return f"{self.seq}"


class AuditCheckpoint(InsertOnly):
    """The sealed log at one size, signed. ``frontier``: the hashes of its compact range one after the other (32 bytes
    each), from which the next checkpoint goes on without hashing everything again."""

    origin = models.CharField(max_length=100)
    size = models.BigIntegerField()
    root = models.BinaryField(max_length=32, editable=False)
    frontier = models.BinaryField(max_length=32 * 64, editable=False)
    at = models.DateTimeField()
    note = models.TextField()

    class Meta:
        ordering = ["-id"]
        constraints = [models.UniqueConstraint(fields=["origin", "size"], name="audit_checkpoint_once")]

    def __str__(self) -> str:
        return f"{self.origin} {self.size}"


class AuditNode(InsertOnly):
    """The root of a perfect subtree of 256, 65,536 … sealed leaves (``level`` 8, 16 …), the ``place``-th of its level.

    Kept so that a proof about one record reads some hundred hashes, whatever the log's length.
    """

    origin = models.CharField(max_length=100)
    level = models.PositiveSmallIntegerField()
    place = models.BigIntegerField()
    digest = models.BinaryField(max_length=32, editable=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["origin", "level", "place"], name="audit_node_once")]

    def __str__(self) -> str:
        return f"{self.level}/{self.place}"
