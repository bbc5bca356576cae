"""``make check``: every check that needs no server. Runs them all, then says which failed; ``--list`` names them."""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent


@dataclass(frozen=True)
class Check:
    """A row: what is checked, by which command, and how to mend it."""

    name: str
    command: tuple[str, ...]
    cure: str
    wants: str = ""  # a file without which there is nothing to check


CHECKS: tuple[Check, ...] = (
    Check("format", (str(BIN / "ruff"), "format", "--check", "--quiet", "."), "make fix"),
    Check("lint", (str(BIN / "ruff"), "check", "--quiet", "."), "make fix, then by hand"),
    Check("types", (str(BIN / "mypy"), "clinical_portal", "apps", "ml", "spark_jobs", "tools"), "by hand"),
    Check("imports", (str(BIN / "lint-imports"),), "move the code, or ask whether the contract is wrong (ADR)"),
    Check(
        "migrations",
        (sys.executable, "-W", "ignore", "manage.py", "makemigrations", "--check", "--dry-run"),
        "manage.py makemigrations",
    ),
    Check(
        "generated docs", (sys.executable, "-m", "tools.docs", "--check"), "python -m tools.docs", wants="tools/docs.py"
    ),
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="only these checks")
    parser.add_argument("--list", action="store_true")
    given = parser.parse_args()
    if given.list:
        print("\n".join(check.name for check in CHECKS))
        return 0
    failed = []
    for check in CHECKS:
        if given.names and check.name not in given.names:
            continue
        if check.wants and not (ROOT / check.wants).exists():
            print(f"{check.name:15} nothing to check: there is no {check.wants}", flush=True)
            continue
        began = time.monotonic()
        done = subprocess.run(check.command, cwd=ROOT, capture_output=True, text=True)
        verdict = "ok" if done.returncode == 0 else "FAILED"
        print(f"{check.name:15} {verdict} ({time.monotonic() - began:.1f} s)", flush=True)
        if done.returncode:
            failed.append(check)
            print(done.stdout + done.stderr, flush=True)
    for check in failed:
        print(f"{check.name}: mend with {check.cure}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
