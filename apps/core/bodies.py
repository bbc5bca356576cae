"""A limit for what a client may send, kept before Django reads it: under ASGI a body is spooled whole before any view runs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

Scope = dict[str, Any]
Message = Mapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

USUAL_BYTES = 8 << 20
TOO_LARGE = b"What was sent is larger than this address takes."


class BodyLimit:
    """Refuses larger bodies with 413. `larger` names the ends of addresses that take more, with how many bytes."""

    def __init__(self, app: App, *, larger: dict[str, int], usual: int = USUAL_BYTES) -> None:
        self.app, self.larger, self.usual = app, larger, usual

    def limit(self, path: str) -> int:
        """How many bytes an address takes."""
        return next((size for end, size in self.larger.items() if path.endswith(end)), self.usual)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        limit = self.limit(str(scope["path"]))
        said = dict(scope["headers"]).get(b"content-length", b"0")
        if not said.isdigit() or int(said) > limit:
            await _refuse(send)
            return
        read, begun = 0, False

        async def counted() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            return {"type": "http.disconnect"} if read > limit else message

        async def watched(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        await self.app(scope, counted, watched)
        if read > limit and not begun:
            await _refuse(send)


async def _refuse(send: Send) -> None:
    headers = [(b"content-type", b"text/plain"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": TOO_LARGE})
