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
    """One import of a study's files, or one check of them, which writes nothing but its own report.

    Per domain rows carried + rows refused = rows read. ``trial`` is empty until the import has made it; ``trial_name``
    is the identifier asked for or found in the files. ``place`` is where sent files lie until the import is done.
    ``new``, ``corrected``, ``retracted`` and ``unchanged`` count records, ``sent`` events.
    """

    class State(models.TextChoices):
        DRAFT = "draft", "Needs its columns"
        WAITING = "waiting", "Waiting"
        RUNNING = "running", "Running"
        SUCCEEDED = "succeeded", "Succeeded"
        FAILED = "failed", "Failed"
        DISCARDED = "discarded", "Discarded"

    class Kind(models.TextChoices):
        CHECK = "check", "Check"
        IMPORT = "import", "Import"

    class Form(models.TextChoices):
        SDTM = "sdtm", "SDTM package"
        TABLE = "table", "Table"

    class Origin(models.TextChoices):
        SENT = "sent", "Sent through the portal"
        ROOT = "root", "From the folder for imports"
        COMMAND = "command", "By an operator's command"

    trial = models.ForeignKey("patients.Trial", on_delete=models.PROTECT, related_name="imports", null=True, blank=True)
    trial_name = models.CharField(max_length=64, blank=True)
    title = models.CharField(max_length=200, blank=True, help_text="The study's, as its files say.")
    kind = models.CharField(max_length=8, choices=Kind.choices, default=Kind.IMPORT)
    form = models.CharField(max_length=8, choices=Form.choices, default=Form.SDTM)
    origin = models.CharField(max_length=8, choices=Origin.choices, default=Origin.COMMAND)
    source = models.CharField(max_length=500, help_text="Folder or file, as the person named it.")
    place = models.CharField(max_length=500, blank=True)
    mapping = models.JSONField(null=True, blank=True, help_text="Of a table: what its columns mean.")
    check_run = models.ForeignKey("self", on_delete=models.PROTECT, related_name="imports", null=True, blank=True)
    state = models.CharField(max_length=12, choices=State.choices, default=State.WAITING)
    progress = models.PositiveSmallIntegerField(default=0)
    step = models.CharField(max_length=200, blank=True)
    by = models.CharField(max_length=200)
    started_at = models.DateTimeField(null=True, blank=True)
    heartbeat_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    error = models.TextField(blank=True)
    cure = models.TextField(blank=True)
    package_sha256 = models.CharField(max_length=64, blank=True)
    subjects = models.PositiveIntegerField(default=0)
    sites = models.PositiveIntegerField(default=0)
    new = models.PositiveIntegerField(default=0)
    corrected = models.PositiveIntegerField(default=0)
    retracted = models.PositiveIntegerField(default=0)
    unchanged = models.PositiveIntegerField(default=0)
    sent = models.PositiveIntegerField(default=0)
    remarks = models.JSONField(default=list, blank=True, help_text="Sentences about the package as a whole.")
    job = models.ForeignKey("pipelines.JobRun", on_delete=models.PROTECT, related_name="+", null=True, blank=True)

    class Meta:
        ordering = ["-created_at"]
        indexes = [models.Index(fields=["trial_name", "-created_at"], name="import_by_trial_name")]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} of {self.trial_name or self.source}"


class ImportDomain(models.Model):
    """The account of one domain of an import; ``sha256`` is that of the file read."""

    run = models.ForeignKey(ImportRun, on_delete=models.PROTECT, related_name="domains")
    domain = models.CharField(max_length=64)
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
    """A row (or, where ``count`` > 1, rows) of an imported file that no event carries: the named rule it fell under, why
    in words, and what would mend it."""

    run = models.ForeignKey(ImportRun, on_delete=models.PROTECT, related_name="refusals")
    domain = models.CharField(max_length=64)
    row = models.CharField(max_length=200, help_text="DOMAIN:SUBJECT:SEQ, or the row's number in the file.")
    rule = models.CharField(max_length=80)
    what = models.CharField(max_length=400, blank=True)
    why = models.TextField()
    cure = models.TextField(blank=True)
    values = models.JSONField(default=dict, blank=True)
    count = models.PositiveIntegerField(default=1)

    class Meta:
        ordering = ["run", "domain", "id"]
        indexes = [models.Index(fields=["run", "domain", "rule"], name="import_refusal_by_rule")]

    def __str__(self) -> str:
        return f"{self.row}: {self.rule}"


class ImportChange(models.Model):
    """A record that an import corrected or retracted: its columns before and after, as {column: [before, after]}."""

    run = models.ForeignKey(ImportRun, on_delete=models.PROTECT, related_name="changes")
    kind = models.CharField(max_length=10)
    topic = models.CharField(max_length=40)
    patient_id = models.CharField(max_length=64)
    record_id = models.CharField(max_length=120)
    columns = models.JSONField(default=dict)

    class Meta:
        ordering = ["run", "id"]

    def __str__(self) -> str:
        return f"{self.record_id}: {self.kind}"


class ImportMapping(BaseModel):
    """A saved mapping of a table's columns, to be used again; saving one of the same name makes the next version."""

    name = models.CharField(max_length=80)
    version = models.PositiveIntegerField(default=1)
    body = models.JSONField()
    by = models.CharField(max_length=200)

    class Meta:
        ordering = ["name", "-version"]
        constraints = [models.UniqueConstraint(fields=["name", "version"], name="import_mapping_version_once")]

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


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
