"""Errors as RFC 9457 problem documents, for the API and for plain views. Never a traceback, never a 500 with a reason
of the inside."""

from __future__ import annotations

import logging
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.core.exceptions import ValidationError as FieldErrors
from django.db import DatabaseError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from rest_framework import exceptions as drf
from rest_framework.response import Response

from apps.core import correlation
from apps.core.errors import (
    Conflict,
    DomainError,
    Forbidden,
    Invalid,
    Malformed,
    NotFound,
    TooMany,
    Unauthenticated,
    Unavailable,
)

MEDIA_TYPE = "application/problem+json"
log = logging.getLogger(__name__)


class TooLarge(DomainError):
    """More bytes than are taken."""

    default_code = "too_large"
    default_status = 413
    title = "The request is too large"


class MethodNotAllowed(DomainError):
    """Another HTTP method is meant."""

    default_code = "method_not_allowed"
    default_status = 405
    title = "Method not allowed"


class NotAcceptable(DomainError):
    """No representation the caller takes."""

    default_code = "not_acceptable"
    default_status = 406
    title = "Not acceptable"


class WrongMediaType(DomainError):
    """The body is of a kind that is not read here."""

    default_code = "unsupported_media_type"
    default_status = 415
    title = "Unsupported media type"


class Unexpected(DomainError):
    """A fault of ours."""

    default_code = "unexpected"
    default_status = 500
    title = "Something went wrong on our side"


def document(error: DomainError, *, instance: str = "") -> dict[str, Any]:
    """The problem document of an error: the RFC's members, and ``code``, ``cure``, ``correlation_id``."""
    return {
        "type": f"urn:problem:{error.code}",
        "title": error.title,
        "status": error.status,
        "detail": error.message,
        "instance": instance,
        "code": error.code,
        "cure": error.cure,
        "correlation_id": correlation.get(),
        **error.extra,
    }


def translate(error: BaseException) -> DomainError:
    """Any exception as a DomainError; what is not known becomes a plain 500 whose inside goes to the log only."""
    if isinstance(error, DomainError):
        return error
    for kinds, make in _TRANSLATIONS:
        if isinstance(error, kinds) and (problem := make(error)) is not None:
            return problem
    log.error("unexpected error", exc_info=error)
    return Unexpected("Something went wrong on our side.", cure="Tell us the correlation_id of this answer.")


def refused_by_trigger(error: BaseException) -> DomainError | None:
    """The domain error behind a refusal of our triggers (their SQLSTATEs begin with AU), else None."""
    state = getattr(getattr(error, "__cause__", None), "pgcode", None) or ""
    if state == "AU001":
        return Unexpected("A write without its audit event was refused.", code="not_audited")
    if state == "AU002":
        return Conflict("This record is written once and never changed.", code="insert_only")
    return None


def exception_handler(error: Exception, context: dict[str, Any]) -> Response:
    """DRF's EXCEPTION_HANDLER: every answer that is an error is a problem document."""
    problem = translate(error)
    request = context.get("request")
    body = document(problem, instance=request.path if request is not None else "")
    response = Response(body, status=problem.status, content_type=MEDIA_TYPE, headers=_headers(problem))
    if isinstance(error, drf.APIException) and (challenge := getattr(error, "auth_header", None)):
        response["WWW-Authenticate"] = challenge
    elif problem.status == HTTPStatus.UNAUTHORIZED:
        response["WWW-Authenticate"] = "Api-Key"
    return response


def response_for(request: HttpRequest, error: BaseException) -> HttpResponse:
    """The same for a plain Django view or a handler of the API's URLs."""
    problem = translate(error)
    body = document(problem, instance=request.path)
    return JsonResponse(body, status=problem.status, content_type=MEDIA_TYPE, headers=_headers(problem))


def _headers(problem: DomainError) -> dict[str, str]:
    headers = {"Cache-Control": "no-store"}
    if "retry_after" in problem.extra:
        headers["Retry-After"] = str(problem.extra["retry_after"])
    return headers


def _text(error: BaseException) -> str:
    detail = getattr(error, "detail", None)
    return str(detail) if isinstance(detail, str) else str(error)


def _fields(detail: Any, path: str = "") -> list[dict[str, str]]:
    """DRF's nested error details as a flat list of {field, message}."""
    if isinstance(detail, dict):
        return [row for name, inner in detail.items() for row in _fields(inner, f"{path}.{name}".strip("."))]
    if isinstance(detail, list):
        return [row for inner in detail for row in _fields(inner, path)]
    return [{"field": path, "message": str(detail)}]


def _throttled(error: drf.Throttled) -> DomainError:
    wait = int(getattr(error, "wait", None) or 1)
    return TooMany("Too many requests with this key.", cure=f"Wait {wait} s.", extra={"retry_after": wait})


def _unavailable(error: OperationalError) -> DomainError:
    log.error("database unavailable", exc_info=error)
    return Unavailable("The database does not answer just now.", cure="Try again in a few seconds.")


def _refused(error: DatabaseError) -> DomainError | None:
    if (refusal := refused_by_trigger(error)) is not None:
        log.error("write refused by the database", exc_info=error)
    return refusal


def _other(error: drf.APIException) -> DomainError | None:
    if error.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return None
    return DomainError(_text(error), code=str(error.default_code), status=error.status_code)


#: Looked through in this order: the particular before the general. None = not this one after all.
_TRANSLATIONS: tuple[
    tuple[type[BaseException] | tuple[type[BaseException], ...], Callable[[Any], DomainError | None]], ...
] = (
    (Http404, lambda _: NotFound("There is nothing at this address.", cure="Check the address.")),
    (
        (PermissionDenied, drf.PermissionDenied),
        lambda _: Forbidden("You may not do this.", cure="Ask an administrator for the role it needs."),
    ),
    (
        (drf.NotAuthenticated, drf.AuthenticationFailed),
        lambda error: Unauthenticated(_text(error), cure="Send a valid key as Authorization: Api-Key <key>."),
    ),
    (
        drf.ParseError,
        lambda _: Malformed(
            "The body is not readable JSON in UTF-8.", cure="Send one JSON object, without NaN or Infinity."
        ),
    ),
    (drf.UnsupportedMediaType, lambda error: WrongMediaType(_text(error), cure="Send Content-Type: application/json.")),
    (
        drf.MethodNotAllowed,
        lambda error: MethodNotAllowed(_text(error), cure="See the allowed methods in the Allow header."),
    ),
    (drf.NotAcceptable, lambda error: NotAcceptable(_text(error), cure="Ask for application/json.")),
    (drf.Throttled, _throttled),
    (
        drf.ValidationError,
        lambda error: Invalid(
            "The request breaks a rule.", cure="See errors.", extra={"errors": _fields(error.detail)}
        ),
    ),
    (FieldErrors, lambda error: Invalid(" ".join(error.messages), cure="Correct what is named and try again.")),
    (RequestDataTooBig, lambda _: TooLarge("The body is larger than is taken here.", cure="Send at most 1 MiB.")),
    (
        SuspiciousOperation,
        lambda _: Malformed("The request is malformed.", cure="Send it again through an ordinary client."),
    ),
    (drf.APIException, _other),
    (OperationalError, _unavailable),
    (DatabaseError, _refused),
)
