"""How right a version was: figures on the labels that matured in the last seven days, as known at a moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
from django.db.models import Min

from apps.monitoring.labels import labels_of
from apps.monitoring.sampling import DAY, Drawn, draw, held_out
from apps.predictions.models import Prediction
from apps.registry.models import ModelVersion
from ml.drift import Reference
from ml.evaluation import Rows, evaluate
from ml.features.table import HOUR
from ml.profile import StudyProfile

WINDOW_DAYS = 7
FEWEST_EVENTS = 10
"""Patient-days with an event, and without one, below which no figure is given."""


@dataclass(frozen=True, slots=True)
class Performance:
    """What is stored of one report; see ``PerformanceReport``."""

    as_of: datetime
    first_day: date
    last_day: date
    rows: int
    patients: int
    events: int
    indeterminate: int
    left_out: Mapping[str, int]
    evaluation: Mapping[str, Any] = field(default_factory=dict)
    reason: str = ""
    retrospective: bool = False


def window(profile: StudyProfile, as_of: int) -> tuple[int, int]:
    """First and last as-of time (seconds) whose labels matured in the seven days that end at ``as_of``."""
    ripens = profile.horizon_hours * HOUR + profile.label_maturity_days * DAY
    return as_of - ripens - WINDOW_DAYS * DAY + 1, as_of - ripens


def measure(
    version: ModelVersion, profile: StudyProfile, reference: Reference | None, as_of: datetime, *, seed: int = 0
) -> Performance:
    """The report of one version as of one moment. Where too few patient-days count, ``reason`` says how many.

    Days since the version was trained are judged alone as soon as they are enough; until then the held-out days before
    them are taken along, and the report is *retrospective*.
    """
    now = int(as_of.timestamp())
    first, last = window(profile, now)
    drawn = draw(version, profile, first, last)
    spared = held_out(drawn, version, reference)
    left_out = {"no prediction that day": drawn.without, "the model learned from this patient": int((~spared).sum())}
    drawn = drawn.take(spared)
    found = labels_of(version.trial_id, drawn.patients, drawn.as_of, profile, known_by=now)
    left_out |= found.left_out()
    drawn, label = drawn.take(found.counts), found.label[found.counts]
    later = drawn.as_of > _limit(version, reference)
    retrospective = not _enough(label[later & np.isfinite(drawn.probability)]) and not later.all()
    if not retrospective and not later.all():
        left_out["before this version served"] = int((~later).sum())
        drawn, label = drawn.take(later), label[later]
    known = np.isfinite(drawn.probability)
    begins, ends = (datetime.fromtimestamp(moment, UTC).date() for moment in (first, last))
    events, rows = int(label[known].sum()), int(known.sum())
    patient = np.unique(drawn.patients, return_inverse=True)[1] if len(drawn.patients) else np.empty(0, np.intp)
    enough = _enough(label[known])
    return Performance(
        as_of=as_of,
        first_day=begins,
        last_day=ends,
        rows=rows,
        patients=len(np.unique(patient[known])),
        events=events,
        indeterminate=int((~known).sum()),
        left_out={reason: count for reason, count in left_out.items() if count},
        evaluation=_figures(drawn, label, patient, known, profile, seed) if enough else {},
        reason="" if enough else _reason(rows, events),
        retrospective=retrospective,
    )


def _figures(
    drawn: Drawn, label: np.ndarray[Any, Any], patient: np.ndarray[Any, Any], known: np.ndarray[Any, Any],
    profile: StudyProfile, seed: int,
) -> dict[str, Any]:  # fmt: skip
    rows = Rows(patient=patient[known], label=label[known], probability=drawn.probability[known])
    return evaluate(rows, simulated=profile.simulated, bands=profile.bands, seed=seed)


def _reason(rows: int, events: int) -> str:
    if not rows:
        return "no patient-day has a mature label in these seven days"
    if events < FEWEST_EVENTS:
        return f"not enough events: {events} of the {FEWEST_EVENTS} that a figure needs, in {rows:,} patient-days"
    return f"not enough days without an event: {rows - events} of {FEWEST_EVENTS}"


def _enough(label: np.ndarray[Any, Any]) -> bool:
    return bool(min(label.sum(), len(label) - label.sum()) >= FEWEST_EVENTS)


def _limit(version: ModelVersion, reference: Reference | None) -> int:
    """Seconds since 1970: of what happened later the version cannot have learned."""
    return reference.known_by if reference is not None else int(version.created_at.timestamp())


def first_due(version: ModelVersion, profile: StudyProfile, reference: Reference | None) -> datetime | None:
    """When the label of the version's first prediction after its training will be mature; None without a prediction."""
    limit = _limit(version, reference)
    rows = Prediction.objects.filter(
        trial_id=version.trial_id, model_version=version, as_of__gt=datetime.fromtimestamp(limit, UTC)
    )
    first: datetime | None = rows.aggregate(first=Min("as_of"))["first"]
    if first is None:
        return None
    return first + timedelta(hours=profile.horizon_hours, days=profile.label_maturity_days)


def missing_days(profile: StudyProfile, now: datetime, done: set[datetime], most: int) -> list[datetime]:
    """The last ``most`` midnights (UTC) before ``now`` as of which there is no report yet, oldest first. None of a
    finished trial: its now stands still."""
    if profile.replay_time is not None:
        return []
    midnight = datetime(now.year, now.month, now.day, tzinfo=UTC)
    days = (midnight - timedelta(days=back) for back in range(most - 1, -1, -1))
    return [day for day in days if day not in done and day < now]
