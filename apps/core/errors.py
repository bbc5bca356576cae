"""Errors a person may read: what happened, and what to do about it.

Services raise these; ``core.problems`` turns them into RFC 9457 answers, pages and commands print ``str(error)``.
"""

from __future__ import annotations

from typing import Any, ClassVar


class DomainError(Exception):
    """A refusal in words: ``code`` for machines, ``message`` and ``cure`` for people, ``status`` for HTTP."""

    default_code: ClassVar[str] = "domain_error"
    default_status: ClassVar[int] = 400
    title: ClassVar[str] = "The request could not be carried out"

    def __init__(
        self,
        message: str,
        *,
        cure: str = "",
        code: str | None = None,
        status: int | None = None,
        extra: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.cure = cure
        self.code = code or self.default_code
        self.status = status or self.default_status
        # Members added to the problem document beside the standard ones (field errors, retry times).
        self.extra = extra or {}

    def __str__(self) -> str:
        return f"{self.message} {self.cure}".strip()


class Invalid(DomainError):
    """What was sent breaks a rule."""

    default_code = "invalid"
    default_status = 422
    title = "The request breaks a rule"


class Malformed(DomainError):
    """What was sent cannot be read at all."""

    default_code = "malformed"
    default_status = 400
    title = "The request cannot be read"


class Unauthenticated(DomainError):
    """Nobody is known to be asking."""

    default_code = "unauthenticated"
    default_status = 401
    title = "Sign-in or an API key is needed"


class Forbidden(DomainError):
    """Who asks is known, and may not."""

    default_code = "forbidden"
    default_status = 403
    title = "Not permitted"


class NotFound(DomainError):
    """The thing named does not exist, or may not be known to exist."""

    default_code = "not_found"
    default_status = 404
    title = "Not found"


class Conflict(DomainError):
    """The thing's present state does not allow it."""

    default_code = "conflict"
    default_status = 409
    title = "The present state does not allow this"


class TooMany(DomainError):
    """Asked too often."""

    default_code = "too_many"
    default_status = 429
    title = "Too many requests"


class Unavailable(DomainError):
    """A part this answer needs is not there just now."""

    default_code = "unavailable"
    default_status = 503
    title = "Not available just now"


class NotAudited(DomainError):
    """A write was about to happen without its audit event: a fault of ours, never of the person."""

    default_code = "not_audited"
    default_status = 500
    title = "The write was refused because it could not be audited"
