"""A finished trial is scored anew after every import: of one moment the newest score holds, and only that is drawn."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connection, transaction

from apps.core import clock
from apps.portal import patient_selectors
from apps.predictions.models import Prediction
from ml.profile import StudyProfile
from tests.support import clinic

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 10, 13, 12, 34, 56, tzinfo=UTC)


def test_of_one_moment_the_newest_score_is_shown(valkey: Any) -> None:
    with clock.fixed(NOW):
        ward = clinic.ward(NOW, patients=1, days=2)
        patient = ward.patients[0]
        profile = StudyProfile.from_json(ward.profile_version.body)
        before = list(Prediction.objects.filter(patient=patient).order_by("as_of"))
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL session_replication_role = replica")
            again = [clinic.prediction(ward, patient, 0.5, one.as_of, profile) for one in before[::2]]
            Prediction.objects.bulk_create(again)
        viewer: Any = SimpleNamespace(now=NOW)
        shown = patient_selectors.record(viewer, patient, NOW - timedelta(days=3), NOW).predictions
    assert [one.as_of for one in shown] == [one.as_of for one in before]
    assert [one.pk for one in shown[::2]] == [one.pk for one in again]
    assert [one.pk for one in shown[1::2]] == [one.pk for one in before[1::2]]
