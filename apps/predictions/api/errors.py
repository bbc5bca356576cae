"""The problem documents of the API: every refusal counted, none with a traceback."""

from __future__ import annotations

from typing import Any

from rest_framework.response import Response

from apps.core import problems
from apps.predictions.metrics import ERRORS, recent


def exception_handler(error: Exception, context: dict[str, Any]) -> Response:
    """DRF's EXCEPTION_HANDLER for the API."""
    response = problems.exception_handler(error, context)
    ERRORS.labels(code=str(response.status_code)).inc()
    recent.add(response.status_code >= 500)
    return response
