"""Retraining as another system asks for it: start the whole pipeline, and look how far it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast
from uuid import UUID

from django.db import transaction
from django.urls import reverse
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.models import ApiKey
from apps.core import problems
from apps.core.errors import Conflict, NotFound
from apps.monitoring import selectors, services
from apps.pipelines import tasks
from apps.pipelines.models import JobRun
from apps.predictions.api.serializers import Problem
from apps.predictions.api.views import PROBLEMS, Api


class RetrainRequest(serializers.Serializer[dict[str, Any]]):
    """Why it is asked for."""

    why = serializers.CharField(
        required=False, max_length=300, default="asked for through the API", help_text="Kept in the audit trail."
    )


class RetrainAnswer(serializers.Serializer[dict[str, Any]]):
    """How far a retraining is, and what it ended in."""

    run_id = serializers.UUIDField()
    url = serializers.CharField(help_text="GET this address for the state.")
    trial_id = serializers.CharField()
    state = serializers.ChoiceField(JobRun.State.values)
    reason = serializers.CharField(help_text="manual, performance or drift; schedule for the weekly training.")
    progress = serializers.IntegerField(help_text="0 to 100.")
    step = serializers.CharField(help_text="What is being done.")
    requested_at = serializers.DateTimeField()
    started_at = serializers.DateTimeField(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)
    candidate = serializers.CharField(allow_null=True, help_text="The model version it ended in; it serves nobody yet.")
    comparison = serializers.DictField(
        allow_null=True, help_text="The candidate against what serves, on the same held-out patients."
    )
    error = serializers.CharField(allow_blank=True)
    cure = serializers.CharField(allow_blank=True)


RETRAIN_PROBLEMS = {
    **{status: PROBLEMS[status] for status in (400, 401, 403, 413, 415, 422, 429)},
    409: OpenApiResponse(Problem, description="One waits or runs already; `run` and `url` say which."),
}


class Retraining(Api):
    """What both addresses share. Their refusals are not counted as predictions that failed."""

    required_scope = "retrain"

    def get_exception_handler(self) -> Any:
        return problems.exception_handler


class RetrainView(Retraining):
    """POST /api/v1/retrain, alias /retrain."""

    @extend_schema(
        request=RetrainRequest,
        responses={202: RetrainAnswer, **RETRAIN_PROBLEMS},
        summary="Train the key's trial anew: from bronze to a candidate compared with what serves",
    )
    def post(self, request: Request) -> Response:
        """Start the whole pipeline. It ends in a candidate; to make that serve takes two signatures in the portal."""
        key = cast("ApiKey", request.auth)
        asked = RetrainRequest(data=request.data or {})
        asked.is_valid(raise_exception=True)
        try:
            with transaction.atomic():
                run = services.request_retraining(
                    by=key, trial_id=str(key.trial_id), reason="manual", why=asked.validated_data["why"]
                )
                transaction.on_commit(lambda: tasks.run.delay(run_id=str(run.pk)))
        except Conflict as error:
            if "run" in error.extra:
                error.extra["url"] = address(error.extra["run"])
            raise
        return Response(body_of(run), status=202, headers={"Location": address(run.pk), "Cache-Control": "no-store"})


class RetrainRunView(Retraining):
    """GET /api/v1/retrain/<run>."""

    @extend_schema(
        responses={200: RetrainAnswer, 401: PROBLEMS[401], 403: PROBLEMS[403], 404: PROBLEMS[404]},
        summary="How far a retraining is, and what it ended in",
    )
    def get(self, request: Request, run: UUID) -> Response:
        """The state of one retraining of the key's trial."""
        key = cast("ApiKey", request.auth)
        found = JobRun.objects.filter(pk=run, trial_id=key.trial_id).first()
        if found is None or not selectors.trains(found.job):
            raise NotFound(
                f"There is no retraining {run} of this key's trial.", cure="Check the address.", code="no_run"
            )
        return Response(body_of(found), headers={"Cache-Control": "no-store"})


def address(run: object) -> str:
    """Where the state of a run is read."""
    return reverse("api-retrain-run", args=[run])


def body_of(run: JobRun) -> dict[str, Any]:
    """A run as the API tells it."""
    found = selectors.comparison_of_run(run)
    ended = run.state == JobRun.State.SUCCEEDED
    return {
        "run_id": str(run.pk),
        "url": address(run.pk),
        "trial_id": run.trial_id,
        "state": run.state,
        "reason": run.arguments.get("reason", "schedule"),
        "progress": run.progress,
        "step": run.step,
        "requested_at": run.created_at,
        "started_at": run.started_at,
        "finished_at": run.finished_at,
        "candidate": run.outcome.get("version") if ended else None,
        "comparison": {
            "outcome": found.outcome if found else run.outcome.get("comparison_outcome", ""),
            "sentence": found.sentence if found else run.outcome.get("comparison", ""),
            "serving": str(found.serving) if found else None,
            "simulated": found.simulated if found else None,
            **(_figures(found.body) if found else {}),
        }
        if ended
        else None,
        "error": run.error,
        "cure": run.cure,
    }


def _figures(body: Mapping[str, Any]) -> dict[str, Any]:
    """What a comparison rests on: AUROC of both with its interval, and the candidate's less the serving one's."""
    auroc = body["figures"]["auroc"]
    return {
        **{name: body[name] for name in ("rows", "patients", "events", "data_version", "labels_known_by")},
        "auroc_candidate": auroc["two"],
        "auroc_serving": auroc["one"],
        "difference": auroc["gain"],
    }
