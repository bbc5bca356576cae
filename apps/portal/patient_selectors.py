"""What the patient page reads: a fixed number of queries, each bounded by the window shown."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Max, Min, Q

from apps.patients.models import AdverseEvent, LabResult, Medication, Patient, VitalSigns
from apps.portal.viewer import Viewer
from apps.predictions.models import Prediction
from ml.contracts.signs import SIGN_BY_NAME

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


def prediction_before(viewer: Viewer, patient: Patient, moment: datetime) -> Prediction | None:
    """The score in force at a moment: not older then than the horizon it speaks of."""
    oldest = moment - timedelta(hours=viewer.profile.horizon_hours)
    found = Prediction.objects.filter(patient=patient, as_of__lte=moment, as_of__gt=oldest)
    return found.order_by("-as_of", "-id").first()


def newest_vitals(viewer: Viewer, patient: Patient, at: datetime) -> VitalSigns | None:
    """The newest set of vital signs at a moment."""
    return VitalSigns.objects.filter(_known(viewer, at), patient=patient).order_by("-event_time").first()


def newest_by_analyte(viewer: Viewer, patient: Patient, at: datetime) -> dict[str, LabResult]:
    """The newest result of every analyte at a moment, in one query."""
    found = LabResult.objects.filter(_known(viewer, at), patient=patient).exclude(analyte="")
    found = found.order_by("analyte", "-event_time")
    return {row.analyte: row for row in found.distinct("analyte")}


def first_dose(viewer: Viewer, patient: Patient) -> datetime | None:
    """When the first study dose was taken: day 1."""
    doses = Medication.objects.filter(_known(viewer), patient=patient, study_dose=True).exclude(outcome="missed")
    found: datetime | None = doses.aggregate(first=Min("event_time"))["first"]
    return found


def span(viewer: Viewer, patient: Patient) -> tuple[datetime | None, datetime | None]:
    """First and last moment of what was recorded of the patient in the study. A medicine or condition of before it
    moves neither: it may have begun decades ago."""
    known = Q(patient=patient) & _known(viewer)
    both = {"first": Min("event_time"), "last": Max("event_time")}
    found = [
        VitalSigns.objects.filter(known).aggregate(**both),
        LabResult.objects.filter(known).aggregate(**both),
        AdverseEvent.objects.filter(known).aggregate(last=Max("event_time"), end=Max("end_time")),
        Medication.objects.filter(known, study_dose=True).aggregate(**both, end=Max("end_time")),
    ]
    moments = [min(moment, viewer.now) for ends in found for moment in ends.values() if moment is not None]
    if patient.enrolled_at:
        moments.append(patient.enrolled_at)
    return (min(moments), max(moments)) if moments else (None, None)


def record(viewer: Viewer, patient: Patient, start: datetime, end: datetime) -> Record:
    """The record within [start, end]: five queries. What lasts (medicines, events) counts if it overlaps."""
    known = _known(viewer)
    during = Q(event_time__gte=start, event_time__lte=end)
    lasting = Q(event_time__lte=end) & (Q(event_time__gte=start) | Q(end_time__isnull=True) | Q(end_time__gte=start))
    # a study dose without an end is a moment, not a treatment that goes on
    taken = lasting & ~Q(study_dose=True, end_time__isnull=True, event_time__lt=start)
    return Record(
        predictions=list(
            Prediction.objects.filter(
                patient=patient, as_of__gte=start, as_of__lte=min(end, viewer.now + timedelta(seconds=60))
            )
            .select_related("model_version")
            .only("as_of", "probability", "level", "model_version__version", "model_version__name", "source")
            # a finished trial is scored anew after each import: of one moment the newest score holds
            .order_by("as_of", "-id")
            .distinct("as_of")[:MOST_ROWS]
        ),
        vitals=list(
            VitalSigns.objects.filter(known, during, patient=patient)
            .only("event_time", "source", "producer", *SIGN_BY_NAME)
            .order_by("event_time")[:MOST_ROWS]
        ),
        labs=list(LabResult.objects.filter(known, during, patient=patient).order_by("event_time")[:MOST_ROWS]),
        medications=list(Medication.objects.filter(known, taken, patient=patient).order_by("event_time")[:MOST_ROWS]),
        events=list(AdverseEvent.objects.filter(known, lasting, patient=patient).order_by("event_time")[:MOST_ROWS]),
    )


def _known(viewer: Viewer, at: datetime | None = None) -> Q:
    """The version of each record that holds, of what had happened at the study's now, or ``at``."""
    return Q(superseded=False, retracted=False, event_time__lte=(at or viewer.now) + timedelta(seconds=60))
