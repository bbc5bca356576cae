"""Nobody reaches what belongs to another trial or site, and no answer tells whether it exists.

For each address with an identifier, what is really there but not theirs is asked for beside what nowhere is: both answers
must be the same bytes, the identifier itself and what is drawn by lot aside.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from django.test import Client

from apps.accounts import throttles
from apps.accounts.models import User
from apps.accounts.roles import ROLES
from apps.core import clock
from clinical_portal.access.routes import Route, routes
from clinical_portal.access.rules import OF_A_SITE, PATIENT_IN_BODY
from clinical_portal.access.visitors import BY_NAME
from tests.support import doors, people

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 10, 13, 12, 34, 56, tzinfo=UTC)
#: Drawn by lot for each answer.
BY_LOT = (
    (r'name="csrfmiddlewaretoken" value="[^"]+"', ""),
    (r"[0-9a-f]{32}", "<correlation>"),
)
#: A number that means something in every trial.
NUMBERS = frozenset({"version"})


@pytest.fixture(autouse=True)
def _now(valkey: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(throttles, "wait_for", lambda *_: 0.0)
    logging.disable(logging.CRITICAL)
    with clock.fixed(NOW):
        yield
    logging.disable(logging.NOTSET)


@pytest.fixture
def world() -> doors.World:
    return doors.world(NOW)


def insider(world: doors.World) -> Client:
    """Somebody with every role in the first trial, and none in the other."""
    user = people.person("insider", *ROLES, at=world.here.trial)
    User.objects.filter(pk=user.pk).update(is_staff=True)
    client = Client(raise_request_exception=False)
    client.force_login(User.objects.get(pk=user.pk), backend="apps.accounts.backends.HouseBackend")
    return client


def answer(client: Client, route: Route, path: str, body: bytes = b"") -> tuple[int, str]:
    """Status and body, without the address's own identifiers and without what is drawn by lot."""
    method = "GET" if "GET" in route.methods else "POST"
    kind = "application/json" if route.door == "api" else "application/x-www-form-urlencoded"
    got = client.generic(method, path, body, kind)
    text = got.content.decode(errors="replace")
    for part in (*path.strip("/").split("/"), *re.findall(rb'"patient_id": "([^"]+)"', body)):
        name = part.decode() if isinstance(part, bytes) else part
        if re.search(r"\d|nowhere", name):
            text = text.replace(name, "<id>")
    for pattern, instead in BY_LOT:
        text = re.sub(pattern, instead, text)
    return got.status_code, re.sub(r"\s+", " ", text)


def with_objects(*doors_: str) -> list[Route]:
    """Addresses with an identifier besides the trial's."""
    return [
        one for one in routes() if one.door in doors_ and set(one.fields) - {"trial"} - NUMBERS and one.methods
        and not one.pattern.endswith("(?P<url>.*)$") and one.name not in ("admin:app_list", "admin:view_on_site")
    ]  # fmt: skip


def test_what_belongs_to_another_trial_is_not_there(world: doors.World) -> None:
    client, differing = insider(world), []
    for route in with_objects("portal"):
        own = doors.values(route, world.here)
        theirs = doors.values(route, world.other) | {"trial": own["trial"]}
        nowhere = doors.missing(route, world.here) | {"trial": own["trial"]}
        got = answer(client, route, doors.address(route, world.here, **theirs))
        if got != answer(client, route, doors.address(route, world.here, **nowhere)) or got[0] != 404:
            differing.append(f"{route.name}: {got[0]} {got[1][:200]}")
    assert len(with_objects("portal")) >= 5
    assert not differing, "\n".join(differing)


def test_another_trial_is_not_there_either(world: doors.World) -> None:
    client, differing = insider(world), []
    for route in routes():
        if route.door == "portal" and "trial" in route.fields:
            theirs = doors.address(route, world.other)
            nowhere = doors.address(route, world.here, **(doors.missing(route, world.here) | {"trial": "NOWHERE9"}))
            got = answer(client, route, theirs)
            if got != answer(client, route, nowhere) or got[0] != 403:
                differing.append(f"{route.name}: {got[0]} {got[1][:200]}")
    assert not differing, "\n".join(differing)


def test_what_belongs_to_another_site_is_not_there(world: doors.World) -> None:
    client, differing, asked = world.clients["other_site"], [], 0
    for route in with_objects("portal"):
        if OF_A_SITE & set(route.fields):
            asked += 1
            nowhere = doors.missing(route, world.here) | {"trial": world.here.trial.pk}
            got = answer(client, route, doors.address(route, world.here))
            if got != answer(client, route, doors.address(route, world.here, **nowhere)) or got[0] not in (403, 404):
                differing.append(f"{route.name}: {got[0]} {got[1][:200]}")
    assert asked >= 3
    assert not differing, "\n".join(differing)


def test_rows_of_another_trial_are_not_in_the_admin(world: doors.World) -> None:
    client, differing = insider(world), []
    shared = {"user", "logentry", "periodictask"}  # people and schedules belong to no trial
    for route in with_objects("admin"):
        if not route.name.startswith("admin:") or any(f"/{name}/" in route.pattern for name in shared):
            continue
        got = answer(client, route, doors.address(route, world.other))
        if got != answer(client, route, doors.address(route, world.other, **doors.missing(route, world.other))):
            differing.append(f"{route.name}: {got[0]} {got[1][:200]}")
        if got[0] not in (403, 404):
            differing.append(f"{route.name}: {got[0]}")
    assert not differing, "\n".join(differing)


def test_lists_in_the_admin_hold_nothing_of_another_trial(world: doors.World) -> None:
    client = insider(world)
    for name in ("accounts/rolegrant", "accounts/apikey", "patients/site", "registry/modelversion", "audit/auditevent"):
        page = client.get(f"/admin/{name}/").content.decode()
        assert "DEMO" in page, name
        assert "OTHER" not in page, name


@pytest.mark.parametrize("visitor", ["key_other_trial", "key_other_site"])
def test_a_key_reaches_nothing_beyond_its_trial_and_sites(world: doors.World, visitor: str) -> None:
    client, differing, asked = world.clients[visitor], [], 0
    for route in routes():
        if route.door != "api" or not (OF_A_SITE & set(route.fields) or route.name in PATIENT_IN_BODY):
            continue
        asked += 1
        there, nowhere = (
            json.dumps({"patient_id": name}).encode() if route.name in PATIENT_IN_BODY else b""
            for name in (world.here.patients[0].patient_id, "999-9999")
        )
        got = answer(client, route, doors.address(route, world.here), there)
        other = doors.address(route, world.here, **doors.missing(route, world.here))
        if got != answer(client, route, other, nowhere) or got[0] != 404:
            differing.append(f"{route.name}: {got[0]} {got[1][:200]}")
    assert asked >= 2
    assert BY_NAME[visitor].scopes
    assert not differing, "\n".join(differing)
