"""One identifier followed from a Kafka header to a page: a context variable, and the middleware that sets it."""

from __future__ import annotations

import re
import uuid
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import structlog
from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest, HttpResponseBase

HEADER = "X-Correlation-ID"
MAX_LENGTH = 64
_SAFE = re.compile(r"\A[A-Za-z0-9][A-Za-z0-9._:-]{0,63}\Z")
_current: ContextVar[str] = ContextVar("correlation_id", default="")


def get() -> str:
    """The identifier of what is being done, "" where none was given."""
    return _current.get()


def new() -> str:
    """A fresh identifier, 32 hexadecimal digits."""
    return uuid.uuid4().hex


def accept(offered: str | None) -> str:
    """``offered`` if it is 1 to 64 letters, digits, ``. _ : -``; else a fresh one, so that no log line can be forged."""
    return offered if offered and _SAFE.match(offered) else new()


@contextmanager
def bound(correlation_id: str | None = None) -> Iterator[str]:
    """Inside the block ``get()`` answers ``correlation_id`` (a fresh one where it is absent or unfit)."""
    value = accept(correlation_id)
    token = _current.set(value)
    try:
        with structlog.contextvars.bound_contextvars(correlation_id=value):  # every log line inside carries it
            yield value
    finally:
        _current.reset(token)


class CorrelationMiddleware:
    """Takes or makes the request's identifier, and returns it in the answer's header."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]]) -> None:
        self.get_response = get_response
        self.asynchronous = iscoroutinefunction(get_response)
        if self.asynchronous:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        if self.asynchronous:
            return self._later(request)
        with bound(request.headers.get(HEADER)) as correlation_id:
            response = self.get_response(request)
            assert isinstance(response, HttpResponseBase)
            response.headers[HEADER] = correlation_id
            return response

    async def _later(self, request: HttpRequest) -> HttpResponseBase:
        with bound(request.headers.get(HEADER)) as correlation_id:
            response = self.get_response(request)
            assert isinstance(response, Awaitable)
            answer = await response
            answer.headers[HEADER] = correlation_id
            return answer
