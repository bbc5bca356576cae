"""What monitoring found: checks, the performance reports and verdicts in them, and comparisons of versions."""

from __future__ import annotations

from django.db import models

from apps.core import clock
from apps.core.ids import uuid7
from apps.core.models import InsertOnly


class Check(InsertOnly):
    """One look at a trial: which model served, how recent data differ from training, how fresh they are.

    ``drift`` is the table of ``ml.drift`` (one row a feature), ``drift_window`` {days, rows, patients}; ``freshness`` one
    row a consumer and topic; ``measures`` the numbers the triggers were judged by; ``counters`` the counts that the next
    check takes the difference from.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    trial = models.ForeignKey("patients.Trial", on_delete=models.PROTECT, related_name="+")
    model_version = models.ForeignKey(
        "registry.ModelVersion", on_delete=models.PROTECT, related_name="+", null=True, blank=True
    )
    at = models.DateTimeField(default=clock.now)
    by = models.CharField(max_length=200)
    run = models.ForeignKey("pipelines.JobRun", on_delete=models.PROTECT, related_name="+", null=True, blank=True)
    simulated = models.BooleanField()
    drift = models.JSONField(default=list)
    drift_window = models.JSONField(default=dict)
    freshness = models.JSONField(default=list)
    measures = models.JSONField(default=dict)
    counters = models.JSONField(default=dict)

    class Meta:
        ordering = ["-at", "-id"]
        indexes = [models.Index(fields=["trial", "-at"], name="check_of_trial")]

    def __str__(self) -> str:
        return f"{self.trial_id} at {self.at:%Y-%m-%d %H:%M}"


class PerformanceReport(InsertOnly):
    """How right a version was on the labels that matured in the seven days before ``as_of``, as known at ``as_of``.

    One row a patient-day (``monitoring.sampling`` says which). ``left_out`` counts patient-days by why they do not count.
    ``evaluation`` is that of ``ml.evaluation.evaluate``, {} where there were too few events; ``reason`` says so.
    ``retrospective``: rows from before the model served, of patients whose days did not train it.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    found_by = models.ForeignKey(Check, on_delete=models.PROTECT, related_name="reports")
    trial = models.ForeignKey("patients.Trial", on_delete=models.PROTECT, related_name="+")
    model_version = models.ForeignKey("registry.ModelVersion", on_delete=models.PROTECT, related_name="+")
    as_of = models.DateTimeField()
    first_day = models.DateField()
    last_day = models.DateField()
    rows = models.PositiveIntegerField()
    patients = models.PositiveIntegerField()
    events = models.PositiveIntegerField()
    indeterminate = models.PositiveIntegerField()
    left_out = models.JSONField(default=dict)
    evaluation = models.JSONField(default=dict)
    reason = models.CharField(max_length=200, blank=True)
    retrospective = models.BooleanField()
    simulated = models.BooleanField()

    class Meta:
        ordering = ["-as_of"]
        constraints = [models.UniqueConstraint(fields=["model_version", "as_of"], name="performance_once_a_moment")]
        indexes = [models.Index(fields=["trial", "-as_of"], name="performance_of_trial")]

    def __str__(self) -> str:
        return f"{self.model_version_id} as of {self.as_of:%Y-%m-%d}"


class TriggerVerdict(InsertOnly):
    """One row of the table of triggers, judged in one check: its number against its threshold."""

    class State(models.TextChoices):
        FIRING = "firing", "Firing"
        QUIET = "quiet", "Quiet"
        NOT_JUDGED = "not judged", "Not judged"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    found_by = models.ForeignKey(Check, on_delete=models.PROTECT, related_name="verdicts")
    trigger = models.CharField(max_length=60)
    severity = models.CharField(max_length=12)
    value = models.FloatField(null=True, blank=True)
    operator = models.CharField(max_length=2)
    threshold = models.FloatField()
    state = models.CharField(max_length=12, choices=State.choices)
    sentence = models.CharField(max_length=300)

    class Meta:
        ordering = ["id"]
        constraints = [models.UniqueConstraint(fields=["found_by", "trigger"], name="trigger_judged_once_a_check")]

    def __str__(self) -> str:
        return f"{self.trigger} {self.state}"


class ModelComparison(InsertOnly):
    """A candidate against the version that served, on the same held-out rows (``ml.comparison``).

    ``outcome`` and ``sentence`` say what was found; ``body`` has all figures. Nothing is promoted by it: that takes two
    signatures.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    trial = models.ForeignKey("patients.Trial", on_delete=models.PROTECT, related_name="+")
    candidate = models.ForeignKey("registry.ModelVersion", on_delete=models.PROTECT, related_name="comparisons")
    serving = models.ForeignKey("registry.ModelVersion", on_delete=models.PROTECT, related_name="+")
    run = models.ForeignKey("pipelines.JobRun", on_delete=models.PROTECT, related_name="+", null=True, blank=True)
    at = models.DateTimeField(default=clock.now)
    outcome = models.CharField(max_length=40)
    sentence = models.CharField(max_length=400)
    body = models.JSONField(default=dict)
    simulated = models.BooleanField()

    class Meta:
        ordering = ["-at", "-id"]

    def __str__(self) -> str:
        return f"{self.candidate_id} against {self.serving_id}: {self.outcome}"


class Counted(models.Model):
    """What a counter has counted already of one part (a day of a topic at a site): a day that is written again adds
    only what is new. Bookkeeping, not a record."""

    metric = models.CharField(max_length=60)
    part = models.CharField(max_length=300)
    value = models.BigIntegerField(default=0)

    class Meta:
        verbose_name_plural = "counted"
        constraints = [models.UniqueConstraint(fields=["metric", "part"], name="counted_once_a_part")]

    def __str__(self) -> str:
        return f"{self.metric} {self.part}: {self.value}"
