"""The courses a role asks for, as tables (21 CFR 11.10(i): who uses the system has the training for it).

A role is given only to who has current records of its courses, and who holds a role with a lapsed course does not sign.
"""

from __future__ import annotations

from dataclasses import dataclass

from apps.accounts.roles import (
    ADMINISTRATOR,
    AUDITOR,
    COORDINATOR,
    ML_ENGINEER,
    MODEL_APPROVER,
    SAFETY_REVIEWER,
)


@dataclass(frozen=True, slots=True)
class Course:
    """One course. ``valid_days``: how long a completion counts, None = for ever."""

    name: str
    title: str
    doc: str
    valid_days: int | None


GCP = "gcp"
PORTAL = "portal"
SAFETY = "safety"
BLINDING = "blinding"
SIGNATURES = "signatures"
MODELS = "models"
ADMINISTRATION = "administration"
AUDITING = "auditing"

COURSES: dict[str, Course] = {
    course.name: course
    for course in (
        Course(GCP, "Good clinical practice", "ICH E6(R3): duties of site, sponsor and monitor.", 3 * 365),
        Course(PORTAL, "Reading risk scores", "Levels, horizon, reasons, and what a score is not for.", 2 * 365),
        Course(SAFETY, "Safety reporting", "Seriousness, causality, CTCAE grades and the deadlines of reports.", 2 * 365),
        Course(BLINDING, "Keeping the blind", "What reveals an arm, and what to do once it is revealed.", 2 * 365),
        Course(SIGNATURES, "Electronic signatures", "What a signature binds; 21 CFR 11.50 to 11.300.", 2 * 365),
        Course(MODELS, "Models and their limits", "Gates, calibration, subgroups, drift, intended use.", 2 * 365),
        Course(ADMINISTRATION, "Accounts and study set-up", "Identity, roles, study profiles, least privilege.", 2 * 365),
        Course(AUDITING, "The audit trail", "What it holds, how it is sealed, how a copy is checked.", 3 * 365),
    )
}  # fmt: skip

#: role -> the courses it asks for
REQUIRED: dict[str, tuple[str, ...]] = {
    COORDINATOR: (GCP, PORTAL, BLINDING),
    SAFETY_REVIEWER: (GCP, PORTAL, SAFETY, BLINDING),
    ML_ENGINEER: (GCP, MODELS, BLINDING),
    MODEL_APPROVER: (GCP, MODELS, SIGNATURES),
    AUDITOR: (GCP, AUDITING),
    ADMINISTRATOR: (GCP, ADMINISTRATION, BLINDING),
}
