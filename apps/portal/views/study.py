"""Setting up a study: overview with what is missing, a new trial, its name, sites and arms."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from apps.accounts import permissions
from apps.accounts.models import User
from apps.core.errors import DomainError, NotFound
from apps.patients import services
from apps.patients.models import Arm, Site
from apps.patients.starts import STARTS, first_profile
from apps.portal import study_selectors as read
from apps.portal.presenters import study as present
from apps.portal.presenters import words
from apps.portal.study_forms import (
    ArmNameForm,
    NameForm,
    NewArmForm,
    NewSiteForm,
    NewTrialForm,
    ReasonForm,
    SiteForm,
    blame,
)
from apps.portal.views.base import PortalView
from apps.registry import selectors as registry

UNFIT = 422


class StudyView(PortalView):
    """What the pages of the set-up share."""

    action = "view_study"
    section = "portal:study"
    help_topic = "study"
    tab = ""

    def may(self, action: str) -> bool:
        return permissions.may(self.viewer.user, action, trial=self.viewer.trial)

    def study_page(self, template: str, context: dict[str, Any], *, status: int = 200) -> HttpResponse:
        """A page with the set-up's own navigation above it."""
        shared = {"tab": self.tab, "sees_people": self.may("view_people"), "zone_words": self.zone_words}
        return self.page(template, shared | context, status=status)

    @property
    def zone_words(self) -> str:
        return words.zone_words(self.viewer.now, self.viewer.zone)

    def carry_out(self, form: forms.Form, act: Callable[[dict[str, Any]], object], done: str) -> bool:
        """Whether the form was fit and the service agreed; a refusal stands in the form."""
        if not form.is_valid():
            return False
        try:
            act(form.cleaned_data)
        except DomainError as error:
            blame(form, error)
            return False
        messages.success(self.request, done)
        return True


class Overview(StudyView):
    """The study at a glance, and what is missing before it can begin."""

    tab = "overview"

    def get(self, request: HttpRequest, trial: str) -> HttpResponse:
        viewer = self.viewer
        sites = read.site_counts(viewer.trial)
        serving = registry.serving(trial)
        model = f"Version {serving.version.version} serves{' silently' if serving.silent else ''}." if serving else ""
        arms = Arm.objects.filter(trial=trial, withdrawn_at__isnull=True).count()
        items = present.checklist(viewer, sites, arms, model)
        patients = viewer.trial.patients.count()
        context = {
            "state": present.state_words(viewer, patients),
            "items": items,
            "missing": sum(not item.done for item in items),
            "patients": patients,
            "sites": [present.site_row(one, viewer) for one in sites],
            "bands": present.bands_words(viewer.profile),
            # How many arms events name beside those set up tells a blinded reader nothing they may know.
            "strays": [] if viewer.blinded else present.stray_rows(viewer),
            "arms": arms,
            "form": NameForm(initial={"name": viewer.trial.name}) if self.may("change_study") else None,
            "may_create": permissions.may(viewer.user, "manage_trials", trial=None),
        }
        return self.study_page("portal/study.html", context)


class Rename(StudyView):
    """The trial's name."""

    action = "change_study"
    http_method_names = ["post"]

    def post(self, request: HttpRequest, trial: str) -> HttpResponse:
        form = NameForm(request.POST)
        user, row = self.viewer.user, self.viewer.trial
        if not self.carry_out(
            form, lambda given: services.change_trial(by=user, trial=row, **given), "The name is changed."
        ):
            messages.error(request, "A trial's name has 1 to 200 characters.")
        return redirect("portal:study", trial=trial)


class NewTrial(PortalView):
    """A new trial with its first profile, both or neither."""

    action = "manage_trials"
    help_topic = "study"

    def get(self, request: HttpRequest) -> HttpResponse:
        return self.page("portal/new_trial.html", {"form": NewTrialForm(), "starts": STARTS.values()})

    def post(self, request: HttpRequest) -> HttpResponse:
        form = NewTrialForm(request.POST)
        if form.is_valid():
            given = form.cleaned_data
            profile = first_profile(given["trial_id"], given["start"])
            try:
                trial = services.create_study(
                    by=cast("User", request.user),
                    name=given["name"],
                    profile=replace(profile, blinded=given["blinded"]),
                    reason=f"The study's first profile: {STARTS[given['start']].title}.",
                )
            except DomainError as error:
                blame(form, error)
            else:
                messages.success(request, f"The trial {trial.pk} is created, with version 1 of its profile.")
                return redirect("portal:study", trial=trial.pk)
        return self.page("portal/new_trial.html", {"form": form, "starts": STARTS.values()}, status=UNFIT)


class Sites(StudyView):
    """The sites with what hangs on them."""

    tab = "sites"

    def get(self, request: HttpRequest, trial: str) -> HttpResponse:
        return self.sites_page(NewSiteForm() if self.may("manage_sites") else None)

    def sites_page(self, form: forms.Form | None, *, status: int = 200) -> HttpResponse:
        rows = [present.site_row(one, self.viewer) for one in read.site_counts(self.viewer.trial)]
        return self.study_page("portal/study_sites.html", {"sites": rows, "form": form}, status=status)


