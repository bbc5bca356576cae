"""What was refused on the way in, what was imported, and how far the consumers are."""

from __future__ import annotations

from django.db import models

from apps.core import clock
from apps.core.models import BaseModel


class DeadLetter(BaseModel):
    """A message that broke its contract: kept with its reasons and its raw bytes, to be read and replayed after a fix.

    ``reasons`` is a list of {path, rule, message}. ``timestamp`` is the record's own, in milliseconds.
    """

    topic = models.CharField(max_length=100)
    topic_id = models.CharField(max_length=64)
    partition = models.IntegerField()
    offset = models.BigIntegerField()
    timestamp = models.BigIntegerField(null=True, blank=True)
    key = models.BinaryField(null=True, blank=True)
    headers = models.JSONField(default=dict, blank=True)
    reasons = models.JSONField()
    raw = models.BinaryField()
    correlation_id = models.CharField(max_length=64, blank=True)
    received_at = models.DateTimeField(default=clock.now)
    replayed_at = models.DateTimeField(null=True, blank=True)
    replayed_by = models.CharField(max_length=200, blank=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["topic_id", "partition", "offset", "topic"], name="dead_letter_identity")
        ]
        indexes = [models.Index(fields=["topic", "-received_at"], name="dead_letter_by_topic")]

    def __str__(self) -> str:
        return f"{self.topic} {self.partition}:{self.offset}"


class Quarantined(BaseModel):
    """A value or record the cleaning rules set aside, as the last run over its partition found it."""

    trial_id = models.CharField(max_length=64, blank=True)
    patient = models.CharField(max_length=130, blank=True, help_text="trial/patient, as sent.")
    site_id = models.CharField(max_length=64, blank=True)
    topic = models.CharField(max_length=100)
    topic_id = models.CharField(max_length=64)
    partition = models.IntegerField()
    offset = models.BigIntegerField()
    rule = models.CharField(max_length=80)
    field = models.CharField(max_length=80, blank=True)
    value = models.TextField(blank=True)
    message = models.TextField()
    event_time = models.DateTimeField(null=True, blank=True)
    run = models.ForeignKey("pipelines.JobRun", on_delete=models.PROTECT, related_name="+", null=True, blank=True)

    class Meta:
        verbose_name_plural = "quarantined"
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["topic_id", "partition", "offset", "topic", "rule", "field"], name="quarantined_once_a_rule"
            )
        ]
        indexes = [models.Index(fields=["rule", "-created_at"], name="quarantined_by_rule")]

    def __str__(self) -> str:
        return f"{self.rule} {self.topic} {self.partition}:{self.offset}"


class ImportRun(BaseModel):
    """One import of a finished study's files. Per domain: rows carried + rows refused = rows read."""

    class State(models.TextChoices):
        WAITING = "waiting", "Waiting"
        RUNNING = "running", "Running"
        SUCCEEDED = "succeeded", "Succeeded"
        FAILED = "failed", "Failed"

    trial = models.ForeignKey("patients.Trial", on_delete=models.PROTECT, related_name="imports")
    folder = models.CharField(max_length=500)
    state = models.CharField(max_length=12, choices=State.choices, default=State.WAITING)
    progress = models.PositiveSmallIntegerField(default=0)
    step = models.CharField(max_length=200, blank=True)
    by = models.CharField(max_length=200)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    error = models.TextField(blank=True)
    job = models.ForeignKey("pipelines.JobRun", on_delete=models.PROTECT, related_name="+", null=True, blank=True)

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.trial_id} from {self.folder}"


class ImportDomain(models.Model):
    """The account of one domain of an import; ``sha256`` is that of the file read."""

    run = models.ForeignKey(ImportRun, on_delete=models.CASCADE, related_name="domains")
    domain = models.CharField(max_length=8)
    file = models.CharField(max_length=200)
    sha256 = models.CharField(max_length=64, blank=True)
    rows_read = models.PositiveIntegerField(default=0)
    rows_carried = models.PositiveIntegerField(default=0)
    rows_refused = models.PositiveIntegerField(default=0)
    events = models.PositiveIntegerField(default=0)

    class Meta:
        ordering = ["run", "domain"]
        constraints = [models.UniqueConstraint(fields=["run", "domain"], name="import_domain_once")]

    def __str__(self) -> str:
        return f"{self.domain}: {self.rows_carried} + {self.rows_refused} of {self.rows_read}"


class ImportRefusal(models.Model):
    """A row of an imported file that no event carries, and the named rule it fell under."""

    run = models.ForeignKey(ImportRun, on_delete=models.CASCADE, related_name="refusals")
    domain = models.CharField(max_length=8)
    row = models.CharField(max_length=200, help_text="DOMAIN:SUBJECT:SEQ, or the row's number in the file.")
    rule = models.CharField(max_length=80)
    message = models.TextField()
    values = models.JSONField(default=dict, blank=True)

    class Meta:
        ordering = ["run", "domain", "id"]
        indexes = [models.Index(fields=["run", "domain", "rule"], name="import_refusal_by_rule")]

    def __str__(self) -> str:
        return f"{self.row}: {self.rule}"


class ConsumerState(models.Model):
    """How far one consumer is in one partition, as it last said. For display only: the object store is the truth."""

    group = models.CharField(max_length=100)
    topic = models.CharField(max_length=100)
    topic_id = models.CharField(max_length=64)
    partition = models.IntegerField()
    epoch = models.IntegerField(default=0)
    next_offset = models.BigIntegerField()
    lag = models.BigIntegerField(null=True, blank=True)
    last_record_at = models.DateTimeField(null=True, blank=True)
    alarm = models.TextField(blank=True)
    updated_at = models.DateTimeField(default=clock.now)

    class Meta:
        ordering = ["group", "topic", "partition"]
        constraints = [
            models.UniqueConstraint(fields=["group", "topic", "topic_id", "partition"], name="consumer_state_once")
        ]

    def __str__(self) -> str:
        return f"{self.group} {self.topic}[{self.partition}] next {self.next_offset}"
