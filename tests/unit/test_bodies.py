"""Bodies that are too large are refused before anybody reads them, whether or not the client says how large they are."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from apps.core.bodies import BodyLimit
from tests.support.loops import apart_from_the_browser


async def app(scope: Any, receive: Any, send: Any) -> None:
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        if not message.get("more_body"):
            break
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"read"})


def answer(path: str, parts: list[bytes], said: bytes | None) -> int:
    waiting = [
        {"type": "http.request", "body": part, "more_body": place < len(parts) - 1} for place, part in enumerate(parts)
    ]
    sent: list[Any] = []

    async def receive() -> Any:
        return waiting.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [] if said is None else [(b"content-length", said)]
    limited = BodyLimit(app, larger={"/imports/new/": 1_000}, usual=10)
    with apart_from_the_browser():
        asyncio.run(limited({"type": "http", "path": path, "headers": headers}, receive, send))
    return int(sent[0]["status"])


@pytest.mark.parametrize(
    ("path", "size", "said", "status"),
    [
        ("/", 10, b"10", 200),
        ("/", 11, b"11", 413),
        ("/", 11, None, 413),
        ("/", 11, b"1", 413),
        ("/", 1, b"-1", 413),
        ("/imports/new/", 999, b"999", 200),
        ("/trials/T/imports/new/", 1_001, None, 413),
        ("/imports/new/x", 11, b"11", 413),
    ],
)
def test_a_body_has_a_limit(path: str, size: int, said: bytes | None, status: int) -> None:
    body = b"x" * size
    assert answer(path, [body[start : start + 4] for start in range(0, size, 4)], said) == status
