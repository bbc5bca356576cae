"""What a new study's profile may begin from, as a table. Every field can be changed before it is published."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ml.profile import StudyProfile


@dataclass(frozen=True, slots=True)
class Start:
    """One template: ``values`` are the fields in which it differs from the plain profile."""

    name: str
    title: str
    doc: str
    values: Mapping[str, Any]


STARTS: dict[str, Start] = {
    start.name: start
    for start in (
        Start(
            "ward",
            "Fast: a ward with monitors",
            "Vital signs every few minutes; a score at most once a minute; events are recorded within three days.",
            {"cadence_seconds": 60, "vitals_stale_hours": 6.0, "baseline_days": 28, "label_maturity_days": 3},
        ),
        Start(
            "outpatient",
            "Slow: visits to a clinic",
            "A visit every few weeks; a score at most once an hour; most events are recorded weeks late, so labels ripen "
            "for 60 days.",
            {"cadence_seconds": 3600, "vitals_stale_hours": 45 * 24.0, "baseline_days": 28, "label_maturity_days": 60},
        ),
    )
}


def first_profile(trial_id: str, start: str) -> StudyProfile:
    """Version 1 for a new trial with real patients. KeyError for a start that is none."""
    return StudyProfile(trial_id=trial_id, version=1, simulated=False, blinded=True, live=True, **STARTS[start].values)
