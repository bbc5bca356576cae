"""Trials, their profiles, sites and patients. The clinical record itself is in ``records``."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Concat

from apps.core import clock
from apps.core.ids import uuid7
from apps.core.models import BaseModel, InsertOnly
from apps.patients.records import (
    AdverseEvent,
    ClinicalRecord,
    ContextRecord,
    LabResult,
    Medication,
    VitalSigns,
)

__all__ = [
    "AdverseEvent",
    "Arm",
    "ClinicalRecord",
    "ContextRecord",
    "LabResult",
    "Medication",
    "Patient",
    "Site",
    "StudyProfileVersion",
    "Trial",
    "VitalSigns",
]


class Trial(models.Model):
    """A clinical trial. Its identifier is its key and has no slash, so that "trial/patient" is read in one way only."""

    trial_id = models.CharField(max_length=64, primary_key=True)
    name = models.CharField(max_length=200)
    simulated = models.BooleanField(default=False)
    created_at = models.DateTimeField(default=clock.now, editable=False)

    class Meta:
        ordering = ["trial_id"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(trial_id__regex=r"^[A-Za-z0-9][A-Za-z0-9._:-]*$"), name="trial_id_plain"
            )
        ]

    def __str__(self) -> str:
        return self.name


class StudyProfileVersion(InsertOnly):
    """One immutable version of a trial's study profile; ``digest`` is that of ``ml.profile.StudyProfile``."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    trial = models.ForeignKey(Trial, on_delete=models.PROTECT, related_name="profiles")
    version = models.PositiveIntegerField()
    body = models.JSONField()
    digest = models.CharField(max_length=64)
    created_at = models.DateTimeField(default=clock.now, editable=False)
    created_by = models.CharField(max_length=200)
    reason = models.TextField(blank=True)

    class Meta:
        ordering = ["trial", "-version"]
        constraints = [models.UniqueConstraint(fields=["trial", "version"], name="profile_version_once")]

    def __str__(self) -> str:
        return f"{self.trial_id} profile {self.version}"


class Site(models.Model):
    """A site of a trial. ``key`` is "trial/site"; ``timezone`` an IANA name, for local times on its pages.

    A closed site (``closed_at``) keeps its patients and its people; nobody new is given a role there.
    """

    key = models.CharField(max_length=130, primary_key=True)
    trial = models.ForeignKey(Trial, on_delete=models.PROTECT, related_name="sites")
    site_id = models.CharField(max_length=64)
    name = models.CharField(max_length=200, blank=True)
    timezone = models.CharField(max_length=64, default="UTC")
    created_at = models.DateTimeField(default=clock.now, editable=False)
    closed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["trial", "site_id"]
        constraints = [
            models.UniqueConstraint(fields=["trial", "site_id"], name="site_once_per_trial"),
            models.CheckConstraint(
                condition=models.Q(key=Concat("trial_id", models.Value("/"), "site_id")), name="site_key_of_its_parts"
            ),
        ]

    def __str__(self) -> str:
        return self.name or self.site_id


class Arm(BaseModel):
    """An arm as the study was set up; ``code`` is what context events say. Which patient is in which arm is the events'.

    A withdrawn arm was set up by mistake or is no longer used: an event that names it is pointed out like an unknown one.
    """

    trial = models.ForeignKey(Trial, on_delete=models.PROTECT, related_name="arms")
    code = models.CharField(max_length=40)
    name = models.CharField(max_length=200)
    withdrawn_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["trial", "code"]
        constraints = [models.UniqueConstraint(fields=["trial", "code"], name="arm_once_per_trial")]

    def __str__(self) -> str:
        return self.code


class Patient(models.Model):
    """A subject of a trial, as the context events describe it. ``key`` is "trial/patient".

    Everything here is projected from ``patient-context`` and can be rebuilt from bronze; a change made in the portal
    travels as an event and arrives here like any other.
    """

    class Sex(models.TextChoices):
        FEMALE = "F", "Female"
        MALE = "M", "Male"
        UNKNOWN = "U", "Unknown"

    class Status(models.TextChoices):
        ENROLLED = "", "Enrolled"
        COMPLETED = "completed", "Completed"
        WITHDRAWN = "withdrawn", "Withdrawn"
        DIED = "died", "Died"
        SCREEN_FAILURE = "screen_failure", "Screen failure"
        LOST = "lost", "Lost to follow-up"

    key = models.CharField(max_length=130, primary_key=True)
    trial = models.ForeignKey(Trial, on_delete=models.PROTECT, related_name="patients")
    patient_id = models.CharField(max_length=64)
    site = models.ForeignKey(Site, on_delete=models.PROTECT, related_name="patients", null=True, blank=True)
    enrolled_at = models.DateTimeField(null=True, blank=True)
    age = models.FloatField(null=True, blank=True, help_text="At enrolment, years.")
    sex = models.CharField(max_length=1, choices=Sex.choices, blank=True)
    race = models.CharField(max_length=200, blank=True)
    ethnicity = models.CharField(max_length=200, blank=True)
    arm_code = models.CharField(max_length=40, blank=True)
    arm_name = models.CharField(max_length=200, blank=True)
    treated = models.BooleanField(null=True, blank=True)
    status = models.CharField(max_length=20, choices=Status.choices, blank=True)
    status_at = models.DateTimeField(null=True, blank=True)
    status_term = models.CharField(max_length=200, blank=True)
    known_since = models.DateTimeField(null=True, blank=True, help_text="Known time of the first context event.")
    created_at = models.DateTimeField(default=clock.now, editable=False)

    class Meta:
        ordering = ["trial", "patient_id"]
        constraints = [
            models.UniqueConstraint(fields=["trial", "patient_id"], name="patient_once_per_trial"),
            models.CheckConstraint(
                condition=models.Q(key=Concat("trial_id", models.Value("/"), "patient_id")),
                name="patient_key_of_its_parts",
            ),
        ]
        indexes = [models.Index(fields=["trial", "site"], name="patient_by_site")]

    def __str__(self) -> str:
        return self.patient_id
