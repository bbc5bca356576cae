"""GET /metrics in Prometheus' text format: this process's own, or the sum of those that share a folder, and the state
of the platform."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from prometheus_client import CONTENT_TYPE_LATEST

from apps.accounts.methods import READ, answers
from apps.core.metrics import page


@answers(*READ)
def metrics(request: HttpRequest) -> HttpResponse:  # noqa: ARG001
    """All metrics. No patient and no arm is named in any of them; the operators' network alone may reach it."""
    return HttpResponse(page(state=True), content_type=CONTENT_TYPE_LATEST, headers={"Cache-Control": "no-store"})
