"""What a long piece of work says in a terminal: now and then a line, never the same one twice, and no log lines between."""

from __future__ import annotations

import io
import logging
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

PAUSE_SECONDS = 5.0
_PERCENT = re.compile(r"\s*(\d+) ?%\s*")

Say = Callable[[str], None]


class Turns:
    """Passes on a line of progress at most every few seconds, and none that goes back or says the same again."""

    def __init__(
        self, say: Say, *, seconds: float = PAUSE_SECONDS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._say, self._seconds, self._clock = say, seconds, clock
        self._told_at = clock()
        self._last, self._furthest = "", -1

    def __call__(self, line: str) -> None:
        line = line.strip()
        found = _PERCENT.match(line)
        percent = int(found.group(1)) if found else None
        if not line or line == self._last or (percent is not None and percent <= self._furthest):
            return
        if self._clock() - self._told_at < self._seconds:
            return
        self._told_at, self._last = self._clock(), line
        if percent is not None:
            self._furthest = percent
            line = f"{percent:3d} %  {line[found.end() :]}" if found else line
        self._say(f"  {line}")


class Told(io.TextIOBase):
    """A stream whose lines, ended by a line feed or overwritten by a carriage return, are told in turns."""

    def __init__(self, say: Say) -> None:
        self._turns = Turns(say)
        self._rest = ""

    def write(self, text: str) -> int:
        *lines, self._rest = re.split(r"[\r\n]", self._rest + text)
        for line in lines:
            self._turns(line)
        return len(text)


@contextmanager
def logs_in(path: Path) -> Iterator[None]:
    """Inside the block the log goes into a file instead of the terminal."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handlers = [h for h in logging.getLogger().handlers if type(h) is logging.StreamHandler]
    before = [handler.stream for handler in handlers]
    with path.open("a") as file:
        for handler in handlers:
            handler.setStream(file)
        try:
            yield
        finally:
            for handler, stream in zip(handlers, before, strict=True):
                handler.setStream(stream)
