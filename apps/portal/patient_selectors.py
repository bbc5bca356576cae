"""What the patient page reads: a fixed number of queries, each bounded by the window shown."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Max, Min, Q

from apps.patients.models import AdverseEvent, LabResult, Medication, Patient, VitalSigns
from apps.portal.viewer import Viewer
from apps.predictions.models import Prediction

#: No panel reads more rows than this; beyond it the sentence says that it is cut.
MOST_ROWS = 20_000


@dataclass(frozen=True, slots=True)
class Record:
    """Everything of one patient that falls into a window, oldest first, and what stands before it."""

    predictions: list[Prediction]
    vitals: list[VitalSigns]
    labs: list[LabResult]
    medications: list[Medication]
    events: list[AdverseEvent]


def newest_prediction(viewer: Viewer, patient: Patient) -> Prediction | None:
    """The score in force now, with its model."""
    limit = viewer.now + timedelta(seconds=60)
    found = Prediction.objects.filter(patient=patient, as_of__lte=limit).select_related(
        "model_version", "profile_version"
    )
    return found.order_by("-as_of", "-id").first()


def prediction_before(patient: Patient, moment: datetime) -> Prediction | None:
    """The score in force at a moment, not older than two days then."""
    found = Prediction.objects.filter(patient=patient, as_of__lte=moment, as_of__gt=moment - timedelta(days=2))
    return found.order_by("-as_of", "-id").first()


def newest_vitals(viewer: Viewer, patient: Patient) -> VitalSigns | None:
    """The newest set of vital signs."""
    return VitalSigns.objects.filter(_known(viewer), patient=patient).order_by("-event_time").first()


def newest_by_analyte(viewer: Viewer, patient: Patient) -> dict[str, LabResult]:
    """The newest result of every analyte, in one query."""
    found = (
        LabResult.objects.filter(_known(viewer), patient=patient).exclude(analyte="").order_by("analyte", "-event_time")
    )
    return {row.analyte: row for row in found.distinct("analyte")}


def first_dose(viewer: Viewer, patient: Patient) -> datetime | None:
    """When the first study dose was taken: day 1."""
    doses = Medication.objects.filter(_known(viewer), patient=patient, study_dose=True).exclude(outcome="missed")
    found: datetime | None = doses.aggregate(first=Min("event_time"))["first"]
    return found


def span(viewer: Viewer, patient: Patient) -> tuple[datetime | None, datetime | None]:
    """First and last moment of anything recorded of the patient."""
    moments: list[datetime] = []
    for model in (VitalSigns, LabResult):
        found = model.objects.filter(_known(viewer), patient=patient).aggregate(
            first=Min("event_time"), last=Max("event_time")
        )
        moments += [moment for moment in found.values() if moment is not None]
    if patient.enrolled_at:
        moments.append(patient.enrolled_at)
    return (min(moments), max(moments)) if moments else (None, None)


def record(viewer: Viewer, patient: Patient, start: datetime, end: datetime) -> Record:
    """The record within [start, end]: five queries. What lasts (medicines, events) counts if it overlaps."""
    known = _known(viewer)
    during = Q(event_time__gte=start, event_time__lte=end)
    lasting = Q(event_time__lte=end) & (Q(event_time__gte=start) | Q(end_time__isnull=True) | Q(end_time__gte=start))
    return Record(
        predictions=list(
            Prediction.objects.filter(
                patient=patient, as_of__gte=start, as_of__lte=min(end, viewer.now + timedelta(seconds=60))
            )
            .select_related("model_version")
            .only("as_of", "probability", "level", "model_version__version", "model_version__name", "source")
            .order_by("as_of", "id")[:MOST_ROWS]
        ),
        vitals=list(VitalSigns.objects.filter(known, during, patient=patient).order_by("event_time")[:MOST_ROWS]),
        labs=list(LabResult.objects.filter(known, during, patient=patient).order_by("event_time")[:MOST_ROWS]),
        medications=list(Medication.objects.filter(known, lasting, patient=patient).order_by("event_time")[:MOST_ROWS]),
        events=list(AdverseEvent.objects.filter(known, lasting, patient=patient).order_by("event_time")[:MOST_ROWS]),
    )


def _known(viewer: Viewer) -> Q:
    """The version of each record that holds, as far as it was known at the study's now."""
    return Q(superseded=False, retracted=False, event_time__lte=viewer.now + timedelta(seconds=60))
