"""What the pages read, each in a fixed number of queries however many patients there are."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection

from apps.patients.models import Site
from apps.portal.viewer import Viewer
from apps.predictions.models import Prediction
from apps.registry.models import ModelVersion
from ml.clinical.news2 import PARAMETERS

SPARK_SAMPLES = 41
EARLIER = timedelta(hours=4)


#: The newest value of each NEWS2 parameter that the study still takes for fresh: consciousness and oxygen are noted
#: more rarely than pulse and pressure, and a set of signs may hold some of them only.
_NEWEST = "(array_agg({0} ORDER BY event_time DESC) FILTER (WHERE {0}::text <> ''))[1] AS {0}"
#: ``end`` is put in by who asks: the moment as of which the signs count.
SIGNS_IN_FORCE = f"""
    SELECT {", ".join(_NEWEST.format(name) for name in PARAMETERS)}
    FROM patients_vitalsigns
    WHERE patient_id = p.key AND event_time > {{end}} - %(stale)s AND event_time <= {{end}} + interval '60 seconds'
      AND NOT superseded AND NOT retracted"""  # noqa: S608 - only names from a table are put in


@dataclass(frozen=True, slots=True)
class BoardRow:
    """One patient with their newest prediction, the one four hours before it and their newest vital signs."""

    key: str
    patient_id: str
    site_key: str | None
    site_id: str
    timezone: str
    arm: str
    enrolled_at: datetime | None
    prediction_id: UUID | None
    as_of: datetime | None
    probability: float | None
    level: str | None
    reasons: list[str]
    top_factors: list[dict[str, Any]]
    created_at: datetime | None
    earlier_as_of: datetime | None
    earlier_probability: float | None
    earlier_level: str | None
    vital_at: datetime | None
    signs: dict[str, Any]


def board_rows(viewer: Viewer, *, site: str = "", query: str = "") -> list[BoardRow]:
    """Every patient the viewer sees, in one query: three index look-ups a patient, whatever the history's length."""
    where = ["p.trial_id = %(trial)s"]
    given: dict[str, Any] = {
        "trial": viewer.trial.pk,
        "stands": EARLIER + stands_for(viewer),
        "at": viewer.now,
        "now": viewer.now + timedelta(seconds=60),
        "stale": signs_stand(viewer),
    }
    if not viewer.sites.everything:
        where.append("p.site_id = ANY(%(sites)s)")
        given["sites"] = sorted(viewer.sites.keys)
    if site:
        where.append("s.site_id = %(site)s")
        given["site"] = site
    if query:
        where.append("p.patient_id ILIKE %(query)s")
        given["query"] = "%" + query.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
    # signs count as of now; in a finished trial as of the patient's own last score
    end = "%(at)s" if viewer.live else "coalesce(n.as_of, %(at)s)"
    sql = f"""
        SELECT p.key, p.patient_id, p.site_id, coalesce(s.site_id, ''), coalesce(s.timezone, 'UTC'), p.arm_name, p.enrolled_at,
               n.id, n.as_of, n.probability, n.level, n.reasons, n.top_factors, n.created_at,
               e.as_of, e.probability, e.level, v.event_time, {", ".join(f"w.{sign}" for sign in PARAMETERS)}
        FROM patients_patient p
        LEFT JOIN patients_site s ON s.key = p.site_id
        LEFT JOIN LATERAL (
            SELECT * FROM predictions_prediction
            WHERE patient_id = p.key AND as_of <= %(now)s ORDER BY as_of DESC, id DESC LIMIT 1) n ON true
        LEFT JOIN LATERAL (
            SELECT as_of, probability, level FROM predictions_prediction
            WHERE patient_id = p.key AND as_of <= n.as_of - interval '4 hours' AND as_of > n.as_of - %(stands)s
            ORDER BY as_of DESC, id DESC LIMIT 1) e ON true
        LEFT JOIN LATERAL (
            SELECT event_time FROM patients_vitalsigns
            WHERE patient_id = p.key AND event_time <= %(now)s AND NOT superseded AND NOT retracted
            ORDER BY event_time DESC LIMIT 1) v ON true
        LEFT JOIN LATERAL ({SIGNS_IN_FORCE.format(end=end)}) w ON true
        WHERE {" AND ".join(where)} ORDER BY p.patient_id"""  # noqa: S608 - only names from this file are put in
    with connection.cursor() as cursor:
        cursor.execute(sql, given)
        rows = cursor.fetchall()
    return [_board_row(row) for row in rows]


