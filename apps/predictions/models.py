"""What was predicted, from what, by which model: everything a replay needs."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models

from apps.core import clock
from apps.core.ids import uuid7
from apps.core.models import InsertOnly


class Prediction(InsertOnly):
    """One answer about one patient, as of one moment. Inserted once, with its audit event, in one transaction.

    ``probability`` is null exactly when ``level`` is INDETERMINATE, and then ``reasons`` says why. ``features`` are the
    canonical bytes (120 little-endian float32) after masking; ``contributions`` 120 little-endian float64 in
    probability; ``top_factors`` the [{feature, contribution}] that were shown. ``watermark`` is
    {topic: [topic_id, partition, offset]}: what had been applied of this patient's events.
    """

    class Level(models.TextChoices):
        LOW = "LOW", "Low"
        MODERATE = "MODERATE", "Moderate"
        HIGH = "HIGH", "High"
        CRITICAL = "CRITICAL", "Critical"
        INDETERMINATE = "INDETERMINATE", "Indeterminate"

    class Source(models.TextChoices):
        LIVE = "live", "Live"
        API = "api", "API"
        BATCH = "batch", "Batch"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    trial = models.ForeignKey(
        "patients.Trial", on_delete=models.PROTECT, related_name="+", db_constraint=False, db_index=False
    )
    patient = models.ForeignKey(
        "patients.Patient", on_delete=models.PROTECT, related_name="predictions", db_index=False
    )
    as_of = models.DateTimeField()
    probability = models.FloatField(null=True, blank=True)
    logit = models.FloatField(null=True, blank=True)
    level = models.CharField(max_length=16, choices=Level.choices)
    reasons = ArrayField(models.CharField(max_length=200), default=list, blank=True)
    model_version = models.ForeignKey("registry.ModelVersion", on_delete=models.PROTECT, related_name="predictions")
    silent = models.BooleanField()
    top_factors = models.JSONField(default=list)
    contributions = models.BinaryField(null=True, blank=True)
    features = models.BinaryField()
    features_sha256 = models.CharField(max_length=64)
    watermark = models.JSONField()
    profile_version = models.ForeignKey("patients.StudyProfileVersion", on_delete=models.PROTECT, related_name="+")
    tables_version = models.CharField(max_length=64)
    fingerprint = models.CharField(max_length=64)
    correlation_id = models.CharField(max_length=64, blank=True)
    source = models.CharField(max_length=8, choices=Source.choices)
    replayable = models.BooleanField(default=True)
    created_at = models.DateTimeField(default=clock.now, editable=False)

    class Meta:
        ordering = ["-as_of", "-id"]
        indexes = [
            models.Index(fields=["patient", "-as_of", "-id"], name="prediction_of_patient"),
            models.Index(fields=["trial", "-created_at"], name="prediction_of_trial"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(level="INDETERMINATE", probability__isnull=True)
                | (~models.Q(level="INDETERMINATE") & models.Q(probability__gte=0.0, probability__lte=1.0)),
                name="a_probability_or_a_reason",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.patient_id} {self.level} as of {self.as_of:%Y-%m-%d %H:%M:%S}"


class NotReplayable(InsertOnly):
    """A prediction found to rest on events that never reached bronze (the broker was lost before they did).

    A row beside the prediction, because a prediction is never changed.
    """

    prediction = models.OneToOneField(
        Prediction, on_delete=models.PROTECT, primary_key=True, related_name="not_replayable"
    )
    reason = models.TextField()
    at = models.DateTimeField(default=clock.now)

    def __str__(self) -> str:
        return f"{self.prediction_id}: {self.reason}"


class IdempotentAnswer(models.Model):
    """The answer that belongs to an idempotency key of a caller, for 24 hours."""

    name = models.CharField(
        max_length=160, primary_key=True, help_text="Prefix of the API key, colon, idempotency key."
    )
    body_sha256 = models.CharField(max_length=64)
    prediction = models.ForeignKey(Prediction, on_delete=models.PROTECT, related_name="+", null=True)
    created_at = models.DateTimeField(default=clock.now)

    def __str__(self) -> str:
        return self.name
