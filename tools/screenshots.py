"""``python -m tools.screenshots``: draws the pictures of the README and of the user guide anew, of the test ward, into ``docs/images``."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Screenshots:
    """A pytest plugin that tells the tests that draw where to put their pictures."""

    folder: Path


def main() -> int:
    """Run the tests that draw; their status is ours."""
    import pytest  # a tool of developers: the program itself runs without

    folder = ROOT / "docs" / "images"
    folder.mkdir(parents=True, exist_ok=True)
    tests = [str(ROOT / "tests" / "browser" / name) for name in ("test_pictures.py", "test_guide_pictures.py")]

    class Named:
        """Registers the plugin by the name under which the tests look for it."""

        def pytest_configure(self, config: pytest.Config) -> None:
            config.pluginmanager.register(Screenshots(folder), "screenshots")

    return int(pytest.main(["-q", "-p", "no:cacheprovider", *tests], plugins=[Named()]))


if __name__ == "__main__":
    sys.exit(main())
