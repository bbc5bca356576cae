"""How often a key may ask: counted once for all processes, told exactly, and never a reason to stop."""

from __future__ import annotations

import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from apps.accounts import throttles
from apps.accounts.keys import SCOPES, issue_key
from apps.accounts.throttles import RATES, Rate, wait_for
from apps.core import clock
from tests.support import people


@pytest.fixture
def name(valkey: Any) -> str:
    return uuid.uuid4().hex


def test_every_scope_that_a_view_needs_has_its_rate() -> None:
    from clinical_portal.access.routes import routes

    needed = {getattr(route.kind, "required_scope", "") for route in routes() if route.door == "api"} - {""}
    assert needed <= SCOPES.keys()
    assert needed <= RATES.keys(), "add a row to RATES in apps/accounts/throttles.py"
    assert all(rate.burst <= rate.requests for rate in RATES.values())


def test_a_burst_is_let_through_and_the_wait_is_exact(name: str) -> None:
    rate = Rate(requests=10, seconds=2, burst=5)
    assert [wait_for(name, rate) for _ in range(5)] == [0.0] * 5
    wait = wait_for(name, rate)
    assert 0.1 < wait <= 0.2
    assert wait_for(name, rate) <= wait, "a refused request costs nothing"
    time.sleep(wait)
    assert wait_for(name, rate) == 0.0
    assert wait_for(name, rate) > 0.1


def test_many_at_once_are_counted_once_each(name: str) -> None:
    rate = Rate(requests=37, seconds=36_000, burst=37)
    with ThreadPoolExecutor(16) as pool:
        waits = list(pool.map(lambda _: wait_for(name, rate), range(400)))
    assert waits.count(0.0) == 37


def test_what_is_not_used_does_not_pile_up(name: str, valkey: Any) -> None:
    rate = Rate(requests=100, seconds=1, burst=2)
    assert wait_for(name, rate) == 0.0
    time.sleep(0.2)
    assert [wait_for(name, rate) == 0.0 for _ in range(4)].count(True) <= 3
    time.sleep(0.2)
    import redis
    from django.conf import settings

    assert redis.Redis.from_url(settings.THROTTLE_URL).keys(f"throttle:{name}") == [], "nothing is kept for ever"


def test_the_service_goes_on_without_the_counter(name: str, settings: Any) -> None:
    settings.THROTTLE_URL = "redis://127.0.0.1:1/3"
    assert wait_for(name, Rate(requests=1, seconds=60, burst=1)) == 0.0
    assert wait_for(name, Rate(requests=1, seconds=60, burst=1)) == 0.0


@pytest.mark.django_db
def test_one_key_waits_and_another_does_not(valkey: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(throttles.RATES, "predict", Rate(requests=1, seconds=90, burst=1))
    trial, owner = people.trial("DEMO"), people.person("owner")

    def key() -> str:
        until = clock.now() + timedelta(days=1)
        return issue_key(by=people.SYSTEM, owner=owner, name="k", trial=trial, scopes=["predict"], expires_at=until)[1]

    def ask(text: str) -> Any:
        headers = {"Authorization": f"Api-Key {text}"}
        return Client().post("/api/v1/predict", {"patient_id": "P1"}, content_type="application/json", headers=headers)

    first, second = key(), key()
    assert ask(first).status_code == 404
    refused = ask(first)
    assert refused.status_code == 429
    assert refused["Content-Type"] == "application/problem+json"
    assert 80 < int(refused["Retry-After"]) <= 90
    assert refused.json()["retry_after"] == int(refused["Retry-After"])
    assert ask(second).status_code == 404
