"""The portal asked: every address of a door, by everybody, with every method; each answer held against the table of access."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import transaction

from apps.accounts import throttles
from apps.accounts.methods import METHODS
from apps.core import clock
from apps.core.lake import lake as the_lake
from clinical_portal.access.routes import Route, routes
from clinical_portal.access.rules import LET_IN, NO_METHOD, SIGN_IN, UNSEEN, outcome
from clinical_portal.access.visitors import VISITORS, Visitor
from clinical_portal.settings import secure
from tests.support import doors
from tests.support.audit_export import fresh_lake

NOW = datetime(2026, 10, 13, 12, 34, 56, tzinfo=UTC)

#: What every answer bears, to whomever it goes.
HEADERS = {
    "Content-Security-Policy": r"(?=.*default-src 'self')(?=.*script-src 'self'(;|$))(?=.*style-src 'self'(;|$))"
    r"(?=.*object-src 'none')(?=.*base-uri 'none')(?=.*frame-ancestors 'none')(?=.*form-action 'self')(?!.*unsafe)",
    "Strict-Transport-Security": r"max-age=31536000; includeSubDomains; preload$",
    "X-Content-Type-Options": r"nosniff$",
    "X-Frame-Options": r"DENY$",
    "Referrer-Policy": r"same-origin$",
    "Cross-Origin-Opener-Policy": r"same-origin$",
    "Cross-Origin-Resource-Policy": r"same-origin$",
    "Permissions-Policy": r"(?=.*camera=\(\))(?=.*geolocation=\(\))(?=.*microphone=\(\))",
    "Cache-Control": r".*no-store",
}
#: A static file is the same for everybody and may be kept.
OF_FILES = {"Cache-Control": r"(?!.*no-store)"}


@contextmanager
def as_in_production(settings: Any, lake: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What holds where browsers speak HTTPS; without throttles, which have tests of their own."""
    fresh_lake(settings, lake)
    for name in dir(secure):
        if name.isupper():
            setattr(settings, name, getattr(secure, name))
    monkeypatch.setattr(throttles, "wait_for", lambda *_: 0.0)
    logging.disable(logging.CRITICAL)  # a line for each of thousands of refusals
    with clock.fixed(NOW):
        yield
    logging.disable(logging.NOTSET)
    the_lake.cache_clear()


def compare(world: doors.World, door: str) -> int:
    """Ask everything of one door and hold it against the table; how much was asked."""
    asked, differing, bare = 0, [], []
    for route in routes():
        if route.door != door:
            continue
        path = doors.address(route, world.here)
        for method in METHODS:
            for visitor in VISITORS:
                answer = ask(world, route, method, visitor, path)
                asked += 1
                got, wanted = told(answer), outcome(route, method, visitor)
                if got == UNSEEN and doors.empty(route, method, answer):
                    got = LET_IN
                if got != wanted:
                    differing.append(f"{method} {path} as {visitor.label}: {got}, the table says {wanted}")
                if got == NO_METHOD and set(answer["Allow"].split(", ")) != set(route.methods):
                    differing.append(f"{method} {path}: Allow is {answer['Allow']}")
                bare += [f"{method} {path} as {visitor.label}: {fault}" for fault in faults_of(answer, route)]
    assert not differing, f"{len(differing)} of {asked}:\n" + "\n".join(differing[:40])
    assert not bare, f"{len(bare)} of {asked}:\n" + "\n".join(bare[:20])
    return asked


def ask(world: doors.World, route: Route, method: str, visitor: Visitor, path: str) -> Any:
    """One question, and everything as it was before it."""
    client = world.client(visitor)
    if method != "POST" or "POST" not in route.methods:  # nothing else may leave a trace
        return client.generic(method, path, b"", "application/octet-stream", secure=True)
    cookies = copy(client.cookies)
    point = transaction.savepoint()
    try:
        body, kind = doors.body(route, world.here)
        return client.generic(method, path, body, kind, secure=True)
    finally:
        transaction.savepoint_rollback(point)
        client.cookies = cookies


def told(answer: Any) -> str:
    """The answer in the table's words."""
    if answer.status_code == 302 and "next=" in answer["Location"]:
        return SIGN_IN
    if answer.status_code in (401, 403, 404, 405, 429):
        return str(answer.status_code)
    if answer.status_code < 500 or (answer.status_code == 503 and "problem+json" in answer["Content-Type"]):
        return LET_IN
    return f"fault {answer.status_code}"


def faults_of(answer: Any, route: Route) -> list[str]:
    """Headers that are missing or otherwise, and cookies that any neighbour could read or plant."""
    wanted = HEADERS | (OF_FILES if route.door == "files" and answer.status_code == 200 else {})
    found = [
        f"{name}: {answer.get(name)}" for name, pattern in wanted.items() if not re.match(pattern, answer.get(name, ""))
    ]
    found += [name for name in answer.headers if name.startswith("Access-Control-")]
    for name, cookie in answer.cookies.items():
        hidden = cookie["httponly"] or not cookie.value  # the one that takes a cookie away needs not hide anything
        kept = name.startswith("__Host-") and cookie["secure"] and hidden and cookie["path"] == "/"
        if not kept or cookie["domain"] or cookie["samesite"] != "Lax":
            found.append(f"cookie {cookie}")
    return found
