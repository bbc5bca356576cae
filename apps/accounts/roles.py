"""The roles, as a table. What each may do is in ``permissions``."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Role:
    """One role. ``unblinded``: sees what reveals the treatment arm while a study is blinded. ``by_site``: a grant may
    be limited to one site. ``every_trial``: a grant without a trial is allowed. ``staff``: may enter the admin."""

    name: str
    label: str
    doc: str
    unblinded: bool
    by_site: bool = False
    every_trial: bool = False
    staff: bool = False


COORDINATOR = "coordinator"
SAFETY_REVIEWER = "safety_reviewer"
ML_ENGINEER = "ml_engineer"
MODEL_APPROVER = "model_approver"
AUDITOR = "auditor"
ADMINISTRATOR = "administrator"

ROLES: dict[str, Role] = {
    role.name: role
    for role in (
        Role(COORDINATOR, "Clinical coordinator", "Watches the patients of their sites and acts on alerts.", unblinded=False, by_site=True),
        Role(SAFETY_REVIEWER, "Safety reviewer", "Reviews the safety of a trial's patients, blinded as its sites are.", unblinded=False,
             by_site=True),
        Role(ML_ENGINEER, "ML engineer", "Runs jobs, trains and registers models.", unblinded=True, every_trial=True, staff=True),
        Role(MODEL_APPROVER, "Model approver", "Signs for a model; sees evaluations, never one patient's arm.", unblinded=False,
             every_trial=True, staff=True),
        Role(AUDITOR, "Auditor", "Reads everything, changes nothing.", unblinded=True, every_trial=True, staff=True),
        Role(ADMINISTRATOR, "Administrator", "Keeps trials, sites, people, roles and keys.", unblinded=True, every_trial=True, staff=True),
    )
}  # fmt: skip
