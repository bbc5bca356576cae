"""Every address, asked by everybody with every method, answers as the table of access says, with every header.

The table is worked out from what views declare (``clinical_portal.access``); here the portal itself is asked.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import transaction

from apps.accounts import throttles
from apps.accounts.methods import METHODS
from apps.core import clock
from clinical_portal.access.routes import Route, routes
from clinical_portal.access.rules import LET_IN, NO_METHOD, SIGN_IN, outcome
from clinical_portal.access.visitors import VISITORS, Visitor
from clinical_portal.settings import secure
from tests.support import doors

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 10, 13, 12, 34, 56, tzinfo=UTC)
DOORS = ("portal", "api", "admin", "files")

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


@pytest.fixture(autouse=True)
def _secure(valkey: Any, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(throttles, "wait_for", lambda *_: 0.0)  # it has tests of its own
    logging.disable(logging.CRITICAL)  # a line for each of thousands of refusals
    for name in dir(secure):
        if name.isupper():
            setattr(settings, name, getattr(secure, name))
    with clock.fixed(NOW):
        yield
    logging.disable(logging.NOTSET)


@pytest.fixture
def world() -> doors.World:
    return doors.world(NOW)


def ask(world: doors.World, route: Route, method: str, visitor: Visitor, path: str) -> Any:
    """One question, and everything as it was before it."""
    client = world.client(visitor)
    cookies = client.cookies.copy()
    point = transaction.savepoint()
    try:
        body, kind = doors.body(route, world.here) if method == "POST" else (b"", "application/octet-stream")
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


@pytest.mark.parametrize("door", DOORS)
def test_everybody_is_answered_as_the_table_says(world: doors.World, door: str) -> None:
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
                if got != wanted:
                    differing.append(f"{method} {path} as {visitor.label}: {got}, the table says {wanted}")
                if got == NO_METHOD and set(answer["Allow"].split(", ")) != set(route.methods):
                    differing.append(f"{method} {path}: Allow is {answer['Allow']}")
                bare += [f"{method} {path} as {visitor.label}: {fault}" for fault in faults_of(answer, route)]
    assert asked >= len(METHODS) * len(VISITORS), "nothing was asked"
    assert not differing, f"{len(differing)} of {asked}:\n" + "\n".join(differing[:40])
    assert not bare, f"{len(bare)} of {asked}:\n" + "\n".join(bare[:20])
