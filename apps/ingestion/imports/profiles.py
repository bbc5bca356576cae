"""The trial and the profile that an imported study begins with."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from apps.audit.actors import Actor
from apps.core.errors import Conflict
from apps.ingestion.imports.packages import Package
from apps.patients import selectors as patients
from apps.patients.models import Trial
from apps.patients.services import create_trial, publish_profile
from ml.contracts.signs import SIGN_BY_NAME
from ml.profile import StudyProfile

LABEL_MATURITY_DAYS = 60
VITALS_STALE_HOURS = 24.0 * 45
"""Visits of a slow trial lie about two weeks apart; vital signs of the visit before the last still carry a score."""
STALE_AT_MOST_HOURS = 24.0 * 365
GAP_DAYS, TAIL_SHARE = 365, 0.002
"""What comes so long after everything else, and is so little, is a mistaken date and not the end of the study."""
FEW_MEASURED = 0.1
"""A vital sign that fewer patients than this share have is not asked for: the study did not measure it."""
FOLLOWS = "Required vital signs follow what the imported files hold."
DAY = 86_400


def end_of(times: Iterable[int]) -> int:
    """The last moment of a study's data, seconds: the last of `times` but for stray ones far behind all others."""
    ordered = sorted(times)
    if not ordered:
        return 0
    last = len(ordered) - 1
    for place in range(last, max(0, int(len(ordered) * (1 - TAIL_SHARE)) - 1), -1):
        if ordered[place] - ordered[place - 1] > GAP_DAYS * DAY:
            return ordered[place - 1]
    return ordered[last]


def profile_of(package: Package, *, version: int = 1, end: int | None = None) -> StudyProfile:
    """The profile of a finished study: blinded, not live; its now is the end of its data and the labels' maturity.

    A score asks for the vital signs that the study measured: one without VS is scored on what else it has, and one with
    visits months apart does not call every value old.
    """
    last = end_of(event.known_at for event in package.events) if end is None else end
    now = datetime.fromtimestamp(last, UTC) + timedelta(days=LABEL_MATURITY_DAYS, seconds=1)
    required, stale = _vitals(package)
    return StudyProfile(
        trial_id=package.trial_id,
        version=version,
        simulated=False,
        blinded=True,
        live=False,
        replay_date=now.isoformat().replace("+00:00", "Z"),
        label_maturity_days=LABEL_MATURITY_DAYS,
        risk_from_first_dose=True,
        study_treatments=package.study_treatments,
        signs_required=required,
        vitals_stale_hours=stale,
        notes=(FOLLOWS,),
    )


def _vitals(package: Package) -> tuple[tuple[str, ...], float]:
    """The required signs that are there, and how old they may be: three times the usual pause between visits."""
    usual = StudyProfile(trial_id=package.trial_id).signs_required
    patients_all = {event.patient_id for event in package.events}
    having: dict[str, set[str]] = {sign: set() for sign in usual}
    days: dict[str, set[int]] = {}
    for event in package.events:
        if event.topic != "patient-vitals":
            continue
        days.setdefault(event.patient_id, set()).add(event.known_at // DAY)
        for sign in usual:
            if event.value.get(sign) is not None:
                having[sign].add(event.patient_id)
    required = tuple(sign for sign in usual if having[sign] and len(having[sign]) >= FEW_MEASURED * len(patients_all))
    gaps = sorted(late - early for one in days.values() for early, late in pairwise(sorted(one)))
    pause = gaps[len(gaps) // 2] if gaps else 0
    return required, min(STALE_AT_MOST_HOURS, max(VITALS_STALE_HOURS, 3.0 * 24 * pause))


def remarks_of(profile: StudyProfile) -> list[str]:
    """What the profile leaves out, in sentences."""
    missing = [
        sign for sign in StudyProfile(trial_id=profile.trial_id).signs_required if sign not in profile.signs_required
    ]
    if not missing:
        return []
    named = " and ".join(SIGN_BY_NAME[sign].label.lower() for sign in missing)
    return [f"Too few subjects have {named}: a score is given without, from what else is known."]


def check_trial(trial_id: str) -> Trial | None:
    """The trial of this name, None where it is new. Conflict for a simulated one."""
    trial = Trial.objects.filter(pk=trial_id).first()
    if trial is not None and trial.simulated:
        raise Conflict(
            f"{trial.pk} is a simulated trial.", cure="Import under another trial identifier.", code="simulated"
        )
    return trial


def ready_trial(package: Package, *, by: Actor, end: int, name: str = "") -> Trial:
    """The study's trial with a profile that fits the package: made, or its profile's next version published.

    The now of a finished study never goes back: what was known by then stays known.
    """
    trial = check_trial(package.trial_id)
    if trial is None:
        trial = create_trial(by=by, trial_id=package.trial_id, name=(name or package.title)[:200])
    newest = patients.profiles().get(package.trial_id)
    wanted = profile_of(package, end=end)
    if newest is None:
        publish_profile(by=by, profile=wanted, reason="first import")
        return trial
    if newest.replay_time is None:
        return trial  # a study with live data: its profile is its people's
    fitting = replace(newest, study_treatments=tuple(sorted({*newest.study_treatments, *wanted.study_treatments})))
    if wanted.replay_time is not None and wanted.replay_time > newest.replay_time:
        fitting = replace(fitting, replay_date=wanted.replay_date)
    if FOLLOWS in newest.notes and set(newest.signs_required) < set(wanted.signs_required):
        fitting = replace(fitting, signs_required=wanted.signs_required, vitals_stale_hours=wanted.vitals_stale_hours)
    if fitting != newest:
        publish_profile(by=by, profile=replace(fitting, version=newest.version + 1), reason="an import brought more")
    return trial
