"""Runs of the platform's jobs, as a person follows them."""

from __future__ import annotations

from django.core.validators import MaxValueValidator
from django.db import models

from apps.core.models import BaseModel


class JobRun(BaseModel):
    """One run of one job: what it was asked, how far it is, what it said, how it ended.

    ``progress`` is 0 to 100; ``outcome`` the job's own figures; ``error`` a sentence with ``cure`` beside it;
    ``retry_of`` the run this one repeats.
    """

    class State(models.TextChoices):
        WAITING = "waiting", "Waiting"
        RUNNING = "running", "Running"
        SUCCEEDED = "succeeded", "Succeeded"
        FAILED = "failed", "Failed"
        CANCELLED = "cancelled", "Cancelled"

    job = models.CharField(max_length=60)
    trial = models.ForeignKey("patients.Trial", on_delete=models.PROTECT, related_name="+", null=True, blank=True)
    state = models.CharField(max_length=12, choices=State.choices, default=State.WAITING)
    progress = models.PositiveSmallIntegerField(default=0, validators=[MaxValueValidator(100)])
    step = models.CharField(max_length=200, blank=True)
    log = models.TextField(blank=True)
    arguments = models.JSONField(default=dict, blank=True)
    outcome = models.JSONField(default=dict, blank=True)
    error = models.TextField(blank=True)
    cure = models.TextField(blank=True)
    by = models.CharField(max_length=200)
    task_id = models.CharField(max_length=64, blank=True)
    correlation_id = models.CharField(max_length=64, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    heartbeat_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    retry_of = models.ForeignKey("self", on_delete=models.PROTECT, related_name="retries", null=True, blank=True)

    class Meta:
        ordering = ["-created_at"]
        indexes = [models.Index(fields=["job", "-created_at"], name="jobrun_by_job")]
        constraints = [models.CheckConstraint(condition=models.Q(progress__lte=100), name="jobrun_progress_percent")]

    def __str__(self) -> str:
        return f"{self.job} {self.state}"
