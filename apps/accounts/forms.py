"""The forms of the admin's pages about people, roles and keys. What they ask for is what the services take."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django import forms

from apps.accounts.keys import LONGEST, SCOPES
from apps.accounts.models import ApiKey, RoleGrant, User
from apps.core import clock


class NewUserForm(forms.ModelForm):
    """A new person. The password is a first one: they choose their own before they sign anything."""

    password = forms.CharField(widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}), strip=False)
    identity_verified = forms.BooleanField(
        required=False, help_text="I have verified this person's identity (needed before they can sign)."
    )

    class Meta:
        model = User
        fields = ("username", "printed_name", "email")

    def _post_clean(self) -> None:
        # The service judges name and password, and says so in its own words.
        return


class FirstPasswordForm(forms.Form):
    """A first password for somebody who has lost theirs."""

    password = forms.CharField(widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}), strip=False)


class UserForm(forms.ModelForm):
    """How a person is written."""

    class Meta:
        model = User
        fields = ("printed_name", "email")


class GrantForm(forms.ModelForm):
    """A role for a person; without a trial, for every trial where the role allows it."""

    class Meta:
        model = RoleGrant
        fields = ("user", "role", "trial", "site")

    def _post_clean(self) -> None:
        return


class KeyForm(forms.ModelForm):
    """A new API key."""

    scopes = forms.MultipleChoiceField(
        choices=[(name, f"{name}: {meaning}") for name, meaning in SCOPES.items()], widget=forms.CheckboxSelectMultiple
    )
    sites = forms.CharField(required=False, help_text="Site identifiers, separated by commas; empty for all sites.")
    days = forms.IntegerField(
        min_value=1, max_value=LONGEST.days, initial=90, label="Days until it expires", help_text="At most 366."
    )

    class Meta:
        model = ApiKey
        fields = ("name", "owner", "trial")

    def _post_clean(self) -> None:
        return

    def values(self) -> dict[str, Any]:
        """What the service takes."""
        given = self.cleaned_data
        return {
            "name": given["name"],
            "owner": given["owner"],
            "trial": given["trial"],
            "scopes": given["scopes"],
            "sites": [part.strip() for part in given["sites"].split(",") if part.strip()],
            "expires_at": clock.now() + timedelta(days=given["days"]),
        }
