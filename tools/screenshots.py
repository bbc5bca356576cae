"""``python -m tools.screenshots``: draws the README's pictures anew, of the test ward, into ``docs/images``."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Screenshots:
    """A pytest plugin that tells ``tests/browser/test_pictures.py`` where to put its pictures."""

    folder: Path


def main() -> int:
    """Run the one test that draws; its status is ours."""
    import pytest  # a tool of developers: the program itself runs without

    folder = ROOT / "docs" / "images"
    folder.mkdir(parents=True, exist_ok=True)
    test = str(ROOT / "tests" / "browser" / "test_pictures.py")

    class Named:
        """Registers the plugin by the name under which the test looks for it."""

        def pytest_configure(self, config: pytest.Config) -> None:
            config.pluginmanager.register(Screenshots(folder), "screenshots")

    return int(pytest.main(["-q", "-p", "no:cacheprovider", test], plugins=[Named()]))


if __name__ == "__main__":
    sys.exit(main())
