"""Which predictions are judged: one of each patient and UTC day.

A live trial scores a patient hundreds of times a day; were all judged, a patient measured often would count often. So of
each patient-day that one counts which follows the moment drawn by hash of patient and day, the same moment that training
takes its rows at (``ml.labels.as_of_times``); where none follows it that day, the last one before it. Who was scored, and
what came of it, has no say in the choice.

A day counts as held out only if the model cannot have learned from it: it lies behind the labels it was trained with, or
the patient was in no training part of its split.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from django.db import connection
from numpy.typing import NDArray

from apps.core.lake import lake
from apps.patients.models import Patient
from apps.registry.models import ModelVersion
from ml.drift import Reference
from ml.features import NAMES, from_bytes
from ml.labels import as_of_times
from ml.profile import StudyProfile

DAY = 86_400
HELD_OUT = ("validation", "test")
"""Parts of the split whose rows set no weight of the network."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """n patient-days with a prediction. ``as_of`` seconds since 1970; ``probability`` NaN = indeterminate;
    ``without`` counts the patient-days that had none."""

    patients: tuple[str, ...]
    as_of: NDArray[np.int64]
    probability: NDArray[np.float64]
    without: int

    def take(self, rows: NDArray[np.bool_]) -> Drawn:
        """The chosen rows."""
        chosen = np.flatnonzero(rows).tolist()
        return Drawn(
            tuple(self.patients[row] for row in chosen), self.as_of[rows], self.probability[rows], self.without
        )


_DRAW = """
    SELECT a.patient, coalesce(n.as_of, b.as_of), CASE WHEN n.as_of IS NULL THEN b.probability ELSE n.probability END
    FROM unnest(%(patients)s::text[], %(moments)s::timestamptz[], %(begins)s::timestamptz[], %(ends)s::timestamptz[])
         AS a(patient, moment, day_begins, day_ends)
    LEFT JOIN LATERAL (
        SELECT as_of, probability FROM predictions_prediction
        WHERE patient_id = a.patient AND as_of >= a.moment AND as_of < a.day_ends AND model_version_id = %(version)s
        ORDER BY as_of, id LIMIT 1) n ON true
    LEFT JOIN LATERAL (
        SELECT as_of, probability FROM predictions_prediction
        WHERE n.as_of IS NULL AND patient_id = a.patient AND as_of < a.moment AND as_of >= a.day_begins
              AND model_version_id = %(version)s
        ORDER BY as_of DESC, id DESC LIMIT 1) b ON true"""


def draw(version: ModelVersion, profile: StudyProfile, first: int, last: int) -> Drawn:
    """One prediction of ``version`` for each patient-day whose drawn moment t has first <= t <= last (seconds)."""
    patients = tuple(
        Patient.objects.filter(trial_id=version.trial_id).order_by("patient_id").values_list("key", flat=True)
    )
    who, when = as_of_times(profile, patients, first, last)
    if not len(who):
        return Drawn((), np.empty(0, np.int64), np.empty(0), 0)
    begins = when - when % DAY
    given: dict[str, Any] = {
        "patients": [patients[number] for number in who.tolist()],
        "moments": [_moment(time) for time in when.tolist()],
        "begins": [_moment(time) for time in begins.tolist()],
        "ends": [_moment(time + DAY) for time in begins.tolist()],
        "version": version.pk,
    }
    with connection.cursor() as cursor:
        cursor.execute(_DRAW, given)
        rows = cursor.fetchall()
    there = [row for row in rows if row[1] is not None]
    return Drawn(
        patients=tuple(row[0] for row in there),
        as_of=np.array([int(row[1].timestamp()) for row in there], np.int64),
        # an indeterminate answer at the drawn moment counts as such; it is not replaced by an earlier one
        probability=np.array([np.nan if row[2] is None else row[2] for row in there], np.float64),
        without=len(rows) - len(there),
    )


def reference_of(version: ModelVersion) -> Reference | None:
    """What was kept of the training; None for a version of before anything was kept. Raises ValueError where altered."""
    digests = (version.metrics or {}).get("reference") or {}
    return Reference.load(lake(), version.bundle_path, tuple(NAMES), digests)


def held_out(drawn: Drawn, version: ModelVersion, reference: Reference | None) -> NDArray[np.bool_]:
    """Which rows the version cannot have learned from."""
    if reference is None:
        return drawn.as_of > int(version.created_at.timestamp())
    spared: Collection[str] = reference.held_out(*HELD_OUT)
    later: NDArray[np.bool_] = drawn.as_of > reference.known_by
    return later | np.array([name in spared for name in drawn.patients], np.bool_)


_VECTORS = """
    SELECT a.patient, coalesce(n.features, b.features)
    FROM unnest(%(patients)s::text[], %(moments)s::timestamptz[]) AS a(patient, moment)
    LEFT JOIN LATERAL (
        SELECT features FROM predictions_prediction
        WHERE patient_id = a.patient AND as_of >= a.moment AND as_of <= %(now)s AND as_of < a.moment + interval '1 hour'
        ORDER BY as_of, id LIMIT 1) n ON true
    LEFT JOIN LATERAL (
        SELECT features FROM predictions_prediction
        WHERE n.features IS NULL AND patient_id = a.patient AND as_of < a.moment AND as_of > a.moment - interval '1 day'
        ORDER BY as_of DESC, id DESC LIMIT 1) b ON true
    WHERE n.features IS NOT NULL OR b.features IS NOT NULL
    ORDER BY a.patient, a.moment"""


def recent_vectors(trial_id: str, profile: StudyProfile, now: datetime, days: int) -> tuple[NDArray[np.float32], int]:
    """The feature vectors of the last ``days`` times 24 hours, float32 [m, 120], and of how many patients.

    One a patient-day, at the moments that training draws too: the newest of all would be of one hour of the day, and
    the body's own daily rhythm would look like drift.
    """
    patients = tuple(Patient.objects.filter(trial_id=trial_id).order_by("patient_id").values_list("key", flat=True))
    end = int(now.timestamp())
    who, when = as_of_times(profile, patients, end - days * DAY + 1, end)
    with connection.cursor() as cursor:
        cursor.execute(
            _VECTORS,
            {
                "patients": [patients[number] for number in who.tolist()],
                "moments": [_moment(time) for time in when.tolist()],
                "now": now,
            },
        )
        rows = cursor.fetchall()
    if not rows:
        return np.empty((0, len(NAMES)), np.float32), 0
    return np.stack([from_bytes(bytes(features)) for _, features in rows]), len({patient for patient, _ in rows})


def _moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
