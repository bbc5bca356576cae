"""A table of checks: each app registers its own, ``/health`` and the status page walk them."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from django.db import connection

from apps.core.errors import DomainError

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one check found. ``critical``: the service cannot do its work without it."""

    name: str
    healthy: bool
    critical: bool
    message: str
    milliseconds: float


@dataclass(frozen=True, slots=True)
class Check:
    """A named check: ``probe`` answers a sentence, or raises; ``parts`` are the processes it matters to."""

    name: str
    probe: Callable[[], str]
    critical: bool
    parts: frozenset[str]


_checks: dict[str, Check] = {}


def register(name: str, probe: Callable[[], str], *, critical: bool, parts: Iterable[str] = ("web", "api")) -> None:
    """Add a check, or replace the one of that name."""
    _checks[name] = Check(name=name, probe=probe, critical=critical, parts=frozenset(parts))


def registered() -> tuple[Check, ...]:
    """All checks, by name."""
    return tuple(_checks[name] for name in sorted(_checks))


def run(*, part: str = "web") -> tuple[bool, list[Outcome]]:
    """Whether ``part`` can do its work, and what each of its checks found. A check that fails says no inner detail."""
    outcomes = [_run(check) for check in registered() if part in check.parts]
    return all(outcome.healthy or not outcome.critical for outcome in outcomes), outcomes


def _run(check: Check) -> Outcome:
    started = time.perf_counter()
    try:
        message, healthy = check.probe(), True
    except DomainError as error:
        message, healthy = str(error), False
    except Exception:
        log.exception("health check failed", extra={"check": check.name})
        message, healthy = f"{check.name} does not answer.", False
    return Outcome(check.name, healthy, check.critical, message, (time.perf_counter() - started) * 1000)


def database() -> str:
    """Answers when the database does."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return "The database answers."


register("database", database, critical=True)
