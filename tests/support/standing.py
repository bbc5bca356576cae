"""A clock that stands still for the whole process and is moved by hand.

``clock.fixed`` holds in its own context only; threads and sockets have contexts of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from apps.core import clock


class StandingClock:
    """In place of the clock's context variable. `moment`: seconds since 1970 UTC."""

    def __init__(self, moment: float) -> None:
        self.moment = moment

    @property
    def now(self) -> datetime:
        return datetime.fromtimestamp(self.moment, UTC)

    def get(self) -> Callable[[], datetime]:
        return lambda: self.now


@contextmanager
def standing(stands: StandingClock) -> Iterator[StandingClock]:
    """Inside the block every thread and every context reads this clock."""
    before = clock._source
    clock._source = stands  # type: ignore[assignment]
    try:
        yield stands
    finally:
        clock._source = before
