"""Reading trials, profiles, patients and their records."""

from __future__ import annotations

from collections.abc import Mapping

from apps.core.errors import NotFound
from apps.patients.models import Patient, Site, StudyProfileVersion, Trial
from ml.profile import StudyProfile


def trial(trial_id: str) -> Trial:
    """The trial. Raises NotFound."""
    found = Trial.objects.filter(pk=trial_id).first()
    if found is None:
        raise NotFound(f"There is no trial {trial_id}.", cure="Check its identifier.", code="unknown_trial")
    return found


def profile_version(trial_id: str) -> StudyProfileVersion:
    """The newest version of the trial's profile. Raises NotFound where it has none."""
    found = StudyProfileVersion.objects.filter(trial_id=trial_id).order_by("-version").first()
    if found is None:
        raise NotFound(f"Trial {trial_id} has no study profile.", cure="Publish one.", code="no_profile")
    return found


def profile(trial_id: str, *, version: int | None = None) -> StudyProfile:
    """The trial's profile, the newest or that version. Raises NotFound."""
    if version is None:
        return StudyProfile.from_json(profile_version(trial_id).body)
    found = StudyProfileVersion.objects.filter(trial_id=trial_id, version=version).first()
    if found is None:
        raise NotFound(f"Trial {trial_id} has no study profile of version {version}.", code="no_profile")
    return StudyProfile.from_json(found.body)


def profiles() -> Mapping[str, StudyProfile]:
    """The newest profile of every trial that has one, by trial identifier."""
    newest = StudyProfileVersion.objects.order_by("trial_id", "-version").distinct("trial_id")
    return {row.trial_id: StudyProfile.from_json(row.body) for row in newest}


def patient(trial_id: str, patient_id: str) -> Patient:
    """A patient of a trial. Raises NotFound, in the same words whether or not the trial exists."""
    found = Patient.objects.select_related("site", "trial").filter(trial_id=trial_id, patient_id=patient_id).first()
    if found is None:
        raise NotFound(
            f"There is no patient {patient_id} in trial {trial_id}.", cure="Check the identifier.", code="unknown_patient"
        )
    return found


def sites(trial_id: str) -> list[Site]:
    """The trial's sites, by identifier."""
    return list(Site.objects.filter(trial_id=trial_id).order_by("site_id"))


def live_trial_ids() -> list[str]:
    """The trials whose now is the clock: those that scheduled jobs work on."""
    return sorted(trial_id for trial_id, found in profiles().items() if found.replay_date is None)
