"""What the set-up pages read: counts, arms that events name, and what a new profile would mean for the present patients."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta

import numpy as np
from django.db import connection
from django.db.models import Count, F, Max, Min, Q

from apps.accounts.models import RoleGrant
from apps.accounts.roles import ROLES
from apps.patients.models import Arm, ContextRecord, Patient, Site, StudyProfileVersion, Trial
from apps.portal.viewer import Viewer
from ml.features import NAMES
from ml.profile import StudyProfile
from ml.scoring.indeterminate import Inputs, reasons

DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class SiteCounts:
    """A site with what hangs on it; ``late``: patients enrolled after it was closed."""

    site: Site
    patients: int
    people: int
    late: int


def site_counts(trial: Trial) -> list[SiteCounts]:
    """Every site of the trial with its patients and the people whose role names it, in two queries."""
    closed_before = Q(patients__enrolled_at__gt=F("closed_at"))
    rows = Site.objects.filter(trial=trial).order_by("site_id")
    counted = rows.annotate(of_patients=Count("patients"), late=Count("patients", filter=closed_before))
    granted = RoleGrant.objects.in_force().filter(trial=trial, site__isnull=False).values_list("site_id", "user_id")
    people = Counter(site for site, _ in set(granted))
    return [SiteCounts(site, site.of_patients, people[site.pk], site.late) for site in counted]


@dataclass(frozen=True, slots=True)
class StrayArm:
    """An arm that context events name and that is not set up."""

    code: str
    name: str
    patients: int
    first: datetime
    last: datetime


def stray_arms(trial: Trial) -> list[StrayArm]:
    """Arms of context events in force whose code is not set up, or withdrawn. For unblinded readers only."""
    known = Arm.objects.filter(trial=trial, withdrawn_at__isnull=True).values("code")
    rows = ContextRecord.objects.filter(trial_id=trial.pk, kind="arm", superseded=False, retracted=False)
    found = (
        rows.exclude(arm_code__in=known)
        .values("arm_code")
        .annotate(
            name=Max("arm_name"),
            patients=Count("patient_id", distinct=True),
            first=Min("event_time"),
            last=Max("event_time"),
        )
        .order_by("arm_code")
    )
    return [StrayArm(row["arm_code"], row["name"], row["patients"], row["first"], row["last"]) for row in found]


def patients_by_arm(trial: Trial) -> Mapping[str, int]:
    """Patients by the code of their arm. For unblinded readers only."""
    counted = Patient.objects.filter(trial=trial).exclude(arm_code="").values("arm_code").annotate(of=Count("pk"))
    return {row["arm_code"]: row["of"] for row in counted.order_by()}


def profile_versions(trial: Trial) -> list[StudyProfileVersion]:
    """Every version, newest first."""
    return list(StudyProfileVersion.objects.filter(trial=trial).order_by("-version"))


@dataclass(frozen=True, slots=True)
class People:
    """Who holds which role here: people by role (grants for every trial count), and sites that have a coordinator."""

    by_role: Mapping[str, int]
    covered: frozenset[str]
    covers_all: bool
    blinded: int


def people_of(trial: Trial, role: str) -> People:
    """The people of the trial; ``role`` is the one that each site should have somebody in."""
    rows = RoleGrant.objects.in_force().filter(Q(trial=trial) | Q(trial__isnull=True), user__is_active=True)
    grants = list(rows.values_list("role", "site_id", "user_id"))
    by_role = Counter(name for name, _ in {(name, user) for name, _, user in grants})
    at_sites = [site for name, site, _ in grants if name == role]
    return People(
        by_role=by_role,
        covered=frozenset(site for site in at_sites if site is not None),
        covers_all=None in at_sites,
        blinded=len({user for name, _, user in grants if name in ROLES and not ROLES[name].unblinded}),
    )


@dataclass(frozen=True, slots=True)
class Newest:
    """The newest predictions of all patients, one row each: probability (NaN = none) and the vector it was made from."""

    probability: np.ndarray
    vectors: np.ndarray
    patients: int


def newest_predictions(viewer: Viewer) -> Newest:
    """The newest prediction of every patient the board shows, in one query; ``patients`` also counts those without."""
    sql = """
        SELECT n.probability, n.features
        FROM patients_patient p
        LEFT JOIN LATERAL (
            SELECT probability, features FROM predictions_prediction
            WHERE patient_id = p.key AND as_of <= %s ORDER BY as_of DESC, id DESC LIMIT 1) n ON true
        WHERE p.trial_id = %s"""
    with connection.cursor() as cursor:
        cursor.execute(sql, [viewer.now + timedelta(seconds=60), viewer.trial.pk])
        rows = cursor.fetchall()
    scored = [row for row in rows if row[1] is not None]
    vectors = np.frombuffer(b"".join(bytes(row[1]) for row in scored), "<f4").reshape(len(scored), len(NAMES))
    chances = np.array([np.nan if row[0] is None else row[0] for row in scored], np.float64)
    return Newest(chances, vectors.astype(np.float64), len(rows))


#: Neither a level nor "indeterminate": a score would be given, and what it would be is not known before it is.
UNKNOWN = "UNKNOWN"


#: Fields of the profile that decide whether there is a score at all.
BARRING = ("signs_required", "vitals_stale_hours", "labs_stale_days")


def stored_levels(newest: Newest, profile: StudyProfile) -> list[str]:
    """The level of each row of ``newest`` by the profile's bands, as it was scored."""
    return [profile.level(None if np.isnan(chance) else float(chance)) for chance in newest.probability.tolist()]


def levels_under(newest: Newest, old: StudyProfile, new: StudyProfile) -> list[str]:
    """The level of each row of ``newest`` under the new profile: by its bands, and where it asks for other data than the
    old one, by the scorer's own rules on the stored vectors."""
    if not len(newest.vectors) or all(getattr(old, name) == getattr(new, name) for name in BARRING):
        return stored_levels(newest, new)
    barred = reasons(Inputs(tuple(NAMES), newest.vectors, new, {}))
    return [
        "INDETERMINATE" if why else UNKNOWN if np.isnan(chance) else new.level(float(chance))
        for why, chance in zip(barred, newest.probability.tolist(), strict=True)
    ]


def ripe_days(viewer: Viewer, *profiles: StudyProfile) -> list[int]:
    """For each profile the patient-days whose label would count now: from enrolment on, followed to their horizon, and
    old enough to be trusted (``ml.labels``, at 00:00 UTC of each day)."""
    rows = Patient.objects.filter(trial=viewer.trial, enrolled_at__isnull=False)
    spans = list(rows.values_list("enrolled_at", "status_at"))
    return [
        sum(_ripe(begin, end, profile, viewer.now) for begin, end in spans if begin is not None) for profile in profiles
    ]


def _ripe(begin: datetime, end: datetime | None, profile: StudyProfile, now: datetime) -> int:
    first = _midnight(begin)
    if first < begin:
        first += DAY
    horizon = timedelta(hours=profile.horizon_hours)
    last = now - horizon - timedelta(days=profile.label_maturity_days)
    if end is not None:
        last = min(last, _midnight(end) + DAY - horizon)
    return max(0, (last - first) // DAY + 1)


def _midnight(moment: datetime) -> datetime:
    return datetime.combine(moment.astimezone(UTC).date(), time(), UTC)


def version_of(versions: Sequence[StudyProfileVersion], digest: str) -> StudyProfileVersion | None:
    """The version with that digest."""
    return next((one for one in versions if one.digest == digest), None)
