"""Event loops of tests in a process where the browser's loop may be running."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def apart_from_the_browser() -> Iterator[None]:
    """In the block this thread looks as if no event loop ran in it, so that a story can have one of its own.

    The browser's driver keeps its loop running in this thread for the whole session, asleep between its calls.
    """
    running = asyncio._get_running_loop()
    asyncio._set_running_loop(None)
    try:
        yield
    finally:
        asyncio._set_running_loop(running)
