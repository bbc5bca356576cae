"""Reading trials, profiles, patients and their records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.db.models import F, Min, Window
from django.db.models.expressions import OrderBy
from django.db.models.functions import RowNumber

from apps.accounts import permissions
from apps.accounts.models import User
from apps.core.errors import NotFound
from apps.patients.models import (
    ClinicalRecord,
    Medication,
    Patient,
    Site,
    StudyProfileVersion,
    Trial,
    VitalSigns,
)
from ml.contracts.signs import SIGNS
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


def profiles_published() -> int:
    """How many profile versions there are. None is ever changed or deleted: another number means a new version."""
    return StudyProfileVersion.objects.count()


def patient(trial_id: str, patient_id: str) -> Patient:
    """A patient of a trial. Raises NotFound, in the same words whether or not the trial exists."""
    found = Patient.objects.select_related("site", "trial").filter(trial_id=trial_id, patient_id=patient_id).first()
    if found is None:
        raise NotFound(
            f"There is no patient {patient_id} in trial {trial_id}.",
            cure="Check the identifier.",
            code="unknown_patient",
        )
    return found


def sites(trial_id: str) -> list[Site]:
    """The trial's sites, by identifier."""
    return list(Site.objects.filter(trial_id=trial_id).order_by("site_id"))


def live_trial_ids() -> list[str]:
    """The trials whose now is the clock: those that scheduled jobs work on."""
    return sorted(trial_id for trial_id, found in profiles().items() if found.replay_date is None)


def newest_first() -> list[OrderBy]:
    """The order of a record's versions: (known_time, epoch, offset), the one that holds first."""
    return [F("known_time").desc(), F("epoch").desc(), F("offset").desc()]


def as_known(model: type[ClinicalRecord], patient_key: str, moment: datetime) -> list[Any]:
    """The patient's records as they were known at ``moment``: of each the version that held then, oldest event first.

    Both times of a version are <= ``moment``; a record whose holding version is retracted is not there. Not for vital
    signs, which add up sign by sign: see ``vitals_as_known``.
    """
    if model is VitalSigns:
        raise TypeError("Vital signs add up sign by sign: ask vitals_as_known.")
    rank = Window(RowNumber(), partition_by=[F("record_key")], order_by=newest_first())
    known = model._default_manager.filter(patient_id=patient_key, event_time__lte=moment, known_time__lte=moment)
    newest = known.annotate(version_rank=rank).filter(version_rank=1).order_by("event_time", "id")
    # Not in the filter: Django would take retracted versions away before they are ranked, and the one before would hold.
    return [row for row in newest if not row.retracted]


@dataclass(frozen=True, slots=True)
class Vitals:
    """One set of vital signs as it was known: event time, source, and the value of each sign that has one."""

    record_key: int
    event_time: datetime
    source: str
    signs: Mapping[str, float | str]


def vitals_as_known(patient_key: str, moment: datetime, *, since: datetime | None = None) -> list[Vitals]:
    """The patient's vital signs as known at ``moment``, sign by sign: the newest version that has the sign, unless a
    version after it retracted the record. Oldest first; sets without any sign left are not there."""
    known = VitalSigns.objects.filter(patient_id=patient_key, event_time__lte=moment, known_time__lte=moment)
    if since is not None:
        known = known.filter(event_time__gt=since)
    sets: dict[int, Vitals] = {}
    ended: set[int] = set()
    for row in known.order_by(*newest_first()):
        if row.record_key in ended:
            continue
        if row.retracted:
            ended.add(row.record_key)
            continue
        merged = sets.setdefault(row.record_key, Vitals(row.record_key, row.event_time, row.source, {}))
        older = {sign.name: value for sign in SIGNS if (value := getattr(row, sign.name)) not in (None, "")}
        sets[row.record_key] = replace(merged, signs={**older, **merged.signs})
    return sorted((one for one in sets.values() if one.signs), key=lambda one: (one.event_time, one.record_key))


def first_doses(trial_id: str) -> dict[str, datetime]:
    """Time of the first study dose taken, by patient key; patients without one are not there."""
    doses = Medication.objects.filter(trial_id=trial_id, study_dose=True, superseded=False, retracted=False)
    found = doses.exclude(outcome="missed").values("patient_id").annotate(first=Min("event_time"))
    return {row["patient_id"]: row["first"] for row in found}


def is_blinded(user: User, trial_id: str) -> bool:
    """Whether what reveals the arm is kept from the person in this trial, as its profile says."""
    return permissions.is_blinded(user, trial_id, blinded_study=profile(trial_id).blinded)
