"""Every address of the admin, asked by everybody with every method, answers as the table of access says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from apps.accounts.methods import METHODS
from clinical_portal.access.routes import routes
from clinical_portal.access.visitors import VISITORS
from tests.support import asked, doors

#: Thousands of questions: half a minute of work, a minute on a busy machine.
pytestmark = [pytest.mark.django_db, pytest.mark.timeout(900)]


@pytest.fixture(autouse=True)
def _production(valkey: Any, lake: str, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with asked.as_in_production(settings, lake, monkeypatch):
        yield


def test_everybody_is_answered_as_the_table_says() -> None:
    world = doors.world(asked.NOW)
    addresses = sum(route.door == "admin" for route in routes())
    assert addresses >= 50
    assert asked.compare(world, "admin") == addresses * len(METHODS) * len(VISITORS)
