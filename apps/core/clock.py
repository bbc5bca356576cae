"""The one place that reads the time of day.

Domain code asks ``clock.now()``; a test, a replay or a finished trial's page sets the answer with ``clock.fixed(...)``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime

_source: ContextVar[Callable[[], datetime] | None] = ContextVar("clock_source", default=None)


def now() -> datetime:
    """The current moment, aware, in UTC, with microseconds."""
    source = _source.get()
    return datetime.now(UTC) if source is None else source()


@contextmanager
def fixed(moment: datetime) -> Iterator[None]:
    """Inside the block ``now()`` answers ``moment`` (aware; raises ValueError otherwise)."""
    if moment.tzinfo is None:
        raise ValueError("A clock needs a moment with a time zone, such as datetime(2026, 1, 1, tzinfo=UTC).")
    with source(lambda: moment.astimezone(UTC)):
        yield


@contextmanager
def source(read: Callable[[], datetime]) -> Iterator[None]:
    """Inside the block ``now()`` calls ``read`` (used by accelerated simulations)."""
    token = _source.set(read)
    try:
        yield
    finally:
        _source.reset(token)
