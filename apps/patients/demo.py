"""The demonstration's trial: simulated, live, blinded, with six sites."""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings

from apps.audit.actors import Actor
from apps.patients import services
from apps.patients.models import Site, StudyProfileVersion, Trial
from ml.simulation.demo import demo_profile


@dataclass(frozen=True, slots=True)
class DemoSite:
    """A site of the demo; ``site_id`` as the simulator writes it."""

    site_id: str
    name: str
    timezone: str


SITES: tuple[DemoSite, ...] = (
    DemoSite("01", "Hamburg", "Europe/Berlin"),
    DemoSite("02", "Madrid", "Europe/Madrid"),
    DemoSite("03", "Lyon", "Europe/Paris"),
    DemoSite("04", "Warsaw", "Europe/Warsaw"),
    DemoSite("05", "Boston", "America/New_York"),
    DemoSite("06", "Osaka", "Asia/Tokyo"),
)


def seed_trial(*, by: Actor, trial_id: str | None = None) -> tuple[Trial, dict[str, Site]]:
    """Create the demo trial with profile and sites, once; returns it and its sites by bare identifier."""
    trial_id = trial_id or settings.DEFAULT_TRIAL_ID
    trial = Trial.objects.filter(pk=trial_id).first()
    if trial is None:
        trial = services.create_trial(
            by=by, trial_id=trial_id, name="Demonstration (simulated patients)", simulated=True
        )
    if not StudyProfileVersion.objects.filter(trial=trial).exists():
        services.publish_profile(by=by, profile=demo_profile(trial_id), reason="The demonstration's first profile.")
    sites = {
        row.site_id: services.create_site(by=by, trial=trial, site_id=row.site_id, name=row.name, timezone=row.timezone)
        for row in SITES
    }
    return trial, sites
