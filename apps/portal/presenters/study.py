"""The set-up of a study in words: its state, what is missing to begin, sites, arms, versions of its profile."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.urls import reverse

from apps.accounts.roles import COORDINATOR, MODEL_APPROVER, SAFETY_REVIEWER
from apps.patients.models import Arm, StudyProfileVersion
from apps.portal import study_selectors as read
from apps.portal.presenters import words
from apps.portal.viewer import Viewer
from apps.portal.zones import zone
from ml.profile import StudyProfile

APPROVERS = 2


@dataclass(frozen=True, slots=True)
class Item:
    """One line of the checklist."""

    done: bool
    title: str
    text: str
    url: str
    link: str


@dataclass(frozen=True, slots=True)
class SiteRow:
    site_id: str
    name: str
    timezone: str
    now: str
    patients: int
    people: int
    closed: str
    warning: str
    url: str


@dataclass(frozen=True, slots=True)
class ArmRow:
    id: str
    code: str
    name: str
    patients: int
    withdrawn: str


@dataclass(frozen=True, slots=True)
class StrayRow:
    code: str
    name: str
    patients: int
    span: str


@dataclass(frozen=True, slots=True)
class VersionRow:
    version: int
    title: str
    when: str
    by: str
    reason: str
    digest: str
    current: bool


def state_words(viewer: Viewer, patients: int) -> str:
    """Where the study stands, as its data say."""
    if not viewer.live:
        return "Finished"
    return "Running" if patients else "In set-up"


def checklist(viewer: Viewer, sites: Sequence[read.SiteCounts], arms: int, model: str) -> list[Item]:
    """What a study needs before its first score, in the order in which it is done."""
    trial, profile = viewer.trial, viewer.profile
    people = read.people_of(trial, COORDINATOR)
    held = people.by_role
    bare = [] if people.covers_all else [
        one.site.site_id for one in sites if one.site.closed_at is None and one.site.pk not in people.covered
    ]  # fmt: skip
    patients = sum(one.patients for one in sites)

    def item(done: bool, title: str, text: str, name: str, link: str) -> Item:
        return Item(done, title, text, reverse(f"portal:{name}", args=[trial.pk]), link)

    return [
        item(True, "Study profile", f"Version {viewer.profile_version} is in force.", "profile", "Profile"),
        item(
            bool(profile.study_treatments), "Study treatments",
            words.plural(len(profile.study_treatments), "name") + " tell a study dose from other medicines."
            if profile.study_treatments else "No name is given: no medicine is known for a study dose.",
            "profile", "Profile",
        ),
        item(bool(sites), "Sites", words.plural(len(sites), "site") + "." if sites else "None yet.", "sites", "Sites"),
        item(
            arms > 1, "Arms",
            "Set up." if arms > 1 else "Fewer than two arms are set up.", "arms", "Arms",
        ),
        item(
            bool(sites) and not bare and COORDINATOR in held, "Coordinators",
            "Every open site has one." if sites and not bare and COORDINATOR in held
            else f"No coordinator at {', '.join(bare[:6])}{' …' if len(bare) > 6 else ''}." if bare else "Nobody yet.",
            "people", "People",
        ),
        item(
            held.get(SAFETY_REVIEWER, 0) > 0, "Safety reviewer",
            words.plural(held.get(SAFETY_REVIEWER, 0), "person", "people") + "." , "people", "People",
        ),
        item(
            held.get(MODEL_APPROVER, 0) >= APPROVERS, "Model approvers",
            f"{held.get(MODEL_APPROVER, 0)} of the {APPROVERS} whose signatures a model needs.", "people", "People",
        ),
        item(patients > 0, "Patients", words.plural(patients, "patient") + " at the sites, from the data."
             if patients else "None yet: they come with the first context events or an import.", "board", "Risk board"),
        item(bool(model), "Model", model or "None serves yet.", "model", "Model"),
    ]  # fmt: skip


def site_row(counted: read.SiteCounts, viewer: Viewer) -> SiteRow:
    """A site as listed."""
    site = counted.site
    where = zone(site.timezone)
    warning = f"{words.plural(counted.late, 'patient')} enrolled after it was closed" if counted.late else ""
    return SiteRow(
        site_id=site.site_id,
        name=site.name,
        timezone=site.timezone,
        now=f"{words.clock(viewer.now, where)} {words.zone_words(viewer.now, where)}",
        patients=counted.patients,
        people=counted.people,
        closed=words.when(site.closed_at, viewer.zone, year=True) if site.closed_at else "",
        warning=warning,
        url=reverse("portal:site", args=[viewer.trial.pk, site.site_id]),
    )


def arm_rows(arms: Sequence[Arm], viewer: Viewer) -> list[ArmRow]:
    """Arms with their patients. For unblinded readers only."""
    counts = read.patients_by_arm(viewer.trial)
    return [
        ArmRow(
            str(arm.pk), arm.code, arm.name, counts.get(arm.code, 0),
            words.when(arm.withdrawn_at, viewer.zone, year=True) if arm.withdrawn_at else "",
        )
        for arm in arms
    ]  # fmt: skip


def stray_rows(viewer: Viewer) -> list[StrayRow]:
    """Arms that events name and nobody has set up. For unblinded readers only."""
    return [
        StrayRow(
            one.code, one.name, one.patients,
            f"{words.day(one.first, viewer.zone, year=True)} to {words.day(one.last, viewer.zone, year=True)}",
        )
        for one in read.stray_arms(viewer.trial)
    ]  # fmt: skip


def version_row(version: StudyProfileVersion, viewer: Viewer) -> VersionRow:
    """A version as listed."""
    return VersionRow(
        version=version.version,
        title=f"Version {version.version}",
        when=words.when(version.created_at, viewer.zone, year=True),
        by=version.created_by,
        reason=version.reason,
        digest=version.digest,
        current=version.version == viewer.profile_version,
    )


def bands_words(profile: StudyProfile) -> str:
    """``10, 30, 75 %``."""
    return ", ".join(f"{bound * 100:g}" for bound in profile.bands) + " %"
