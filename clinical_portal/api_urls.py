"""Addresses of the prediction API's process: the API alone. It has no sessions, so pages and admin are not there."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, URLResolver, include, path

from apps.core import problems
from apps.core.errors import Forbidden, Malformed, NotFound
from clinical_portal.urls import API_MOUNTS, exists

urlpatterns: list[URLPattern | URLResolver] = [
    path(prefix, include(module)) for module, prefix in API_MOUNTS if exists(module)
]


def handler400(request: HttpRequest, exception: Any = None) -> HttpResponse:  # noqa: ARG001
    """A problem document."""
    return problems.response_for(
        request, Malformed("The request is malformed.", cure="Send it through an ordinary client.")
    )


def handler403(request: HttpRequest, exception: Any = None) -> HttpResponse:  # noqa: ARG001
    """A problem document."""
    return problems.response_for(request, Forbidden("You may not do this."))


def handler404(request: HttpRequest, exception: Any = None) -> HttpResponse:  # noqa: ARG001
    """A problem document."""
    return problems.response_for(request, NotFound("There is nothing at this address.", cure="Check the address."))


def handler500(request: HttpRequest) -> HttpResponse:
    """A problem document that says nothing of the inside."""
    return problems.response_for(request, problems.Unexpected("Something went wrong on our side."))
