"""`manage.py replay`: an answer of the last minute waits for bronze, an older one that bronze does not hold is not proven."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta
from io import StringIO
from typing import Any
from uuid import UUID

import pytest
from django.core.management import CommandError, call_command

from apps.core import clock
from apps.core.lake import lake as the_lake
from apps.ingestion import hurry
from apps.predictions.management.commands import replay as command
from apps.predictions.models import Prediction
from apps.predictions.replay import Verdict
from tests.support import watched
from tests.support.watched import NOW

pytestmark = pytest.mark.usefixtures("pg", "valkey")


@pytest.fixture
def asked(lake: str, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[list[UUID]]]:
    """What was replayed, round by round; bronze holds the events from the second round on."""
    settings.LAKE_URL = lake
    the_lake.cache_clear()
    rounds: list[list[UUID]] = []

    def replay(predictions: Iterable[UUID]) -> Iterator[Verdict]:
        rounds.append(list(predictions))
        there = len(rounds) > 1
        yield from (Verdict(one, "identical" if there else "not proven") for one in rounds[-1])

    monkeypatch.setattr(command, "replay", replay)
    monkeypatch.setattr(command, "PAUSE_SECONDS", 0.0)
    yield rounds
    the_lake.cache_clear()


def test_answers_of_the_last_minute_are_asked_again_and_bronze_is_hurried(asked: list[list[UUID]]) -> None:
    of = watched.trial(patients=1, event_share=0.0)
    newest = Prediction.objects.order_by("-created_at")[0]
    heard = StringIO()
    with clock.fixed(newest.created_at + timedelta(seconds=30)):
        call_command("replay", str(newest.pk), stdout=heard)
    assert "1 of 1 identical" in heard.getvalue()
    assert asked == [[newest.pk], [newest.pk]]
    assert hurry.asked()
    assert of.trial.pk == newest.trial_id


def test_an_older_answer_that_bronze_does_not_hold_is_not_proven_at_once(asked: list[list[UUID]]) -> None:
    watched.trial(patients=1, event_share=0.0)
    with (
        clock.fixed(NOW + timedelta(days=1)),
        pytest.raises(CommandError, match="3 of 3 predictions could not be proven"),
    ):
        call_command("replay", "--sample", "3", stdout=StringIO())
    assert len(asked) == 1
