"""Pages for what went wrong before or outside a view."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import get_template

from apps.core import correlation
from apps.portal.frame import frame


def _page(request: HttpRequest, status: int, title: str, message: str, cure: str) -> HttpResponse:
    context: dict[str, Any] = {"title": title, "message": message, "cure": cure, "status_code": status}
    user = getattr(request, "user", None)
    if user is not None and user.is_authenticated:
        context["frame"] = frame(user, None)
    return render(request, "portal/error.html", context, status=status)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """400."""
    return _page(
        request,
        400,
        "The request cannot be read",
        "Something in the address or the form is not as this page needs it.",
        "Go back and try again.",
    )


def forbidden(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """403."""
    return _page(
        request,
        403,
        "Not permitted",
        "You may not see or do this.",
        "Ask the administrator of your trial for a role that may.",
    )


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """403, a form that has grown old."""
    return _page(
        request,
        403,
        "The form has expired",
        "It was opened before you signed in, or in another window.",
        "Open the page again and send the form once more.",
    )


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """404."""
    return _page(request, 404, "Not found", "There is nothing at this address.", "Check it, or begin from the start.")


def server_error(request: HttpRequest) -> HttpResponse:
    """500. Names the correlation id, under which the log tells what happened; touches no database."""
    known = correlation.get()
    cure = f"Try again. If it stays, tell your administrator{f' this number: {known}' if known else ''}."
    context = {
        "title": "Something failed on our side",
        "message": "It has been logged.",
        "cure": cure,
        "status_code": 500,
        "again": True,
    }
    return HttpResponse(
        get_template("portal/error.html").render(context), status=500
    )  # no request: no session, no database
