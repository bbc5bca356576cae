"""The monitoring page, its export, and the two things one can do there: look now, and train anew."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from apps.accounts import permissions
from apps.audit.actors import Actor
from apps.core import spreadsheet
from apps.core.errors import Invalid, NotFound
from apps.monitoring import selectors, services
from apps.monitoring.operations import freshness
from apps.monitoring.performance import first_due
from apps.monitoring.sampling import reference_of
from apps.pipelines import services as pipelines
from apps.pipelines import tasks
from apps.pipelines.models import JobRun
from apps.portal.presenters import feature_words
from apps.portal.presenters import monitoring as present
from apps.portal.views.base import PortalView
from apps.registry import selectors as registry
from apps.registry.models import ModelVersion
from ml.lake import LakeError

DAYS = 60
LONGEST_WHY = 300


class MonitoringView(PortalView):
    """What the addresses of monitoring share."""

    action = "view_monitoring"
    section = "portal:monitoring"
    help_topic = "monitoring"


class Monitoring(MonitoringView):
    """The page."""

    def get(self, request: HttpRequest, trial: str) -> HttpResponse:
        viewer = self.viewer
        serving = registry.serving(trial)
        version = serving.version if serving is not None else None
        check = selectors.last_check(trial)
        reports = [
            one
            for one in selectors.daily_reports(trial, DAYS, viewer.now)
            if version and one.model_version_id == version.pk
        ]
        monitoring = present.page(
            viewer,
            version=version,
            check=check,
            checks=selectors.recent_checks(trial),
            reports=reports,
            freshness=freshness(),
            comparisons=selectors.comparisons(trial),
            runs=selectors.retrainings(trial, most=5),
            due=self._due(version),
        )
        context = {
            "monitoring": monitoring,
            "version": version,
            "simulated": viewer.trial.simulated,
            "research_only": bool(serving and serving.silent),
            "may_run": permissions.may(viewer.user, "run_job", trial=trial),
            "sees_runs": permissions.may(viewer.user, "view_jobs", trial=trial),
            "window_words": present.window_words(),
            "looking": JobRun.objects.filter(trial_id=trial, job="monitor", state__in=selectors.ACTIVE).first(),
            "busy": selectors.busy_run(trial),
            "longest": LONGEST_WHY,
        }
        return self.page("portal/monitoring.html", context)

    def _due(self, version: ModelVersion | None) -> Any:
        if version is None:
            return None
        try:
            reference = reference_of(version)
        except (ValueError, LakeError):
            reference = None
        return first_due(version, self.viewer.profile, reference)


class CheckNow(MonitoringView):
    """Look now: a run of the monitoring job, followed on its own page."""

    action = "run_job"
    http_method_names = ["post"]

    def post(self, request: HttpRequest, trial: str) -> HttpResponse:
        with transaction.atomic():
            run = JobRun.objects.filter(trial_id=trial, job="monitor", state__in=selectors.ACTIVE).first()
            if run is None:
                run = pipelines.request(by=Actor.person(self.viewer.user), job="monitor", trial_id=trial)
                asked = str(run.pk)
                transaction.on_commit(lambda: tasks.run.delay(run_id=asked))
        return redirect(reverse("portal:run", args=[trial, run.pk]))


class RetrainNow(MonitoringView):
    """Train anew: the whole pipeline, asked for with a reason."""

    action = "run_job"
    http_method_names = ["post"]

    def post(self, request: HttpRequest, trial: str) -> HttpResponse:
        why = request.POST.get("why", "").strip()
        if not why or len(why) > LONGEST_WHY:
            raise Invalid(
                f"Say in up to {LONGEST_WHY} characters why the model is to be trained anew.",
                cure="Go back and write the reason; it is kept in the audit trail.",
                code="reason_missing",
            )
        with transaction.atomic():
            run = services.request_retraining(by=self.viewer.user, trial_id=trial, reason="manual", why=why)
            transaction.on_commit(lambda: tasks.run.delay(run_id=str(run.pk)))
        return redirect(reverse("portal:run", args=[trial, run.pk]))


class DriftCsv(MonitoringView):
    """The last check's drift table as CSV."""

    http_method_names = ["get", "head"]

    def get(self, request: HttpRequest, trial: str) -> HttpResponse:
        check = selectors.last_check(trial)
        if check is None or not check.drift:
            raise NotFound(
                "No drift has been measured in this trial yet.", cure="Press Check now on the monitoring page."
            )
        rows = [
            row
            for row in check.drift
            if not feature_words.hidden(row["feature"], blinded=self.viewer.blinded, personal=True)
        ]
        body = "".join(spreadsheet.lines([*rows[0]], (row.values() for row in rows)))
        answer = HttpResponse(body, content_type="text/csv; charset=utf-8")
        answer.headers["Content-Disposition"] = f'attachment; filename="drift-{trial}-{check.at:%Y%m%dT%H%M}Z.csv"'
        return answer
