"""What holds for the repository as a whole."""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
from functools import cache
from pathlib import Path

import pytest

from clinical_portal.env import BASE_DIR, VARIABLES

LONGEST = 600
#: One file by design: a stranger copies it, and nothing else, to verify an export.
ONE_FILE = {"tools/verify_audit.py": 700}
TEXT = {".py", ".md", ".toml", ".txt", ".html", ".css", ".js", ".json", ".yaml", ".yml", ".cfg", ".sh", ""}
#: Where packages come from and where this checkout lies is each machine's own business.
MACHINE_WORDS = re.compile(
    r"(files\.pythonhosted\.org|pypi\.org/simple|registry\.npmjs\.org|registry\.yarnpkg\.com|index-url|extra-index-url|"
    r"(?<![\w./-])/(?:work|root|home)/\w)"
)
#: Setting a variable for a library is writing; anything else that touches os.environ reads it.
READS_ENVIRONMENT = re.compile(r"os\.getenv|os\.environ(?!\.setdefault\(|\[[^]]+\] = )")


@cache
def files() -> tuple[Path, ...]:
    """Files git knows or would take, without those it deletes."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=BASE_DIR,
        capture_output=True,
        text=True,
        check=True,
    )
    return tuple(path for line in listed.stdout.splitlines() if (path := BASE_DIR / line).is_file())


def named(path: Path) -> str:
    return path.relative_to(BASE_DIR).as_posix()


def python_files() -> list[Path]:
    return [path for path in files() if path.suffix == ".py"]


def test_no_file_is_longer_than_a_person_reads() -> None:
    long = {
        named(path): count
        for path in python_files()
        if (count := len(path.read_text().splitlines())) > ONE_FILE.get(named(path), LONGEST)
    }
    assert long == {}, "split these: more than one room is in them"


def test_only_one_module_reads_the_environment() -> None:
    allowed = {"clinical_portal/env.py", "tests/", "tools/bootstrap.py", "benchmarks/"}
    found = [
        f"{named(path)}: {line.strip()}"
        for path in python_files()
        if not any(named(path).startswith(place) for place in allowed)
        for line in path.read_text().splitlines()
        if READS_ENVIRONMENT.search(line)
    ]
    assert found == [], "give clinical_portal/env.py a row and pass the value on"


def test_every_setting_is_documented() -> None:
    readme = (BASE_DIR / "README.md").read_text()
    missing = [variable.name for variable in VARIABLES if f"`{variable.name}`" not in readme]
    assert missing == [], "the README's tables name every setting"


def test_every_dependency_is_pinned_and_says_why() -> None:
    text = (BASE_DIR / "pyproject.toml").read_text()
    project = tomllib.loads(text)["project"]
    listed = [*project["dependencies"], *(one for group in project["optional-dependencies"].values() for one in group)]
    unpinned = [one for one in listed if not re.fullmatch(r"[A-Za-z0-9_.-]+(\[[a-z0-9,]+\])?==[A-Za-z0-9_.]+", one)]
    assert unpinned == []
    silent = [one for one in listed if not re.search(rf'"{re.escape(one)}",  # \S.{{10,}}', text)]
    assert silent == [], "a comment beside each dependency says why it is there"
    constraints = {
        re.sub(r"[-_.]+", "-", name).lower(): version
        for name, _, version in (line.partition("==") for line in (BASE_DIR / "constraints.txt").read_text().split())
    }
    for one in listed:
        name, _, version = one.partition("==")
        key = re.sub(r"[-_.]+", "-", name.partition("[")[0]).lower()
        assert constraints.get(key) == version, f"{name}: constraints.txt disagrees"


def test_every_import_contract_says_why() -> None:
    lines = (BASE_DIR / "pyproject.toml").read_text().splitlines()
    starts = [number for number, line in enumerate(lines) if line == "[[tool.importlinter.contracts]]"]
    assert starts
    assert all(lines[number + 1].startswith("# ") for number in starts)


def test_the_lock_file_names_no_host() -> None:
    packages = json.loads((BASE_DIR / "package-lock.json").read_text())["packages"]
    assert [name for name, entry in packages.items() if "resolved" in entry] == [], "see .npmrc"
    assert all("integrity" in entry for name, entry in packages.items() if name)


def test_no_file_tells_about_the_machine_it_was_written_on() -> None:
    found = []
    for path in files():
        if path.suffix not in TEXT or path == Path(__file__):
            continue
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
            if MACHINE_WORDS.search(line):
                found.append(f"{named(path)}:{number}: {line.strip()[:120]}")
    assert found == []


@pytest.mark.parametrize("name", ["run", "test", "check", "fix", "bench", "import-sdtm", "shell", "clean"])
def test_the_makefile_has_its_doors(name: str) -> None:
    makefile = (BASE_DIR / "Makefile").read_text()
    assert re.search(rf"^{name}:.*## \S", makefile, re.MULTILINE)


def test_the_build_service_runs_the_same_tests() -> None:
    script = BASE_DIR / ".ci" / "run"
    assert script.stat().st_mode & 0o111
    assert "make test" in script.read_text()
