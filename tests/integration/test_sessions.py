"""A session: new at sign-in, ended by time, by a new password and by whoever ends it; and what a stranger may try."""

from __future__ import annotations

import contextlib
import itertools
import re
import uuid
from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.test import Client, RequestFactory
from django.urls import NoReverseMatch, reverse

from apps.accounts import services, sessions
from apps.accounts.addresses import client_address
from apps.accounts.models import User
from apps.accounts.sessions import LIMITS
from apps.audit.models import AuditEvent
from clinical_portal.access.routes import Route, routes
from tests.support import people
from tests.support.people import PASSWORD

pytestmark = pytest.mark.django_db
START = 1_800_000_000
MINUTE = 60


class Clock:
    """The machine's clock, for sessions."""

    def __init__(self) -> None:
        self.now = float(START)

    def time(self) -> float:
        return self.now


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Sessions' own clock; the rows' ends are compared with the real one, so they are only read here."""
    made = Clock()
    monkeypatch.setattr(sessions, "time", made)
    return made


@pytest.fixture
def cora(valkey: Any) -> User:
    return people.person("cora", "coordinator", at=people.trial("DEMO"))


def signed_in(name: str = "cora", **options: Any) -> Client:
    client = Client(**options)
    answer = client.post("/sign-in/", {"username": name, "password": PASSWORD})
    assert answer.status_code == 302
    return client


def inside(client: Client, **headers: str) -> bool:
    answer = client.get("/help/", headers=headers)
    assert answer.status_code in (200, 302, 401)
    return bool(answer.status_code == 200)


def test_a_planted_session_is_not_the_one_that_is_signed_in(cora: User) -> None:
    planted = sessions.SessionStore()
    planted["x"] = 1
    planted.create()
    client = Client()
    client.cookies["sessionid"] = planted.session_key
    assert client.post("/sign-in/", {"username": "cora", "password": PASSWORD}).status_code == 302
    assert client.cookies["sessionid"].value != planted.session_key
    assert not Session.objects.filter(pk=planted.session_key).exists()
    again = client.cookies["sessionid"].value
    client.post("/sign-out/")
    assert not Session.objects.filter(pk=again).exists()


def test_an_idle_session_ends_and_leaves_a_trace(cora: User, machine: Clock) -> None:
    client = signed_in()
    machine.now += LIMITS["idle"] - MINUTE
    assert inside(client), "somebody was there in time"
    machine.now += LIMITS["idle"] - 1
    assert inside(client)
    machine.now += LIMITS["idle"]
    assert not inside(client)
    assert not Session.objects.exists()
    event = AuditEvent.objects.get(action="accounts.session_ended")
    assert (event.actor, event.object_id, event.reason) == ("system:session-limits", str(cora.pk), "idle: 30 minutes")


def test_a_page_that_refreshes_itself_keeps_no_session_alive(cora: User, machine: Clock) -> None:
    client = signed_in()
    for _ in range(29):
        machine.now += MINUTE
        assert inside(client, **{"HX-Request": "true"})
    machine.now += MINUTE
    assert not inside(client, **{"HX-Request": "true"})


def test_a_click_on_a_part_of_a_page_does(cora: User, machine: Clock) -> None:
    client = signed_in()
    for _ in range(5):
        machine.now += 20 * MINUTE
        assert inside(client, **{"HX-Request": "true", "X-By-Hand": "1"})


def test_the_busiest_session_ends_after_a_shift(cora: User, machine: Clock) -> None:
    client, minutes = signed_in(), 0
    while inside(client):
        machine.now += 20 * MINUTE
        minutes += 20
    assert minutes * MINUTE == LIMITS["in all"]
    assert AuditEvent.objects.get(action="accounts.session_ended").reason == "in all: 720 minutes"


def test_the_end_stands_in_the_row_where_the_watch_over_sockets_reads_it(cora: User) -> None:
    signed_in()
    left = (Session.objects.get().expire_date - datetime.now(UTC)).total_seconds()
    assert LIMITS["idle"] - 5 < left <= LIMITS["idle"]


def test_a_click_is_seldom_a_write(cora: User, django_assert_num_queries: Any, machine: Clock) -> None:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    client = signed_in()
    machine.now += 59
    with CaptureQueriesContext(connection) as queries:
        assert inside(client)
    assert not [one for one in queries if re.match("UPDATE|INSERT", one["sql"])]


def test_a_new_password_ends_every_other_session(cora: User) -> None:
    here, elsewhere = signed_in(), signed_in()
    form = {"old": PASSWORD, "new": "another long password of hers", "again": "another long password of hers"}
    assert here.post("/password/", form).status_code == 302
    assert inside(here)
    assert not inside(elsewhere)


def test_a_password_set_by_somebody_else_ends_all(cora: User) -> None:
    here = signed_in()
    services.reset_password(by=people.person("ada", "administrator"), user=cora, password="a first password of hers")
    assert not inside(here)


def test_a_row_deleted_by_hand_is_the_end_of_its_session(cora: User) -> None:
    here = signed_in()
    assert inside(here)
    Session.objects.all().delete()
    assert not inside(here), "no cache remembers it"


# --- what a stranger may try ------------------------------------------------------------------------------------------
def test_no_form_of_the_portal_is_taken_without_its_token(cora: User) -> None:
    client = signed_in(enforce_csrf_checks=False)
    client.handler.enforce_csrf_checks = True
    asked = set()
    posts = [route for route in routes() if route.door in ("portal", "admin") and "POST" in route.methods]
    for route in posts:
        for path in addresses_of(route):
            answer = client.post(path, {})
            assert answer.status_code == 403, path
            assert "no-store" in answer["Cache-Control"]
            asked.add(route.name)
    nameless = {route.name for route in posts if "/" in route.name}  # the admin's redirects: a pattern for a name
    assert {route.name for route in posts} - asked <= nameless, "not every form was tried"
    assert len(asked) >= 30


def addresses_of(route: Route) -> list[str]:
    """Addresses that the route takes, whatever lies there: the token is asked for before anything is looked up."""
    for values in itertools.product(("DEMO", 1, uuid.UUID(int=1)), repeat=len(route.fields)):
        with contextlib.suppress(NoReverseMatch):
            return [reverse(route.name, kwargs=dict(zip(route.fields, values, strict=True)))]
    return []


def test_wrong_passwords_count_for_the_sender_whatever_it_claims(cora: User, settings: Any) -> None:
    settings.PROXY_COUNT = 1
    wrong = {"username": "cora", "password": "wrong"}

    def tries(claimed: str, sender: str) -> int:
        # our proxy appends whom it heard from; what stands before it the sender has written itself
        return Client().post("/sign-in/", wrong, headers={"X-Forwarded-For": f"{claimed}, {sender}"}).status_code

    answers = [tries(f"10.0.0.{number}", "203.0.113.9") for number in range(5)]
    assert answers[:4] == [401] * 4
    assert answers[4] == 429, "inventing addresses gives no more tries"
    assert tries("203.0.113.9", "198.51.100.7") == 401, "and locks nobody else"


@pytest.mark.parametrize(
    ("count", "heard", "sender"),
    [
        (0, "203.0.113.9", "192.0.2.1"),
        (1, "", "192.0.2.1"),
        (1, "203.0.113.9", "203.0.113.9"),
        (1, "1.1.1.1, 203.0.113.9", "203.0.113.9"),
        (2, "1.1.1.1, 203.0.113.9, 10.0.0.1", "203.0.113.9"),
        (2, "10.0.0.1", "192.0.2.1"),
    ],
)
def test_the_sender_stands_where_our_own_proxies_wrote(count: int, heard: str, sender: str, settings: Any) -> None:
    settings.PROXY_COUNT = count
    request = RequestFactory().get("/", REMOTE_ADDR="192.0.2.1", headers={"X-Forwarded-For": heard} if heard else {})
    assert client_address(request) == sender


def test_fields_that_no_form_has_change_nothing(cora: User) -> None:
    ada = people.person("ada", "administrator", is_staff=True)
    client = Client()
    client.force_login(ada, backend="apps.accounts.backends.HouseBackend")
    more = {
        "is_staff": "on",
        "is_superuser": "on",
        "is_active": "",
        "identity_verified_at_0": "2026-01-01",
        "demo": "on",
    }
    form = {"username": "new", "printed_name": "New One", "email": "n@x.org", "password": "a first password of theirs"}
    client.post("/admin/accounts/user/add/", form | more)
    made = User.objects.get(username="new")
    assert (made.is_staff, made.is_superuser, made.is_active, made.demo) == (False, False, True, False)
    assert made.identity_verified_at is None
    client.post(f"/admin/accounts/user/{cora.pk}/change/", {"printed_name": "C", "email": "c@x.org"} | more)
    cora.refresh_from_db()
    assert (cora.printed_name, cora.is_staff, cora.is_superuser, cora.is_active) == ("C", False, False, True)


def test_another_host_name_is_refused(cora: User) -> None:
    client = Client()
    for host in ("evil.example", "localhost.evil.example", "localhost@evil.example"):
        assert client.get("/sign-in/", headers={"Host": host}).status_code == 400
    assert client.get("/sign-in/", headers={"Host": "localhost", "X-Forwarded-Host": "evil.example"}).status_code == 200


def test_a_key_in_an_address_is_refused_wherever_a_key_is_asked_for(cora: User) -> None:
    for name in ("api_key", "apikey", "token", "access_token"):
        answer = Client().post(f"/api/v1/predict?{name}=crk_x", {}, content_type="application/json")
        assert answer.status_code == 400
        assert answer.json()["code"] == "key_in_address"


def test_nothing_that_is_told_lies_in_a_cookie(cora: User) -> None:
    client = signed_in()
    client.post(
        "/password/",
        {"old": PASSWORD, "new": "another long password of hers", "again": "another long password of hers"},
    )
    assert set(client.cookies) <= {"sessionid", "csrftoken"}
