"""Runs of jobs: list, detail with live progress, run again."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from apps.accounts import permissions
from apps.audit.actors import Actor
from apps.core.errors import NotFound
from apps.pipelines import services, tasks
from apps.pipelines.models import JobRun
from apps.portal.presenters import runs as present
from apps.portal.presenters.pager import page_of
from apps.portal.presenters.status import status
from apps.portal.views.base import PortalView

PAGE = 25


class RunsView(PortalView):
    """What the pages of runs share."""

    action = "view_jobs"
    section = "portal:runs"
    help_topic = "runs"

    def runs(self) -> Any:
        """Runs of this trial and those of the platform as a whole."""
        return JobRun.objects.filter(Q(trial=self.viewer.trial) | Q(trial__isnull=True))

    def run(self, pk: UUID) -> JobRun:
        """One of them. Raises NotFound."""
        found: JobRun | None = self.runs().filter(pk=pk).first()
        if found is None:
            raise NotFound("There is no such run in this trial.", cure="Go back to the list of runs.")
        return found

    @property
    def may_run(self) -> bool:
        return permissions.may(self.viewer.user, "run_job", trial=self.viewer.trial)

    def list_context(self, request: HttpRequest) -> dict[str, Any]:
        """The rows of one page of the list."""
        rows, pager = page_of(self.runs().defer("log"), request, PAGE, "run")
        shown = [present.run(row, self.viewer.zone, may_run=False) for row in rows]
        return {"runs": shown, "pager": pager, "going": any(run.going for run in shown)}


class Runs(RunsView):
    """The list."""

    def get(self, request: HttpRequest, trial: str) -> HttpResponse:
        state = status(self.viewer, newest=None, gap=None, silent=False)
        return self.page("portal/runs.html", self.list_context(request) | {"label": state})


class RunsPart(RunsView):
    """The rows alone, asked for while something runs."""

    def get(self, request: HttpRequest, trial: str) -> HttpResponse:
        return self.part("portal/runs_part.html", self.list_context(request))


class Run(RunsView):
    """One run."""

    def get(self, request: HttpRequest, trial: str, pk: UUID) -> HttpResponse:
        run = present.run(self.run(pk), self.viewer.zone, may_run=self.may_run)
        return self.page("portal/run.html", {"run": run})


class RunPart(RunsView):
    """Progress, outcome and log of one run."""

    def get(self, request: HttpRequest, trial: str, pk: UUID) -> HttpResponse:
        return self.part(
            "portal/run_part.html", {"run": present.run(self.run(pk), self.viewer.zone, may_run=self.may_run)}
        )


class RunAgain(RunsView):
    """A failed run, once more, with the same arguments."""

    action = "run_job"
    http_method_names = ["post"]

    def post(self, request: HttpRequest, trial: str, pk: UUID) -> HttpResponse:
        with transaction.atomic():
            again = services.retry(by=Actor.person(self.viewer.user), run=self.run(pk))
            transaction.on_commit(lambda: tasks.run.delay(run_id=str(again.pk)))
        return redirect(reverse("portal:run", args=[trial, again.pk]))
