"""Who looks at which trial, and what they may see of it: handed to every selector and presenter."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from apps.accounts import permissions
from apps.accounts.models import User
from apps.accounts.permissions import VisibleSites
from apps.core import clock
from apps.patients import selectors as patients
from apps.patients.models import Trial
from apps.portal.zones import zone
from ml.profile import StudyProfile


@dataclass(frozen=True, slots=True)
class Viewer:
    """A person in a trial.

    ``sites``: whose patients they see; ``personal``: of whose patients also age, sex and descent. ``blinded``: nothing
    that reveals a treatment arm may reach them. ``now``: the study's now, the clock or a finished trial's replay date.
    """

    user: User
    trial: Trial
    profile: StudyProfile
    profile_version: int
    sites: VisibleSites
    personal: VisibleSites
    blinded: bool
    now: datetime
    zone: ZoneInfo

    @property
    def live(self) -> bool:
        """False for a finished trial: nothing new will come."""
        return self.profile.replay_time is None

    def moment_of(self, last: datetime | None) -> datetime:
        """When a patient's ages are counted from: now, or in a finished trial their own ``last`` moment. Patients of a
        finished trial left it years apart: one clock for all would call each of them years old."""
        return self.now if self.live or last is None else min(last, self.now)


def study_now(profile: StudyProfile) -> datetime:
    """The clock, or the replay date of a finished trial."""
    replay = profile.replay_time
    return clock.now() if replay is None else datetime.fromtimestamp(replay, UTC)


def _personal_sites(user: User, trial_id: str) -> VisibleSites:
    roles = permissions.PERMISSIONS["view_personal"].roles
    granting = [grant for grant in permissions.grants(user, trial_id) if grant.role in roles]
    keys = frozenset(str(grant.site_id) for grant in granting if grant.site_id is not None)
    return VisibleSites(trial=trial_id, everything=any(grant.site_id is None for grant in granting), keys=keys)


def viewer_of(user: User, trial_id: str) -> Viewer:
    """The viewer that this person is in this trial. Raises NotFound where the trial, or its profile, is not there.

    The zone is that of the sites they see where those agree, else UTC: a page that mixes sites mixes no clocks.
    """
    trial = patients.trial(trial_id)
    version = patients.profile_version(trial_id)
    profile = StudyProfile.from_json(version.body)
    sites = permissions.visible_sites(user, trial)
    zones = {site.timezone for site in patients.sites(trial_id) if site in sites}
    return Viewer(
        user=user,
        trial=trial,
        profile=profile,
        profile_version=version.version,
        sites=sites,
        personal=_personal_sites(user, trial.pk),
        blinded=permissions.is_blinded(user, trial, blinded_study=profile.blinded),
        now=study_now(profile),
        zone=zone(zones.pop() if len(zones) == 1 else "UTC"),
    )
