"""Every address of the portal, asked by everybody with every method, answers as the table of access says.

The table is worked out from what views declare (``clinical_portal.access``); here the portal itself is asked, and every
answer's headers and cookies are read. API, files, admin and sockets have files of their own, so that workers share them.
"""

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
    addresses = sum(route.door == "portal" for route in routes())
    assert addresses >= 90
    assert asked.compare(world, "portal") == addresses * len(METHODS) * len(VISITORS)
