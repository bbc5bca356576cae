"""Decisions about model versions on their pages: compare two, and roll back to the one before."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from apps.accounts import permissions
from apps.audit.actors import Actor
from apps.core.errors import DomainError, Invalid, NotFound
from apps.pipelines import services as pipelines
from apps.pipelines import tasks
from apps.pipelines.models import JobRun
from apps.portal.presenters import comparison as present
from apps.portal.views.base import PortalView
from apps.registry import comparisons, services
from apps.registry import selectors as registry
from apps.registry.models import ModelVersion


class VersionView(PortalView):
    """What these pages share."""

    action = "view_models"
    section = "portal:model"
    help_topic = "model"

    def version(self, number: int) -> ModelVersion:
        """A version of this trial. Raises NotFound."""
        found = next((one for one in registry.versions(self.viewer.trial) if one.version == number), None)
        if found is None:
            raise NotFound(
                f"Trial {self.viewer.trial.pk} has no model version {number}.", cure="Choose one from the list."
            )
        return found


class RollBack(VersionView):
    """Asks why, says what will happen, and does it."""

    action = "roll_back_model"

    def get(self, request: HttpRequest, trial: str, version: int) -> HttpResponse:
        return self._ask(self.version(version))

    def post(self, request: HttpRequest, trial: str, version: int) -> HttpResponse:
        chosen = self.version(version)
        reason = request.POST.get("reason", "")[:500]
        try:
            services.roll_back(by=self.viewer.user, trial=self.viewer.trial, reason=reason, expected=chosen)
        except DomainError as error:
            return self._ask(chosen, error=error, reason=reason)
        return redirect(reverse("portal:model", args=[trial]))

    def _ask(self, version: ModelVersion, *, error: DomainError | None = None, reason: str = "") -> HttpResponse:
        serves = version.state in registry.SERVING
        context = {
            "chosen": version,
            "before": registry.predecessor(version) if serves else None,
            "serves": serves,
            "error": error,
            "reason": reason,
        }
        return self.page("portal/model_roll_back.html", context, status=error.status if error else 200)


class Compare(VersionView):
    """Two versions side by side; where nothing is kept of them yet, the button that compares."""

    def get(self, request: HttpRequest, trial: str) -> HttpResponse:
        versions = registry.versions(self.viewer.trial)
        one, two = self._chosen(request.GET, versions)
        body = comparisons.kept(one, two) if one and two and one.pk != two.pk else None
        context = {
            "versions": versions,
            "one": one,
            "two": two,
            "comparison": present.page(body, self.viewer) if body else None,
            "may_run": permissions.may(self.viewer.user, "run_job", trial=self.viewer.trial),
            "going": self._going(one, two),
        }
        return self.page("portal/model_compare.html", context)

    def _chosen(self, given: Any, versions: list[ModelVersion]) -> tuple[ModelVersion | None, ModelVersion | None]:
        """The two asked for; else the serving one and the newest other."""
        numbers = {one.version: one for one in versions}

        def asked(name: str) -> ModelVersion | None:
            text = given.get(name, "")
            if not text:
                return None
            if not text.isdigit() or int(text) not in numbers:
                raise NotFound(
                    f"There is no model version {text[:20]} in this trial.", cure="Choose one from the list."
                )
            return numbers[int(text)]

        serving = registry.serving(self.viewer.trial)
        one = asked("a") or (serving.version if serving else (versions[-1] if versions else None))
        two = asked("b") or next((other for other in versions if one is not None and other.pk != one.pk), None)
        return one, two

    def _going(self, one: ModelVersion | None, two: ModelVersion | None) -> JobRun | None:
        """A run that compares these two right now."""
        if one is None or two is None:
            return None
        runs = JobRun.objects.filter(
            trial=self.viewer.trial, job="compare", state__in=(JobRun.State.WAITING, JobRun.State.RUNNING)
        )
        return runs.filter(arguments__one=one.bundle_path, arguments__two=two.bundle_path).first()


class CompareNow(VersionView):
    """Starts the comparison of two versions."""

    action = "run_job"
    http_method_names = ["post"]

    def post(self, request: HttpRequest, trial: str) -> HttpResponse:
        numbers = [request.POST.get(name, "") for name in ("a", "b")]
        if not all(number.isdigit() for number in numbers):
            raise Invalid("A comparison needs two versions.", cure="Choose both from the lists.")
        one, two = (self.version(int(number)) for number in numbers)
        with transaction.atomic():
            run = pipelines.request(
                by=Actor.person(self.viewer.user),
                job="compare",
                trial_id=trial,
                arguments=comparisons.arguments(one, two),
            )
            transaction.on_commit(lambda: tasks.run.delay(run_id=str(run.pk)))
        return redirect(reverse("portal:run", args=[trial, run.pk]))
