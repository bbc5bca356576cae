"""Forms about people: accounts, roles and training. What they ask for is what the services take."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import Any

from django import forms

from apps.accounts.courses import COURSES, REQUIRED
from apps.accounts.roles import ROLES
from apps.core import clock
from apps.patients.models import Site, Trial
from apps.portal.study_forms import REASON_HELP

EVERY_TRIAL = "*"
STATES = (
    ("", "Any state"),
    ("active", "Active"),
    ("deactivated", "Deactivated"),
    ("dormant", "Not seen for 90 days"),
    ("unverified", "Identity not verified"),
    ("training", "Training to be renewed"),
)


def _date() -> forms.DateInput:
    return forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")


class PeopleFilter(forms.Form):
    """Which people are listed; what it cannot read it leaves out."""

    q = forms.CharField(label="Find a person", required=False, max_length=100)
    role = forms.ChoiceField(
        label="Role", required=False, choices=[("", "Any role"), *((one.name, one.label) for one in ROLES.values())]
    )
    site = forms.CharField(label="Site", required=False, max_length=64)
    state = forms.ChoiceField(label="State", required=False, choices=STATES)
    every = forms.BooleanField(label="People of other trials too", required=False)


class Beside(forms.Form):
    """A form that shares its page with others: its fields' ids begin with ``slug``."""

    slug = ""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **{"auto_id": f"{self.slug}-%s", **options})


class NewPersonForm(forms.Form):
    """A new account. Its first password is drawn and shown once."""

    username = forms.CharField(
        label="Sign-in name", max_length=150, help_text="Stays theirs for ever, however it is written."
    )
    printed_name = forms.CharField(label="Printed name", max_length=200, help_text="As it stands beside a signature.")
    email = forms.EmailField(label="E-mail", required=False)


class WrittenForm(Beside):
    """How a person is written."""

    slug = "written"
    printed_name = forms.CharField(label="Printed name", max_length=200, help_text="Signatures given keep the old one.")
    email = forms.EmailField(label="E-mail", required=False)


class WhyForm(Beside):
    """Why an account is ended, opened again or kept."""

    slug = "why"
    reason = forms.CharField(label="Why", max_length=500, help_text=REASON_HELP)


class TrainingForm(Beside):
    """A completed course."""

    slug = "training"
    course = forms.ChoiceField(label="Course", choices=[(one.name, one.title) for one in COURSES.values()])
    completed_on = forms.DateField(label="Completed on", widget=_date())
    evidence = forms.CharField(
        label="Evidence", max_length=500, help_text="Where it lies: certificate 4711 in the site file."
    )


class CorrectionForm(Beside):
    """What a wrong record should have said; void = it should not be there at all."""

    slug = "correction"
    record = forms.UUIDField(widget=forms.HiddenInput)
    completed_on = forms.DateField(label="Completed on", widget=_date())
    evidence = forms.CharField(label="Evidence", max_length=500)
    void = forms.BooleanField(label="It should not be there at all", required=False)
    reason = forms.CharField(label="Why", max_length=500, help_text=REASON_HELP)


class RoleForm(Beside):
    """A role here: for the trial, one of its sites, or every trial where the giver may and the role allows it."""

    slug = "give"
    role = forms.ChoiceField(label="Role", choices=[])
    where = forms.ChoiceField(label="Where", choices=[])
    until = forms.DateField(
        label="Until", required=False, widget=_date(), help_text="Its last day, UTC. Empty = until somebody ends it."
    )

    def __init__(self, *args: Any, trial: Trial, everywhere: bool, **options: Any) -> None:
        super().__init__(*args, **options)
        self.trial = trial
        sites = Site.objects.filter(trial=trial, closed_at__isnull=True).order_by("site_id")
        self.sites = {site.pk: site for site in sites}
        self.role_field.choices = [("", "choose"), *((one.name, role_words(one.name)) for one in ROLES.values())]
        self.where_field.choices = [
            (trial.pk, f"Trial {trial.pk}"),
            *((site.pk, f"Site {site.site_id} {site.name}".strip()) for site in sites),
            *([(EVERY_TRIAL, "Every trial")] if everywhere else []),
        ]

    @property
    def role_field(self) -> Any:
        return self.fields["role"]

    @property
    def where_field(self) -> Any:
        return self.fields["where"]

    def clean_until(self) -> datetime | None:
        last = self.cleaned_data["until"]
        if last is None:
            return None
        if last < clock.now().date():
            raise forms.ValidationError("A role cannot end before it begins: choose a day to come, or none.")
        return datetime.combine(last + timedelta(days=1), time(), UTC)

    def grant(self) -> dict[str, Any]:
        """What the service takes."""
        given = self.cleaned_data
        where = given["where"]
        site = self.sites.get(where)
        return {
            "role": given["role"],
            "trial": None if where == EVERY_TRIAL else self.trial,
            "site": site,
            "ends_at": given["until"],
        }


def role_words(name: str) -> str:
    """The role, how far it may reach, and the courses it asks for."""
    role = ROLES[name]
    reach = "trial or site" if role.by_site else "trial or every trial" if role.every_trial else "trial"
    return f"{role.label} ({reach}; asks for {', '.join(COURSES[one].title for one in REQUIRED[name])})"


class EndRoleForm(forms.Form):
    """Which role ends, and why."""

    grant = forms.UUIDField(widget=forms.HiddenInput)
    reason = forms.CharField(label="Why", max_length=500, help_text=REASON_HELP)