class SiteAdd(Sites):
    """A new site."""

    action = "manage_sites"
    http_method_names = ["post"]

    def post(self, request: HttpRequest, trial: str) -> HttpResponse:
        form = NewSiteForm(request.POST)
        if form.is_valid() and Site.objects.filter(trial=trial, site_id=form.cleaned_data["site_id"]).exists():
            form.add_error("site_id", "This site is there already: open it in the list to change it.")
        user, row = self.viewer.user, self.viewer.trial
        if self.carry_out(form, lambda given: services.create_site(by=user, trial=row, **given), "The site is added."):
            return redirect("portal:sites", trial=trial)
        return self.sites_page(form, status=UNFIT)


class SitePage(StudyView):
    """One site: its name and zone, and whether it is open."""

    action = "manage_sites"
    tab = "sites"

    def get(self, request: HttpRequest, trial: str, site: str) -> HttpResponse:
        row = self.site(site)
        return self.site_page(row, SiteForm(initial={"name": row.name, "timezone": row.timezone}), ReasonForm())

    def post(self, request: HttpRequest, trial: str, site: str) -> HttpResponse:
        row, user = self.site(site), self.viewer.user
        change, why = SiteForm(request.POST), ReasonForm(request.POST)
        act = request.POST.get("act")
        if act == "change":
            why = ReasonForm()
            done = self.carry_out(
                change, lambda given: services.change_site(by=user, site=row, **given), "The site is changed."
            )
        else:
            change = SiteForm(initial={"name": row.name, "timezone": row.timezone})
            service, told = (
                (services.close_site, "The site is closed.")
                if act == "close"
                else (services.reopen_site, "The site is open again.")
            )
            done = self.carry_out(why, lambda given: service(by=user, site=row, **given), told)
        return redirect("portal:sites", trial=trial) if done else self.site_page(row, change, why, status=UNFIT)

    def site(self, site_id: str) -> Site:
        """The site. Raises NotFound."""
        found = Site.objects.filter(trial=self.viewer.trial, site_id=site_id).first()
        if found is None:
            raise NotFound(f"There is no site {site_id} in this trial.", cure="Choose one from the list of sites.")
        return found

    def site_page(self, row: Site, change: forms.Form, why: forms.Form, *, status: int = 200) -> HttpResponse:
        counted = next(one for one in read.site_counts(self.viewer.trial) if one.site.pk == row.pk)
        context = {"site": present.site_row(counted, self.viewer), "form": change, "why": why}
        return self.study_page("portal/study_site.html", context, status=status)


class Arms(StudyView):
    """The arms as set up, and those that events name beside them; nothing of either for a blinded reader."""

    tab = "arms"

    def get(self, request: HttpRequest, trial: str) -> HttpResponse:
        code, name = request.GET.get("code", "")[:40], request.GET.get("name", "")[:200]
        may = self.may("manage_arms") and not self.viewer.blinded
        return self.arms_page(NewArmForm(initial={"code": code, "name": name}) if may else None)

    def arms_page(self, form: forms.Form | None, *, status: int = 200) -> HttpResponse:
        viewer = self.viewer
        context: dict[str, Any] = {"arms": [], "strays": [], "form": form}
        if not viewer.blinded:
            context["arms"] = present.arm_rows(list(Arm.objects.filter(trial=viewer.trial).order_by("code")), viewer)
            context["strays"] = present.stray_rows(viewer)
        return self.study_page("portal/study_arms.html", context, status=status)


class ArmAdd(Arms):
    """A new arm."""

    action = "manage_arms"
    http_method_names = ["post"]

    def post(self, request: HttpRequest, trial: str) -> HttpResponse:
        form = NewArmForm(request.POST)
        user, row = self.viewer.user, self.viewer.trial
        if self.carry_out(form, lambda given: services.create_arm(by=user, trial=row, **given), "The arm is set up."):
            return redirect("portal:arms", trial=trial)
        return self.arms_page(form, status=UNFIT)


class ArmPage(StudyView):
    """One arm: its name, and whether it stands."""

    action = "manage_arms"
    tab = "arms"

    def get(self, request: HttpRequest, trial: str, pk: UUID) -> HttpResponse:
        arm = self.arm(pk)
        return self.arm_page(arm, ArmNameForm(initial={"name": arm.name}), ReasonForm())

    def post(self, request: HttpRequest, trial: str, pk: UUID) -> HttpResponse:
        arm, user = self.arm(pk), self.viewer.user
        change, why = ArmNameForm(request.POST), ReasonForm(request.POST)
        act = request.POST.get("act")
        if act == "change":
            why = ReasonForm()
            done = self.carry_out(
                change, lambda given: services.change_arm(by=user, arm=arm, **given), "The arm is renamed."
            )
        else:
            change = ArmNameForm(initial={"name": arm.name})
            service, told = (
                (services.withdraw_arm, "The arm is withdrawn.")
                if act == "withdraw"
                else (services.reinstate_arm, "The arm stands again.")
            )
            done = self.carry_out(why, lambda given: service(by=user, arm=arm, **given), told)
        return redirect("portal:arms", trial=trial) if done else self.arm_page(arm, change, why, status=UNFIT)

    def arm(self, pk: UUID) -> Arm:
        """The arm. Raises NotFound; to a blinded reader there is none."""
        found = Arm.objects.filter(trial=self.viewer.trial, pk=pk).first()
        if found is None or self.viewer.blinded:
            raise NotFound("There is no such arm in this trial.", cure="Choose one from the list of arms.")
        return found

    def arm_page(self, arm: Arm, change: forms.Form, why: forms.Form, *, status: int = 200) -> HttpResponse:
        context = {"arm": present.arm_rows([arm], self.viewer)[0], "form": change, "why": why}
        return self.study_page("portal/study_arm.html", context, status=status)
