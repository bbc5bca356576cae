"""When another model serves, whoever listens learns of it, after the commit and only then."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from django.conf import settings
from django.db import transaction

from apps.registry import effects, services
from tests.support import people


@pytest.mark.django_db(transaction=True)
def test_listeners_are_told_within_a_second_of_the_second_signature(
    valkey: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(effects, "_mirror", lambda trial_id, correlation_id: asked.append(trial_id))
    trial = people.trial("DEMO")
    version = people.model(trial)
    listener = valkey.pubsub(ignore_subscribe_messages=True)
    listener.subscribe(effects.CHANNEL)
    listener.get_message(timeout=1)
    for name in ("first", "second"):
        assert valkey.get(effects.stamp_key("DEMO")) is None
        services.sign(by=people.person(name, "model_approver"), password=people.PASSWORD, version=version)
    began = time.monotonic()
    message = None
    while message is None and time.monotonic() - began < 2:
        message = listener.get_message(timeout=0.2)
    assert message is not None
    assert time.monotonic() - began < 1
    assert json.loads(message["data"]) == {
        "trial": "DEMO",
        "version": str(version.pk),
        "state": "production",
        "stamp": 1,
    }
    assert valkey.get(effects.stamp_key("DEMO")) == b"1"
    assert asked == ["DEMO"]
    listener.close()


@pytest.mark.django_db(transaction=True)
def test_nobody_is_told_of_what_was_rolled_back_and_a_dead_cache_stops_no_signature(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[str] = []
    monkeypatch.setattr(effects, "_mirror", lambda trial_id, correlation_id: told.append(trial_id))
    with transaction.atomic():
        effects.announce(trial_id="DEMO", version_id="1", state="production")
        transaction.set_rollback(True)
    assert told == []
    monkeypatch.setattr(settings, "REDIS_URL", "redis://127.0.0.1:1/0")
    with transaction.atomic():
        effects.announce(trial_id="DEMO", version_id="1", state="production")
    assert told == ["DEMO"]
