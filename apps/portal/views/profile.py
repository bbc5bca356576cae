"""The study profile: as it is, its versions and how two differ, and the way to the next one with its consequences."""

from __future__ import annotations

from typing import Any, cast

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect

from apps.core.errors import Conflict, DomainError, NotFound
from apps.patients import services
from apps.patients.models import StudyProfileVersion
from apps.portal import study_selectors as read
from apps.portal.presenters import profile_words
from apps.portal.presenters import study as present
from apps.portal.presenters.consequences import consequences
from apps.portal.profile_forms import ProfileForm, filled, sent
from apps.portal.study_forms import ReasonForm, blame
from apps.portal.views.study import UNFIT, StudyView
from ml.profile import StudyProfile

CONFLICT = 409


class ProfileView(StudyView):
    """What the pages of the profile share."""

    tab = "profile"

    def versions(self) -> list[StudyProfileVersion]:
        return read.profile_versions(self.viewer.trial)

    @staticmethod
    def chosen(versions: list[StudyProfileVersion], number: str | int | None) -> StudyProfileVersion:
        """The version of that number, the newest where none is named. Raises NotFound."""
        if number in (None, ""):
            return versions[0]
        found = next((one for one in versions if str(one.version) == str(number)), None)
        if found is None:
            raise NotFound(
                f"There is no version {number} of this profile.", cure="Choose one from the list of versions."
            )
        return found


class Profile(ProfileView):
    """One version in words, and how it differs from another."""

    def get(self, request: HttpRequest, trial: str, version: int | None = None) -> HttpResponse:
        versions = self.versions()
        row = self.chosen(versions, version)
        asked = request.GET.get("against", "")
        other = (
            self.chosen(versions, asked)
            if asked
            else next((one for one in versions if one.version < row.version), None)
        )
        profile = StudyProfile.from_json(row.body)
        changed = profile_words.differences(StudyProfile.from_json(other.body), profile) if other else []
        context = {
            "row": present.version_row(row, self.viewer),
            "groups": profile_words.shown(profile),
            "other": present.version_row(other, self.viewer) if other else None,
            "changed": changed,
            "versions": [present.version_row(one, self.viewer) for one in versions],
            "may_publish": self.may("publish_profile"),
        }
        return self.study_page("portal/study_profile.html", context)


class ProfileEdit(ProfileView):
    """The next version: a form, its preview, and its publishing. ``from`` names the version it begins from."""

    action = "publish_profile"

    def get(self, request: HttpRequest, trial: str) -> HttpResponse:
        versions = self.versions()
        start = self.chosen(versions, request.GET.get("from"))
        return self.form_page(filled(StudyProfile.from_json(start.body), versions[0].version), start.version)

    def post(self, request: HttpRequest, trial: str) -> HttpResponse:
        form = sent(request.POST, self.viewer.profile)
        valid = form.is_valid()
        if request.POST.get("step") == "edit" or not valid:
            return self.form_page(form, None, status=200 if valid else UNFIT)
        if request.POST.get("step") != "publish":
            return self.preview(form, ReasonForm())
        why = ReasonForm(request.POST)
        if not why.is_valid():
            return self.preview(form, why, status=UNFIT)
        return self.publish(form, why)

    def publish(self, form: ProfileForm, why: ReasonForm) -> HttpResponse:
        profile = form.profile()
        if not profile_words.differences(self.viewer.profile, profile):
            why.add_error(None, "Nothing differs from the version in force: there is nothing to publish.")
            return self.preview(form, why, status=UNFIT)
        try:
            row = services.publish_profile(by=self.viewer.user, profile=profile, reason=why.cleaned_data["reason"])
        except Conflict:
            return self.preview(form, why, status=CONFLICT)
        except DomainError as error:
            blame(why, error)
            return self.preview(form, why, status=UNFIT)
        messages.success(self.request, f"Version {row.version} is published and in force.")
        return redirect("portal:profile", trial=self.viewer.trial.pk)

    def form_page(self, form: ProfileForm, start: int | None, *, status: int = 200) -> HttpResponse:
        context = {"form": form, "start": start, "newest": self.viewer.profile_version}
        return self.study_page("portal/study_profile_form.html", context, status=status)

    def preview(self, form: ProfileForm, why: ReasonForm, *, status: int = 200) -> HttpResponse:
        """What would change. Where another version came between, that one is shown, and what is sent goes on from it."""
        viewer, versions, profile = self.viewer, self.versions(), form.profile()
        newest = versions[0]
        current = StudyProfile.from_json(newest.body)  # not the viewer's: another may have published since
        late = newest.version >= profile.version
        seen = self.chosen(versions, profile.version - 1) if late else newest
        context: dict[str, Any] = {
            "changed": profile_words.differences(current, profile),
            "then": consequences(viewer, current, profile, versions),
            "sent": _hidden(form, newest.version),
            "why": why,
            "next": newest.version + 1,
            "newest": present.version_row(newest, viewer),
            "between": _differences(seen, newest) if late else [],
            "late": late,
        }
        return self.study_page("portal/study_profile_preview.html", context, status=CONFLICT if late else status)


def _differences(old: StudyProfileVersion, new: StudyProfileVersion) -> list[profile_words.Difference]:
    return profile_words.differences(StudyProfile.from_json(old.body), StudyProfile.from_json(new.body))


def _hidden(form: ProfileForm, base: int) -> list[tuple[str, str]]:
    """What was sent, to be sent again with the next step, going on from ``base``."""
    left_out = {"csrfmiddlewaretoken", "step", "reason", "base"}
    data = cast("QueryDict", form.data)
    return [
        ("base", str(base)),
        *((name, str(value)) for name in data if name not in left_out for value in data.getlist(name)),
    ]
