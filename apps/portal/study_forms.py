"""Forms of the set-up pages. What a service refuses is said beside the field that its code names."""

from __future__ import annotations

from itertools import groupby
from typing import Any
from zoneinfo import available_timezones

from django import forms

from apps.core.errors import DomainError
from apps.patients.starts import STARTS

REASON_HELP = "Kept in the audit trail with your name."


def blame(form: forms.Form, error: DomainError) -> None:
    """The refusal beside the field its code names, else above the form."""
    form.add_error(error.code if error.code in form.fields else None, f"{error.message} {error.cure}".strip())


def zone_choices() -> list[tuple[str, Any]]:
    """IANA names by area; UTC first."""
    names = sorted(
        name for name in available_timezones() if "/" in name and not name.startswith(("Etc/", "SystemV/", "US/"))
    )
    areas = groupby(names, key=lambda name: name.partition("/")[0])
    groups = [(area, [(name, name.partition("/")[2].replace("_", " ")) for name in found]) for area, found in areas]
    return [("UTC", "UTC"), *groups]


class NewTrialForm(forms.Form):
    """A new trial with its first profile."""

    trial_id = forms.CharField(
        label="Identifier", max_length=64,
        help_text="As the data name it: letters, digits and . _ : - , no slash. It stays for ever.",
    )  # fmt: skip
    name = forms.CharField(label="Name", max_length=200, help_text="As people call it. Can be changed later.")
    start = forms.ChoiceField(
        label="The profile begins as",
        choices=[(start.name, f"{start.title}. {start.doc}") for start in STARTS.values()],
        widget=forms.RadioSelect,
        initial="ward",
    )
    blinded = forms.BooleanField(
        label="Blinded",
        required=False,
        initial=True,
        help_text="Blinded roles never receive what reveals a patient's arm.",
    )


class NameForm(forms.Form):
    """How a trial is called."""

    name = forms.CharField(label="Name", max_length=200)


class SiteForm(forms.Form):
    """A site's name and time zone."""

    name = forms.CharField(label="Name", max_length=200, required=False, help_text="Town or hospital.")
    timezone = forms.ChoiceField(
        label="Time zone",
        choices=zone_choices,
        help_text="Times of its patients are shown in this zone.",
        initial="UTC",
    )


class NewSiteForm(SiteForm):
    """A new site."""

    site_id = forms.CharField(
        label="Identifier", max_length=64, help_text="As the data name it (trial_site_id). It stays for ever."
    )
    field_order = ("site_id", "name", "timezone")


class ArmNameForm(forms.Form):
    """How an arm is called."""

    name = forms.CharField(label="Name", max_length=200)


class NewArmForm(ArmNameForm):
    """A new arm."""

    code = forms.CharField(
        label="Code", max_length=40, help_text="As context events write it (arm_code). It stays for ever."
    )
    field_order = ("code", "name")


class ReasonForm(forms.Form):
    """Why, in words."""

    reason = forms.CharField(
        label="Why", max_length=500, widget=forms.Textarea(attrs={"rows": 2}), help_text=REASON_HELP
    )
