"""The prediction API: one question, one answer, stored before it is said."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar, cast

import orjson
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.permissions import AllowAny
from rest_framework.request import Request as ApiRequest
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.accounts.api import ApiKeyAuthentication, HasScope, actor_of
from apps.accounts.keys import may_see_site
from apps.accounts.methods import READ, answers
from apps.accounts.models import ApiKey
from apps.accounts.throttles import KeyThrottle
from apps.core import clock, correlation, health
from apps.core.errors import Invalid, NotFound
from apps.patients import selectors as patients
from apps.predictions import idempotency
from apps.predictions.api import schema as _schema  # noqa: F401 - registers the key scheme
from apps.predictions.api.errors import exception_handler
from apps.predictions.api.parsers import StrictJsonParser
from apps.predictions.api.serializers import PredictAnswer, PredictRequest, Problem
from apps.predictions.gather import Request
from apps.predictions.metrics import COUNT, LATENCY, recent
from apps.predictions.models import Prediction
from apps.predictions.online import gatherer
from apps.predictions.serving import current
from ml.profile import StudyProfile

TOLERANCE_SECONDS = 60
"""How far from the study's now a question's timestamp may lie."""

PROBLEMS = {
    status: OpenApiResponse(Problem, description=sentence)
    for status, sentence in {
        400: "The body cannot be read: no JSON, no UTF-8, NaN.",
        401: "No key, or a wrong, expired or revoked one.",
        403: "The key has not the scope, or not the patient's site.",
        404: "No such patient in the key's trial.",
        409: "The idempotency key was used with another body.",
        413: "The body is larger than 64 KiB.",
        415: "The body is not application/json.",
        422: "A field breaks a rule, or the timestamp is more than 60 s from the study's now.",
        429: "Too many requests with this key.",
        503: "No model serves, or a part does not answer; Retry-After says when.",
    }.items()
}


class Api(APIView):
    """What every view of the API shares: keys only, strict JSON, problem documents."""

    authentication_classes: Sequence[Any] = (ApiKeyAuthentication,)
    parser_classes = (StrictJsonParser,)
    throttle_classes: Sequence[Any] = (KeyThrottle,)
    permission_classes: Sequence[Any] = (HasScope,)
    required_scope: ClassVar[str] = ""

    def get_exception_handler(self) -> Any:
        return exception_handler


class PredictView(Api):
    """POST /api/v1/predict, alias /predict."""

    required_scope = "predict"

    @extend_schema(
        request=PredictRequest,
        responses={200: PredictAnswer, **PROBLEMS},
        parameters=[
            OpenApiParameter(
                "Idempotency-Key",
                str,
                OpenApiParameter.HEADER,
                description="The same key and body give the same answer for 24 h.",
            )
        ],
        summary="The risk of an adverse event of one patient, now",
    )
    def post(self, request: ApiRequest) -> Response:
        """Ask for one patient's risk in the next 24 hours. The prediction and its audit event are stored first."""
        began = time.perf_counter()
        key = cast("ApiKey", request.auth)
        asked = PredictRequest(data=request.data)
        asked.is_valid(raise_exception=True)
        trial_id = str(key.trial_id)
        patient = patients.patient(trial_id, asked.validated_data["patient_id"])
        if not may_see_site(key, patient.site):
            raise NotFound(
                f"There is no patient {patient.patient_id} in trial {trial_id}.",
                cure="Check the identifier.",
                code="unknown_patient",
            )
        profile = patients.profile(trial_id)
        as_of = as_of_seconds(asked.validated_data.get("timestamp"), profile)
        identity = idempotency.identity(request.headers.get("Idempotency-Key"), key, _digest(request.data))
        prediction = idempotency.once(
            identity,
            lambda: gatherer.ask(Request(trial_id, patient.key, as_of, actor_of(request), correlation.get())),
        )
        LATENCY.labels(source="api").observe(time.perf_counter() - began)
        COUNT.labels(source="api", level=prediction.level).inc()
        recent.add(False)
        return Response(answer_body(prediction, patient.patient_id, profile))


def _digest(body: Any) -> str:
    return hashlib.sha256(orjson.dumps(body, option=orjson.OPT_SORT_KEYS)).hexdigest()


def as_of_seconds(timestamp: datetime | None, profile: StudyProfile) -> int:
    """The as-of time in whole seconds, rounded up. Invalid when it is not within 60 s of the study's now."""
    now = profile.replay_time if profile.replay_time is not None else math.ceil(clock.now().timestamp())
    if timestamp is None:
        return now
    if timestamp.tzinfo is None:
        raise Invalid(
            "The timestamp has no offset from UTC.", cure="Write it like 2026-01-31T08:00:00Z.", code="no_offset"
        )
    asked = math.ceil(timestamp.timestamp())
    named = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    if asked > now + TOLERANCE_SECONDS:
        raise Invalid(
            f"The timestamp lies in the future: the study's now is {named}.",
            cure="Leave the timestamp out to ask about now.",
            code="future_timestamp",
        )
    if asked < now - TOLERANCE_SECONDS:
        raise Invalid(
            f"The timestamp lies more than {TOLERANCE_SECONDS} s before the study's now, {named}.",
            cure="Leave the timestamp out to ask about now; past answers are on the patient's page.",
            code="past_timestamp",
        )
    return asked


def answer_body(prediction: Prediction, patient_id: str, profile: StudyProfile) -> dict[str, Any]:
    """The answer as FR-7.1 names its fields, and what else is needed to read it rightly."""
    serving = current(prediction.trial_id)
    baseline = serving.bundle.baseline_probability if serving is not None else math.nan
    return {
        "prediction_id": str(prediction.pk),
        "patient_id": patient_id,
        "adverse_event_probability": prediction.probability,
        "risk_level": prediction.level,
        "prediction_timestamp": prediction.as_of.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "horizon_hours": profile.horizon_hours,
        "model_version": serving.label if serving is not None else "",
        "research_only": prediction.silent,
        "simulated": profile.simulated,
        "baseline_probability": None if math.isnan(baseline) else baseline,
        "top_risk_factors": prediction.top_factors,
        "reasons": prediction.reasons,
        "correlation_id": prediction.correlation_id,
    }


class HealthView(Api):
    """GET /health: 200 while questions can be answered, 503 with what is wrong otherwise."""

    authentication_classes = ()
    permission_classes = (AllowAny,)
    throttle_classes = ()

    @extend_schema(
        responses={200: OpenApiResponse(description="Ready."), 503: OpenApiResponse(description="Not ready.")}
    )
    def get(self, request: ApiRequest) -> Response:  # noqa: ARG002
        """Each check by name: healthy or not, and a sentence."""
        ready, outcomes = health.run(part="api")
        body = {
            "status": "ok" if ready else "unavailable",
            "checks": {
                row.name: {"healthy": row.healthy, "critical": row.critical, "message": row.message} for row in outcomes
            },
        }
        return Response(body, status=200 if ready else 503, headers={"Cache-Control": "no-store"})


@answers(*READ)
def documentation(request: HttpRequest) -> HttpResponse:
    """GET /api/docs: the OpenAPI document as a page that needs no script."""
    from drf_spectacular.generators import SchemaGenerator

    schema = SchemaGenerator().get_schema(request=None, public=True)
    return render(request, "api/docs.html", {"schema": schema})
