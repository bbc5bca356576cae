"""Live connections: a notice a second at most, and none for who may not stay."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import pytest
from asgiref.sync import sync_to_async
from asgiref.testing import ApplicationCommunicator
from channels.layers import get_channel_layer
from django.test import Client

from apps.core import clock
from apps.predictions.push import trial_group
from tests.support import clinic, people
from tests.support.database import let_tests_empty_the_tables

pytestmark = [pytest.mark.django_db(transaction=True)]


T = TypeVar("T")


def in_a_thread(story: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a story in an event loop of its own: in this thread the browser's may be running."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, story()).result()


@pytest.fixture(autouse=True)
def _tables(valkey: Any) -> None:
    let_tests_empty_the_tables()


@pytest.fixture
def ward(transactional_db: None) -> clinic.Ward:
    return clinic.ward(clock.now(), patients=4, days=1)


def cookie_of(user: Any) -> str:
    client = Client()
    client.force_login(user)
    return f"sessionid={client.cookies['sessionid'].value}"


class Socket:
    """A WebSocket at the portal's own ASGI door: what a browser would receive."""

    def __init__(self, path: str, cookie: str, origin: str) -> None:
        from clinical_portal.asgi import application

        headers = [(b"cookie", cookie.encode()), (b"origin", origin.encode()), (b"host", b"localhost")]
        scope = {"type": "websocket", "path": path, "query_string": b"", "headers": headers, "subprotocols": []}
        self.wire = ApplicationCommunicator(application, scope)

    async def connect(self) -> bool:
        """Whether the connection was accepted."""
        await self.wire.send_input({"type": "websocket.connect"})
        return bool((await self.wire.receive_output(5))["type"] == "websocket.accept")

    async def notice(self, timeout: float = 5) -> dict[str, Any]:
        """The next message."""
        return dict(json.loads((await self.wire.receive_output(timeout))["text"]))

    async def closed(self) -> int:
        """The code with which it was closed."""
        return int((await self.wire.receive_output(3))["code"])

    async def quiet(self, seconds: float) -> bool:
        """Whether nothing comes for so long."""
        return bool(await self.wire.receive_nothing(seconds))


@asynccontextmanager
async def connected(path: str, cookie: str, *, origin: str = "http://localhost") -> AsyncIterator[Socket]:
    socket = Socket(path, cookie, origin)
    socket.accepted = await socket.connect()  # type: ignore[attr-defined]
    yield socket
    await socket.wire.send_input({"type": "websocket.disconnect", "code": 1000})
    await socket.wire.wait(timeout=2)


async def scored(ward: clinic.Ward, *keys: str) -> None:
    layer = get_channel_layer()
    await layer.group_send(trial_group(ward.trial.pk), {"type": "scored", "patients": list(keys)})


def test_a_page_is_greeted_and_told_once_a_second(ward: clinic.Ward) -> None:
    cookie = cookie_of(people.person("cora", "coordinator", at=ward.trial))

    async def story() -> None:
        async with connected("/ws/trials/DEMO/", cookie) as socket:
            hello = await socket.notice()
            assert hello["type"] == "hello"
            assert hello["newest"] <= hello["now"]
            assert hello["late_after"] >= 45
            for patient in ward.patients * 3:
                await scored(ward, patient.pk)
            first = await socket.notice(3)
            assert set(first) == {"type", "now", "newest", "late_after", "patients"}, "a notice names nobody"
            assert first["type"] == "changed"
            rest = first["patients"]
            while rest < 12:
                rest += (await socket.notice(3))["patients"]
            assert rest == 12
            assert await socket.quiet(0.3)

    in_a_thread(story)


def test_a_quiet_connection_is_kept_alive_by_beats(ward: clinic.Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("apps.portal.access_watch.LOOK_EVERY_SECONDS", 0.02)
    cookie = cookie_of(people.person("cora", "coordinator", at=ward.trial))

    async def story() -> None:
        async with connected("/ws/trials/DEMO/", cookie) as socket:
            assert (await socket.notice())["type"] == "hello"
            beat = await socket.notice(5)
            assert set(beat) == {"type", "now"}
            assert beat["type"] == "beat"

    in_a_thread(story)


def test_a_patient_page_hears_of_its_patient_only(ward: clinic.Ward) -> None:
    cookie = cookie_of(people.person("cora", "coordinator", at=ward.trial))
    mine, other = ward.patients[0], ward.patients[1]

    async def story() -> None:
        async with connected(f"/ws/trials/DEMO/patients/{mine.patient_id}/", cookie) as socket:
            assert (await socket.notice())["type"] == "hello"
            await scored(ward, other.pk)
            assert await socket.quiet(1.3)
            await scored(ward, other.pk, mine.pk)
            assert (await socket.notice(3))["patients"] == 1

    in_a_thread(story)


@pytest.mark.parametrize("change", ["deactivated", "signed_out", "role_ended"])
def test_who_may_not_stay_is_gone_within_about_a_second(ward: clinic.Ward, change: str) -> None:
    user = people.person("cora", "coordinator", at=ward.trial)
    cookie = cookie_of(user)

    def end() -> None:
        from django.contrib.sessions.models import Session
        from django.db import connection

        with connection.cursor() as cursor:
            cursor.execute("SET session_replication_role = replica")
            if change == "deactivated":
                type(user).objects.filter(pk=user.pk).update(is_active=False)
            elif change == "signed_out":
                Session.objects.all().delete()
            else:
                user.grants.update(revoked_at=clock.now())
            cursor.execute("SET session_replication_role = origin")

    async def story() -> int:
        async with connected("/ws/trials/DEMO/", cookie) as socket:
            assert (await socket.notice())["type"] == "hello"
            await sync_to_async(end)()
            return await socket.closed()

    assert in_a_thread(story) == (4403 if change == "role_ended" else 4401)


def test_a_stranger_and_another_site_are_turned_away(ward: clinic.Ward) -> None:
    nobody = cookie_of(people.person("nobody"))
    cora = cookie_of(people.person("cora", "coordinator", at=ward.trial, site=ward.sites[1]))

    async def code(path: str, cookie: str) -> int:
        async with connected(path, cookie) as socket:
            return await socket.closed()

    async def story() -> list[int]:
        return [
            await code("/ws/trials/DEMO/", ""), await code("/ws/trials/DEMO/", nobody),
            await code(f"/ws/trials/DEMO/patients/{ward.patients[0].patient_id}/", cora),
        ]  # fmt: skip

    assert in_a_thread(story) == [4401, 4403, 4403]


def test_another_origin_is_refused(ward: clinic.Ward) -> None:
    cookie = cookie_of(people.person("cora", "coordinator", at=ward.trial))

    async def story() -> bool:
        async with connected("/ws/trials/DEMO/", cookie, origin="https://elsewhere.example") as socket:
            return bool(socket.accepted)  # type: ignore[attr-defined]

    assert in_a_thread(story) is False
