"""Which records have an audit pop-up, who may open it, and what of it a blinded reader is shown: one table.

The trail holds values of every blinding class. A field whose class is not known counts as revealing the arm: a new one
is hidden until somebody has classed it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from django.core.exceptions import ObjectDoesNotExist
from django.db.models import QuerySet

from apps.accounts import permissions
from apps.audit.models import AuditEvent
from apps.core.errors import NotFound
from apps.ingestion.models import ImportRun
from apps.patients.blinding import CLASSES
from apps.patients.models import Patient
from apps.pipelines.models import JobRun
from apps.portal.viewer import Viewer
from apps.predictions.models import Prediction
from apps.registry.models import ModelVersion
from ml.contracts.columns import Blinding

Find = Callable[[str, str], tuple[str, str | None]]
"""(trial, object id) → what a person calls it, and its site; raises LookupError where the trial has none of that id."""
UNKNOWN: Blinding = "arm"


@dataclass(frozen=True, slots=True)
class Kind:
    """One type of record. ``classes``: tables of ``blinding.CLASSES`` that its events' fields are looked up in; empty
    where nothing in it is about one patient. ``platform``: its events may belong to no trial."""

    object_type: str
    label: str
    permission: str
    find: Find
    classes: tuple[str, ...] = ()
    platform: bool = False

    def class_of(self, field: str) -> Blinding:
        """The class of a field of an event, of nested ones by their first name."""
        if not self.classes:
            return "open"
        name = field.partition(".")[0]
        found = [CLASSES[table][name] for table in self.classes if name in CLASSES.get(table, {})]
        return max(found, key=("open", "personal", "arm").index, default=UNKNOWN)


def _patient(trial: str, object_id: str) -> tuple[str, str | None]:
    found = Patient.objects.get(trial=trial, pk=object_id)
    return found.patient_id, found.site_id


def _prediction(trial: str, object_id: str) -> tuple[str, str | None]:
    found = Prediction.objects.select_related("patient").get(trial=trial, pk=UUID(object_id))
    return found.patient.patient_id, found.patient.site_id


def _version(trial: str, object_id: str) -> tuple[str, str | None]:
    found = ModelVersion.objects.get(trial=trial, pk=object_id)
    return f"{found.name} {found.version}", None


def _run(trial: str, object_id: str) -> tuple[str, str | None]:
    found = JobRun.objects.get(pk=UUID(object_id))
    if found.trial_id not in (None, trial):
        raise JobRun.DoesNotExist
    return found.job.replace("_", " "), None


def _import(trial: str, object_id: str) -> tuple[str, str | None]:
    return ImportRun.objects.get(trial=trial, pk=UUID(object_id)).source.rstrip("/").rpartition("/")[2], None


def _in_trail(object_type: str) -> Find:
    """Of a kind that has no page of its own: known where the trial's trail tells of it."""

    def find(trial: str, object_id: str) -> tuple[str, str | None]:
        if not AuditEvent.objects.filter(object_type=object_type, object_id=object_id, trial=trial).exists():
            raise LookupError
        return object_id, None

    return find


# fmt: off
KINDS: dict[str, Kind] = {
    kind.object_type: kind
    for kind in (
        Kind("patients.Patient", "Patient", "view_patient", _patient, ("patients.Patient", "patients.ContextRecord")),
        Kind("predictions.Prediction", "Prediction", "view_predictions", _prediction, ("predictions.Prediction",)),
        Kind("registry.ModelVersion", "Model version", "view_models", _version),
        Kind("pipelines.JobRun", "Run", "view_jobs", _run, platform=True),
        Kind("ingestion.ImportRun", "Import", "view_imports", _import),
        Kind("patients.Trial", "Trial", "view_study", _in_trail("patients.Trial")),
        Kind("patients.Site", "Site", "view_study", _in_trail("patients.Site")),
        Kind("patients.StudyProfileVersion", "Study profile", "view_study", _in_trail("patients.StudyProfileVersion")),
        Kind("ingestion.DeadLetter", "Refused message", "view_data_quality", _in_trail("ingestion.DeadLetter"), ("ingestion.DeadLetter",)),
    )
}
# fmt: on


@dataclass(frozen=True, slots=True)
class Found:
    """A record that this viewer may open, with its events, newest first."""

    kind: Kind
    name: str
    site: str | None
    events: QuerySet[AuditEvent]


def open_record(viewer: Viewer, object_type: str, object_id: str) -> Found:
    """The record's events. Raises NotFound, Forbidden; an auditor may open every kind."""
    trial = str(viewer.trial.pk)
    kind = KINDS.get(object_type)
    missing = NotFound("There is no such record in this trial.", cure="Go back to where you came from.")
    if kind is None:
        permissions.check(viewer.user, "view_audit", trial=trial)
        kind = Kind(object_type, object_type, "view_audit", _in_trail(object_type), ("",))
    if not permissions.may_somewhere(viewer.user, kind.permission, trial=trial):
        permissions.check(viewer.user, kind.permission, trial=trial)  # before looking: a refusal tells nothing of it
    try:
        name, site = kind.find(trial, object_id)
    except (LookupError, ValueError, ObjectDoesNotExist) as error:
        raise missing from error
    permissions.check(viewer.user, kind.permission, trial=trial, site=site)
    events = AuditEvent.objects.filter(object_type=object_type, object_id=object_id).select_related("sequence")
    events = events.filter(trial__in=(trial, "")) if kind.platform else events.filter(trial=trial)
    return Found(kind, name, site, events.order_by("-id"))
