"""Model versions, their immutable history and the signatures under them."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from apps.core import clock
from apps.core.ids import uuid7
from apps.core.models import BaseModel, InsertOnly


class ModelVersion(BaseModel):
    """One trained model of one trial. ``state`` moves only as ``registry.states`` allows; all else never changes.

    ``metrics`` is the evaluation (``ml.evaluation.evaluate``); ``digests`` names every file of the bundle by SHA-256;
    ``gates`` are the verdicts of ``registry.gates.judge``, ``gates_passed`` whether they let it serve openly, both as
    they stood at registration. ``trained_by`` is the person who began the
    training, null for a scheduled one.
    """

    class State(models.TextChoices):
        CANDIDATE = "candidate", "Candidate"
        STAGING = "staging", "Staging"
        PRODUCTION = "production", "Production"
        SILENT = "silent", "Silent (research only)"
        RETIRED = "retired", "Retired"
        REJECTED = "rejected", "Rejected"

    name = models.CharField(max_length=100)
    version = models.PositiveIntegerField()
    trial = models.ForeignKey("patients.Trial", on_delete=models.PROTECT, related_name="model_versions")
    state = models.CharField(max_length=20, choices=State.choices, default=State.CANDIDATE)
    run_id = models.CharField(max_length=64, blank=True)
    digests = models.JSONField(default=dict)
    metrics = models.JSONField(default=dict)
    gates = models.JSONField(default=list)
    gates_passed = models.BooleanField()
    release_plan = models.JSONField(default=dict)
    data_version = models.CharField(max_length=64)
    git_commit = models.CharField(max_length=64, blank=True)
    bundle_path = models.CharField(max_length=500)
    simulated = models.BooleanField(default=False, help_text="Its figures come from simulated data.")
    trained_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True, blank=True
    )
    registered_by = models.CharField(max_length=200)

    class Meta:
        ordering = ["trial", "name", "-version"]
        constraints = [
            models.UniqueConstraint(fields=["name", "version"], name="model_version_once"),
            models.UniqueConstraint(
                fields=["trial"],
                condition=models.Q(state__in=["production", "silent"]),
                name="one_model_serves_a_trial",
            ),
            models.CheckConstraint(
                condition=~models.Q(state__in=["staging", "production"]) | models.Q(gates_passed=True),
                name="below_its_gates_only_silent",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} v{self.version}"


class ModelTransition(InsertOnly):
    """One move of a version from state to state (``from_state`` is empty at registration), with who, when and why."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="transitions")
    action = models.CharField(max_length=40)
    from_state = models.CharField(max_length=20, blank=True)
    to_state = models.CharField(max_length=20)
    by = models.CharField(max_length=200)
    reason = models.TextField(blank=True)
    at = models.DateTimeField(default=clock.now)
    audit_event = models.UUIDField(help_text="The audit event of the move.")

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.from_state or '-'} → {self.to_state}"


class Approval(InsertOnly):
    """One electronic signature: printed name, time, meaning, and the exact text it binds (21 CFR 11.50, 11.70).

    ``signed_text`` is the canonical JSON that was signed; ``signed_hash`` its SHA-256 in hex.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="approvals")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    printed_name = models.CharField(max_length=200)
    username = models.CharField(max_length=150)
    meaning = models.CharField(max_length=200)
    as_silent = models.BooleanField(default=False)
    signed_text = models.TextField()
    signed_hash = models.CharField(max_length=64)
    signed_at = models.DateTimeField(default=clock.now)
    demo = models.BooleanField(default=False, help_text="Signed by a person of the demonstration.")

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["version", "user", "signed_hash"], name="one_signature_a_person"),
        ]

    def __str__(self) -> str:
        return f"{self.printed_name}, {self.signed_at:%Y-%m-%d %H:%M:%S} UTC, {self.meaning}"
