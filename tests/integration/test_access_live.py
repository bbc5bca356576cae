"""Every live connection, asked for by everybody, is opened or closed as the table of access says."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from clinical_portal.access.routes import Route, routes
from clinical_portal.access.rules import LET_IN, outcome
from clinical_portal.access.visitors import VISITORS, Visitor
from tests.integration.test_portal_live import connected
from tests.support import asked, doors
from tests.support.database import let_tests_empty_the_tables

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(300)]
LIVE = [route for route in routes() if route.door == "live"]


async def told(route: Route, path: str, cookie: str) -> str:
    """Let in, or the code with which the connection was closed."""
    async with connected(path, cookie) as socket:
        first = await socket.wire.receive_output(10)
        return LET_IN if first["type"] == "websocket.send" else str(first["code"])


def test_everybody_is_let_in_or_turned_away_as_the_table_says(
    transactional_db: None, valkey: Any, lake: str, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_tests_empty_the_tables()
    name = settings.SESSION_COOKIE_NAME
    with asked.as_in_production(settings, lake, monkeypatch):
        settings.SESSION_COOKIE_NAME = name  # the sockets' stack has read it when it was built
        world = doors.world(asked.NOW)

        async def story() -> list[str]:
            differing = []
            for route in LIVE:
                path = doors.address(route, world.here)
                for visitor in VISITORS:
                    got, wanted = await told(route, path, _cookie(world, visitor, name)), outcome(route, "GET", visitor)
                    if got != wanted:
                        differing.append(f"{path} as {visitor.label}: {got}, the table says {wanted}")
            return differing

        with ThreadPoolExecutor(1) as pool:
            differing = pool.submit(asyncio.run, story()).result()
    assert len(LIVE) >= 2
    assert not differing, "\n".join(differing)


def _cookie(world: doors.World, visitor: Visitor, name: str) -> str:
    held = world.client(visitor).cookies.get(name)
    return f"{name}={held.value}" if held is not None else ""