def _board_row(row: tuple[Any, ...]) -> BoardRow:
    values: list[Any] = [*row[:18], dict(zip(PARAMETERS, row[18:], strict=True))]
    values[11], values[12] = values[11] or [], _json(values[12]) or []
    return BoardRow(*values)


def signs_stand(viewer: Viewer) -> timedelta:
    """How long vital signs stand for a patient: the study's own limit."""
    return timedelta(hours=viewer.profile.vitals_stale_hours)


def stands_for(viewer: Viewer) -> timedelta:
    """How long a score stands: it speaks of its horizon, and of nothing later."""
    return timedelta(hours=viewer.profile.horizon_hours)


def signs_in_force(viewer: Viewer, patient: str, last: datetime | None = None) -> dict[str, Any]:
    """The newest fresh value of each NEWS2 parameter of one patient; None where there is none."""
    given: dict[str, Any] = {"patient": patient, "stale": signs_stand(viewer), "end": viewer.moment_of(last)}
    with connection.cursor() as cursor:
        cursor.execute(SIGNS_IN_FORCE.format(end="%(end)s").replace("p.key", "%(patient)s"), given)
        return dict(zip(PARAMETERS, cursor.fetchone(), strict=True))


def _json(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value


def sparks(viewer: Viewer, ends: Mapping[str, datetime], span: timedelta) -> dict[str, list[float | None]]:
    """For each patient the probability in force at 41 equally spaced moments of the span that ends at ``ends``; None =
    none. One query of index look-ups: its cost grows with patients shown, not with predictions kept.
    """
    if not ends:
        return {}
    step = span / (SPARK_SAMPLES - 1)
    sql = """
        SELECT p.key, m.place, n.probability
        FROM unnest(%(patients)s::text[], %(ends)s::timestamptz[]) AS p(key, last)
        CROSS JOIN unnest(%(before)s::interval[]) WITH ORDINALITY AS m(ago, place)
        LEFT JOIN LATERAL (
            SELECT probability FROM predictions_prediction
            WHERE patient_id = p.key AND as_of <= p.last - m.ago AND as_of > p.last - m.ago - %(reach)s
            ORDER BY as_of DESC, id DESC LIMIT 1) n ON true"""
    found: dict[str, list[float | None]] = {key: [None] * SPARK_SAMPLES for key in ends}
    with connection.cursor() as cursor:
        given: dict[str, Any] = {
            "patients": list(ends),
            "ends": list(ends.values()),
            "before": [step * back for back in range(SPARK_SAMPLES - 1, -1, -1)],
            "reach": max(step, stands_for(viewer)),
        }
        cursor.execute(sql, given)
        for key, place, probability in cursor.fetchall():
            found[key][place - 1] = probability
    return found


def pace(trial_id: str) -> tuple[datetime | None, float | None]:
    """When the trial's newest prediction was made, and the mean gap in seconds among its last fifty."""
    made = list(
        Prediction.objects.filter(trial_id=trial_id).order_by("-created_at").values_list("created_at", flat=True)[:50]
    )
    if not made:
        return None, None
    if len(made) < 10:
        return made[0], None
    return made[0], (made[0] - made[-1]).total_seconds() / (len(made) - 1)


def sites(viewer: Viewer) -> list[Site]:
    """The sites the viewer sees, by identifier."""
    found = Site.objects.filter(trial=viewer.trial).order_by("site_id")
    return [site for site in found if site in viewer.sites]


def serving_version(trial_id: str) -> ModelVersion | None:
    """The version that serves the trial now, or None."""
    return ModelVersion.objects.filter(trial_id=trial_id, state__in=("production", "silent")).first()
