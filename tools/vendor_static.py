"""Copy the front-end parts the portal serves from ``node_modules`` to ``static/vendor``.

The list is data in ``package.json`` under ``portal:vendor``: target below ``static/vendor`` → file below ``node_modules``.
Run it after ``npm ci``; it copies only what changed and removes what the list no longer names.
"""

from __future__ import annotations

import filecmp
import json
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def vendor(root: Path = ROOT) -> list[str]:
    """Bring ``static/vendor`` in line with the list; returns the targets that were copied.

    Raises ``SystemExit`` with a sentence when ``npm ci`` has not been run or a listed file is missing.
    """
    listed: dict[str, str] = json.loads((root / "package.json").read_text("utf-8"))["portal:vendor"]
    modules, target_root = root / "node_modules", root / "static" / "vendor"
    if not modules.is_dir():
        raise SystemExit("Front-end packages are not installed: run `npm ci` first.")
    copied: list[str] = []
    for target, source in listed.items():
        origin, place = modules / source, target_root / target
        if not origin.is_file():
            raise SystemExit(f"package.json asks for {source}, which `npm ci` did not install: correct portal:vendor.")
        if not place.is_file() or not filecmp.cmp(origin, place, shallow=False):
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(origin, place)
            copied.append(target)
    if target_root.is_dir():
        for place in target_root.rglob("*"):
            if place.is_file() and place.relative_to(target_root).as_posix() not in listed:
                place.unlink()
    return copied


if __name__ == "__main__":
    done = vendor()
    sys.stdout.write(f"static/vendor is up to date ({len(done)} copied)\n")
