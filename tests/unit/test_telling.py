"""What a long piece of work says in a terminal."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import pytest

from apps.core.telling import Told, Turns, logs_in


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_progress_is_told_now_and_then_and_never_goes_back() -> None:
    said: list[str] = []
    clock = Clock()
    turns = Turns(said.append, seconds=5, clock=clock)
    for moment, line in (
        (1, "  1 %  too soon"),
        (6, "  9 %  cleaning"),
        (7, " 10 %  too soon again"),
        (12, "  4 %  going back"),
        (13, "  9 %  standing still"),
        (14, "12% on"),
        (30, "words alone"),
        (40, "words alone"),
        (50, ""),
    ):
        clock.now = moment
        turns(line)
    assert said == ["    9 %  cleaning", "   12 %  on", "  words alone"]


def test_a_stream_that_overwrites_its_line_is_told_in_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("apps.core.telling.PAUSE_SECONDS", 0.0)
    said: list[str] = []
    stream = Told(said.append)
    stream._turns = Turns(said.append, seconds=0)
    for text in ("\r  5% 10 mess", "ages", "\r 50% 100 messages", "\n100 messages in 3 s\n"):
        stream.write(text)
    assert said == ["    5 %  10 messages", "   50 %  100 messages", "  100 messages in 3 s"]


def test_the_log_goes_into_a_file_and_comes_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    handler = logging.StreamHandler(sys.stderr)
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        with logs_in(tmp_path / "log" / "work.log"):
            logging.getLogger("kafka").warning("it pauses")
        logging.getLogger("kafka").warning("it is loud")
    finally:
        root.removeHandler(handler)
    assert "it pauses" in (tmp_path / "log" / "work.log").read_text()
    assert capsys.readouterr().err.strip() == "it is loud"
