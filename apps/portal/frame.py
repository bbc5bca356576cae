"""What stands around every page: sections, trial switcher, person."""

from __future__ import annotations

from dataclasses import dataclass

from django.urls import reverse

from apps.accounts import permissions
from apps.accounts.models import User
from apps.accounts.roles import ROLES
from apps.patients.models import Trial


@dataclass(frozen=True, slots=True)
class Section:
    title: str
    url: str
    current: bool


@dataclass(frozen=True, slots=True)
class Group:
    """Sections that stand under one word; a group of which a person sees one section is that section."""

    title: str
    sections: list[Section]
    current: bool


@dataclass(frozen=True, slots=True)
class TrialChoice:
    name: str
    note: str
    url: str
    current: bool


@dataclass(frozen=True, slots=True)
class Frame:
    """The top bar of a signed-in person; ``trial_id`` empty outside a trial. ``help_url`` leads to this page's part of the help."""

    groups: list[Group]
    trials: list[TrialChoice]
    trial_id: str
    trial_name: str
    blinded: bool
    simulated: bool
    help_url: str
    person: str
    role_words: str
    staff: bool


#: group, title, name of the address, permission that shows it
SECTIONS = (
    ("Risk board", "Risk board", "portal:board", "view_board"),
    ("Model", "Model", "portal:model", "view_models"),
    ("Data", "Imports", "portal:imports", "view_imports"),
    ("Data", "Refused messages", "portal:refused", "view_data_quality"),
    ("Monitoring", "Monitoring", "portal:monitoring", "view_monitoring"),
    ("Runs", "Runs", "portal:runs", "view_jobs"),
    ("Audit", "Audit trail", "portal:audit", "view_audit"),
    ("Study", "Set-up", "portal:study", "view_study"),
    ("Study", "People", "portal:people", "view_people"),
)


def frame(user: User, trial: Trial | None, *, section: str = "", topic: str = "", blinded: bool = False) -> Frame:
    """The frame for this person here: three queries, whatever the number of trials."""
    grants = permissions.grants(user, None, any_trial=True)
    everywhere = any(grant.trial_id is None for grant in grants)
    trials = Trial.objects.order_by("trial_id")
    visible = list(trials if everywhere else trials.filter(pk__in={grant.trial_id for grant in grants}))
    here = [grant for grant in grants if trial is not None and grant.trial_id in (None, trial.pk)]
    roles = {grant.role for grant in here or grants}
    sites = sorted(str(grant.site_id).partition("/")[2] for grant in here if grant.site_id)
    labels = ", ".join(role.label for name, role in ROLES.items() if name in roles)
    where = f", site{'s' if len(sites) > 1 else ''} {', '.join(sites)}" if sites else ""
    board_roles = permissions.PERMISSIONS["view_board"].roles

    def sees_board(one: Trial) -> bool:
        return any(grant.role in board_roles and grant.trial_id in (None, one.pk) for grant in grants)

    return Frame(
        groups=_groups(trial, roles, section) if trial is not None else [],
        trials=[
            TrialChoice(
                one.name,
                f"{one.pk}{', simulated data' if one.simulated else ''}",
                reverse("portal:board" if sees_board(one) else "portal:model", args=[one.pk]),
                trial is not None and one.pk == trial.pk,
            )
            for one in visible
        ],
        trial_id=trial.pk if trial else "",
        trial_name=trial.pk if trial else "Choose a trial",
        blinded=blinded,
        simulated=trial is not None and trial.simulated,
        help_url=reverse("portal:help") + (f"#{topic}" if topic else ""),
        person=str(user),
        role_words=f"{labels or 'No role yet'}{where}",
        staff=user.is_staff,
    )


def _groups(trial: Trial, roles: set[str], current: str) -> list[Group]:
    """The sections these roles may open, in the table's order."""
    found: dict[str, list[Section]] = {}
    for group, title, name, action in SECTIONS:
        if roles & permissions.PERMISSIONS[action].roles:
            found.setdefault(group, []).append(Section(title, reverse(name, args=[trial.pk]), name == current))
    return [Group(title, sections, any(one.current for one in sections)) for title, sections in found.items()]
