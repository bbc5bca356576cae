"""Front-end parts: copied from the lock file's packages, nothing left behind, no host named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tools.vendor_static import ROOT, vendor


def project(root: Path) -> Path:
    (root / "node_modules" / "part").mkdir(parents=True)
    (root / "node_modules" / "part" / "a.js").write_text("one")
    (root / "package.json").write_text(json.dumps({"portal:vendor": {"part/a.js": "part/a.js"}}))
    return root


def test_what_changed_is_copied_and_what_is_no_longer_listed_goes(tmp_path: Path) -> None:
    root = project(tmp_path)
    assert vendor(root) == ["part/a.js"]
    assert vendor(root) == []
    (root / "static" / "vendor" / "old.js").write_text("left over")
    (root / "node_modules" / "part" / "a.js").write_text("two")
    assert vendor(root) == ["part/a.js"]
    assert (root / "static" / "vendor" / "part" / "a.js").read_text() == "two"
    assert not (root / "static" / "vendor" / "old.js").exists()


def test_a_missing_part_says_what_to_do(tmp_path: Path) -> None:
    root = project(tmp_path)
    (root / "node_modules" / "part" / "a.js").unlink()
    with pytest.raises(SystemExit, match="correct portal:vendor"):
        vendor(root)
    (root / "node_modules" / "part").rmdir()
    (root / "node_modules").rmdir()
    with pytest.raises(SystemExit, match="npm ci"):
        vendor(root)


def test_the_lock_file_pins_by_content_and_names_no_host() -> None:
    lock = json.loads((ROOT / "package-lock.json").read_text("utf-8"))
    packages = {name: entry for name, entry in lock["packages"].items() if name}
    assert packages
    assert all(
        entry.get("integrity", "").startswith("sha512-") and "resolved" not in entry for entry in packages.values()
    )
    wanted = json.loads((ROOT / "package.json").read_text("utf-8"))
    pinned = wanted["dependencies"] | wanted["devDependencies"]
    assert {f"node_modules/{name}": version for name, version in pinned.items()}.items() <= {
        name: entry["version"] for name, entry in packages.items()
    }.items()
