"""The watch over live connections outlives any of them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from apps.portal import access_watch
from apps.portal.access_watch import SIGNED_OUT, AccessWatch
from tests.support.loops import apart_from_the_browser


class Connection:
    """Like a consumer; ``gone`` = its socket closed while it was looked at, as uvicorn tells it."""

    def __init__(self, *, gone: bool = False) -> None:
        self.gone, self.heard = gone, []  # type: ignore[var-annotated]

    async def close_for(self, reason: str) -> None:
        self._tell(reason)

    async def beat(self) -> None:
        self._tell("beat")

    def _tell(self, word: str) -> None:
        if self.gone:
            raise OSError("ClientDisconnected")
        self.heard.append(word)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access_watch, "LOOK_EVERY_SECONDS", 0.0)
    monkeypatch.setattr(access_watch, "LOOKS_BETWEEN_BEATS", 1)


async def _watch(*connections: Connection, looks: int) -> None:
    watch = AccessWatch()
    for one in connections:
        watch.add(one)  # type: ignore[arg-type]
    for _ in range(looks):
        await asyncio.sleep(0.005)
    assert watch.task is not None
    if watch.task.done():
        watch.task.result()
    watch.task.cancel()


def test_a_socket_that_went_by_itself_leaves_the_others_watched(quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a page closed in the middle of a look, somebody deactivated afterwards still loses theirs."""
    gone, other = Connection(gone=True), Connection()
    looked = 0

    async def verdicts(here: list[Any]) -> list[tuple[Any, str]]:
        nonlocal looked
        looked += 1
        return [(one, SIGNED_OUT) for one in here if one is (gone if looked == 1 else other)]

    monkeypatch.setattr(access_watch, "verdicts", verdicts)
    with apart_from_the_browser():
        asyncio.run(_watch(gone, other, looks=4))
    assert SIGNED_OUT in other.heard


def test_a_beat_that_cannot_be_sent_leaves_the_others_theirs(quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
    async def verdicts(_: list[Any]) -> list[tuple[Any, str]]:
        return []

    monkeypatch.setattr(access_watch, "verdicts", verdicts)
    gone, other = Connection(gone=True), Connection()
    with apart_from_the_browser():
        asyncio.run(_watch(gone, other, looks=4))
    assert other.heard.count("beat") > 1
