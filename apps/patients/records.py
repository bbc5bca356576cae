"""The clinical record the portal shows: one row per version of a record, projected from events.

The truth is bronze; these tables are rebuilt from it. Measured values are in the contract's units (double precision,
from the fixed-point integers of silver, so no more digits than were sent); columns bear silver's names. ``superseded``
says that a later version holds, by (known_time, epoch, offset), among all that is known; a page that looks back in time
uses ``selectors.as_known``.
"""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.fields.related import ForeignKey


class ClinicalRecord(models.Model):
    """What every version of every record carries.

    ``record_key`` is the first eight bytes of the SHA-256 of the deduplication identity, as a signed integer: the
    same number as ``ml.facts`` uses. ``partition`` and ``offset`` name the message in the topic with ``topic_id``.
    """

    topic: ClassVar[str]

    id = models.BigAutoField(primary_key=True)
    # The patient's key begins with its trial, and is checked: a second constraint per row would only cost time.
    trial: ForeignKey[Any, Any] = models.ForeignKey(
        "patients.Trial", on_delete=models.PROTECT, related_name="+", db_constraint=False, db_index=False
    )
    patient: ForeignKey[Any, Any] = models.ForeignKey(
        "patients.Patient", on_delete=models.PROTECT, related_name="%(class)s_set", db_index=False
    )
    trial_site_id = models.CharField(max_length=64, blank=True, help_text="Site that reported it, as sent.")
    record_key = models.BigIntegerField()
    record_id = models.CharField(max_length=120, blank=True)
    event_time = models.DateTimeField()
    known_time = models.DateTimeField()
    epoch = models.IntegerField()
    topic_id = models.CharField(max_length=64)
    partition = models.IntegerField()
    offset = models.BigIntegerField()
    producer = models.CharField(max_length=64, blank=True)
    correlation_id = models.CharField(max_length=64, blank=True)
    retracted = models.BooleanField(default=False)
    superseded = models.BooleanField(default=False)
    flags = ArrayField(models.CharField(max_length=80), default=list, blank=True)
    source_rows = ArrayField(models.CharField(max_length=200), default=list, blank=True)

    class Meta:
        abstract = True
        constraints = [
            models.UniqueConstraint(fields=["trial", "topic_id", "partition", "offset"], name="%(class)s_identity"),
        ]
        indexes = [
            models.Index(fields=["patient", "event_time"], name="%(class)s_by_time"),
            models.Index(fields=["patient", "record_key"], name="%(class)s_by_key"),
        ]

    def __str__(self) -> str:
        return f"{self.patient_id} {self.event_time:%Y-%m-%d %H:%M:%S}"


class VitalSigns(ClinicalRecord):
    """One message of vital signs; each sign may be absent. Versions of a record add up sign by sign."""

    topic = "patient-vitals"

    source = models.CharField(max_length=64, blank=True)
    heart_rate = models.FloatField(null=True, blank=True)
    blood_pressure_systolic = models.FloatField(null=True, blank=True)
    blood_pressure_diastolic = models.FloatField(null=True, blank=True)
    temperature = models.FloatField(null=True, blank=True)
    spo2 = models.FloatField(null=True, blank=True)
    respiratory_rate = models.FloatField(null=True, blank=True)
    supplemental_oxygen = models.FloatField(null=True, blank=True)
    consciousness = models.CharField(max_length=1, blank=True)
    weight = models.FloatField(null=True, blank=True)
    height = models.FloatField(null=True, blank=True)
    pulse_pressure = models.FloatField(null=True, blank=True)
    mean_arterial_pressure = models.FloatField(null=True, blank=True)
    quality_score = models.FloatField(null=True, blank=True)

    class Meta(ClinicalRecord.Meta):
        verbose_name_plural = "vital signs"


class LabResult(ClinicalRecord):
    """One laboratory result: as reported, and in the canonical unit where the closed unit table has a rule."""

    topic = "lab-results"

    test_name = models.CharField(max_length=80)
    analyte = models.CharField(max_length=80, blank=True)
    value = models.FloatField(null=True, blank=True, help_text="In the analyte's canonical unit.")
    unit = models.CharField(max_length=40, blank=True)
    low = models.FloatField(null=True, blank=True, help_text="The laboratory's range, in the canonical unit.")
    high = models.FloatField(null=True, blank=True)
    value_reported = models.FloatField(null=True, blank=True)
    unit_reported = models.CharField(max_length=40, blank=True)
    reference_range = models.CharField(max_length=60, blank=True, help_text="As reported.")
    value_text = models.CharField(max_length=200, blank=True)
    lab_id = models.CharField(max_length=64, blank=True)

    class Meta(ClinicalRecord.Meta):
        pass


class Medication(ClinicalRecord):
    """A medicine given, or a study dose. Name and amount reveal the arm: see ``blinding``."""

    topic = "medications"

    drug_name = models.CharField(max_length=200)
    dosage = models.FloatField(null=True, blank=True)
    unit = models.CharField(max_length=40, blank=True)
    route = models.CharField(max_length=60, blank=True)
    frequency = models.CharField(max_length=60, blank=True)
    end_time = models.DateTimeField(null=True, blank=True)
    term = models.CharField(max_length=200, blank=True)
    outcome = models.CharField(max_length=10, blank=True)
    study_dose = models.BooleanField(default=False)

    class Meta(ClinicalRecord.Meta):
        pass


class AdverseEvent(ClinicalRecord):
    """An adverse event from its onset (``event_time``); ``grade`` is the CTCAE grade, 1 to 5."""

    topic = "adverse-events"

    event_type = models.CharField(max_length=200)
    term = models.CharField(max_length=200, blank=True)
    body_system = models.CharField(max_length=200, blank=True)
    grade = models.PositiveSmallIntegerField(null=True, blank=True)
    serious = models.BooleanField(null=True, blank=True)
    causality = models.CharField(max_length=80, blank=True)
    outcome = models.CharField(max_length=80, blank=True)
    reported_by = models.CharField(max_length=80, blank=True)
    report_time = models.DateTimeField(null=True, blank=True)
    end_time = models.DateTimeField(null=True, blank=True)

    class Meta(ClinicalRecord.Meta):
        pass


class ContextRecord(ClinicalRecord):
    """One part of what is known of a patient beside measurements; ``kind`` says which."""

    topic = "patient-context"

    kind = models.CharField(max_length=20)
    age = models.FloatField(null=True, blank=True)
    sex = models.CharField(max_length=1, blank=True)
    race = models.CharField(max_length=200, blank=True)
    ethnicity = models.CharField(max_length=200, blank=True)
    term = models.CharField(max_length=200, blank=True)
    arm_code = models.CharField(max_length=40, blank=True)
    arm_name = models.CharField(max_length=200, blank=True)
    treated = models.BooleanField(null=True, blank=True)
    status = models.CharField(max_length=20, blank=True)
    end_time = models.DateTimeField(null=True, blank=True)

    class Meta(ClinicalRecord.Meta):
        pass
