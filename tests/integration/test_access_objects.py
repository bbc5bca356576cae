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
from apps.core.lake import lake as the_lake
from clinical_portal.access.routes import Route, routes
from clinical_portal.access.rules import PATIENT_IN_BODY, of_a_site
from clinical_portal.access.visitors import BY_NAME
from tests.support import doors, people
from tests.support.audit_export import fresh_lake

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 10, 13, 12, 34, 56, tzinfo=UTC)
#: Drawn by lot for each answer.
BY_LOT = (
    (r'name="csrfmiddlewaretoken" value="[^"]+"', ""),
    (r'"X-CSRFToken": "[^"]+"', ""),
    (r"[0-9a-f]{32}", "<correlation>"),
)
UNBLINDED = tuple(role.name for role in ROLES.values() if role.unblinded)
BLINDED = tuple(role.name for role in ROLES.values() if not role.unblinded)


@pytest.fixture(autouse=True)
def _now(valkey: Any, lake: str, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    fresh_lake(settings, lake)
    monkeypatch.setattr(throttles, "wait_for", lambda *_: 0.0)
    logging.disable(logging.CRITICAL)
    with clock.fixed(NOW):
        yield
    logging.disable(logging.NOTSET)
    the_lake.cache_clear()


@pytest.fixture
def world() -> doors.World:
    return doors.world(NOW)


def insider(world: doors.World, *roles: str) -> Client:
    """Somebody with these roles in the first trial, and none in the other."""
    user = people.person("insider", *roles, at=world.here.trial)
    User.objects.filter(pk=user.pk).update(is_staff=True)
    client = Client(raise_request_exception=False)
    client.force_login(User.objects.get(pk=user.pk), backend="apps.accounts.backends.HouseBackend")
    return client


def answer(client: Client, route: Route, path: str, body: bytes = b"") -> tuple[int, str]:
    """Status and body, without the address's own identifiers and without what is drawn by lot."""
    method = "GET" if "GET" in route.methods else "POST"
    kind = "application/json" if route.door == "api" else "application/x-www-form-urlencoded"
    got = client.generic(method, path, body, kind)
    text = re.sub(r"(?s)<svg.*?</svg>", "", got.content.decode(errors="replace"))  # drawings hold numbers of their own
    named = re.findall(rb'"patient_id": "([^"]+)"', body)
    for name in (*path.strip("/").split("/"), *(one.decode() for one in named)):
        if name.isdigit():  # also stands where it means something else
            text = re.sub(rf"(?<=[/ ]){name}(?=[/ ])", "<id>", text)
        elif re.search(r"\d|nowhere|OTHER", name):
            text = text.replace(name, "<id>")
    for pattern, instead in BY_LOT:
        text = re.sub(pattern, instead, text)
    return got.status_code, re.sub(r"\s+", " ", text)


def beside(got: tuple[int, str], other: tuple[int, str]) -> str:
    """Both statuses, and where the texts part."""
    at = next((place for place, (a, b) in enumerate(zip(got[1], other[1], strict=False)) if a != b), 0)
    return f"{got[0]} and {other[0]}: …{got[1][max(0, at - 40) : at + 60]}… and …{other[1][max(0, at - 40) : at + 60]}…"


def with_objects(*doors_: str) -> list[Route]:
    """Addresses with an identifier besides the trial's."""
    return [
        one for one in routes() if one.door in doors_ and set(one.fields) - doors.ALIKE and one.methods
        and not one.pattern.endswith("(?P<url>.*)$") and one.name not in ("admin:app_list", "admin:view_on_site")
    ]  # fmt: skip


@pytest.mark.parametrize(("roles", "fewest"), [(UNBLINDED, 25), (BLINDED, 5)])
def test_what_belongs_to_another_trial_is_not_there(world: doors.World, roles: tuple[str, ...], fewest: int) -> None:
    client, differing, unseen = insider(world, *roles), [], 0
    for route in with_objects("portal"):
        if "trial" not in route.fields:
            continue
        own = doors.values(route, world.here)
        alike = {name: value for name, value in own.items() if name in doors.ALIKE}
        theirs = doors.values(route, world.other) | alike
        nowhere = doors.missing(route, world.here) | alike
        got = answer(client, route, doors.address(route, world.here, **theirs))
        other = answer(client, route, doors.address(route, world.here, **nowhere))
        if got != other or got[0] not in (403, 404):
            differing.append(f"{route.name}: {beside(got, other)}")
        unseen += got[0] == 404
    assert unseen >= fewest, unseen
    assert not differing, "\n".join(differing)


def test_another_trial_is_not_there_either(world: doors.World) -> None:
    client, differing = insider(world, *UNBLINDED), []
    for route in routes():
        if route.door == "portal" and "trial" in route.fields:
            theirs = doors.address(route, world.other)
            nowhere = doors.address(route, world.here, **(doors.missing(route, world.here) | {"trial": "NOWHERE9"}))
            got, other = answer(client, route, theirs), answer(client, route, nowhere)
            if got != other or got[0] != 403:
                differing.append(f"{route.name}: {beside(got, other)}")
    assert not differing, "\n".join(differing)


def test_what_belongs_to_another_site_is_not_there(world: doors.World) -> None:
    client, differing, asked = world.clients["other_site"], [], 0
    for route in with_objects("portal"):
        if of_a_site(route):
            asked += 1
            alike = {name: value for name, value in doors.values(route, world.here).items() if name in doors.ALIKE}
            nowhere = doors.missing(route, world.here) | alike
            got = answer(client, route, doors.address(route, world.here))
            other = answer(client, route, doors.address(route, world.here, **nowhere))
            if got != other or got[0] not in (403, 404):
                differing.append(f"{route.name}: {beside(got, other)}")
    assert asked >= 3
    assert not differing, "\n".join(differing)


def test_rows_of_another_trial_are_not_in_the_admin(world: doors.World) -> None:
    client, differing = insider(world, *UNBLINDED), []
    shared = {"user", "logentry", "periodictask"}  # people and schedules belong to no trial
    for route in with_objects("admin"):
        if not route.name.startswith("admin:") or any(f"/{name}/" in route.pattern for name in shared):
            continue
        got = answer(client, route, doors.address(route, world.other))
        other = answer(client, route, doors.address(route, world.other, **doors.missing(route, world.other)))
        if got != other or got[0] not in (403, 404):
            differing.append(f"{route.name}: {beside(got, other)}")
    assert not differing, "\n".join(differing)


def test_lists_in_the_admin_hold_nothing_of_another_trial(world: doors.World) -> None:
    client = insider(world, *UNBLINDED)
    for name in ("accounts/rolegrant", "accounts/apikey", "patients/site", "registry/modelversion", "audit/auditevent"):
        page = client.get(f"/admin/{name}/").content.decode()
        assert "DEMO" in page, name
        assert "OTHER" not in page, name


@pytest.mark.parametrize("visitor", ["key_other_trial", "key_other_site"])
def test_a_key_reaches_nothing_beyond_its_trial_and_sites(world: doors.World, visitor: str) -> None:
    client, differing, asked = world.clients[visitor], [], 0
    for route in routes():
        if route.door != "api" or not of_a_site(route):
            continue
        asked += 1
        there, nowhere = (
            json.dumps({"patient_id": name}).encode() if route.name in PATIENT_IN_BODY else b""
            for name in (world.here.patients[0].patient_id, "999-9999")
        )
        got = answer(client, route, doors.address(route, world.here), there)
        other = answer(client, route, doors.address(route, world.here, **doors.missing(route, world.here)), nowhere)
        if got != other or got[0] != 404:
            differing.append(f"{route.name}: {beside(got, other)}")
    assert asked >= 2
    assert BY_NAME[visitor].scopes
    assert not differing, "\n".join(differing)
