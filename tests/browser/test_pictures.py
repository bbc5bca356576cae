"""The README's pictures: drawn of the test ward, so that they show what the pages are, and small enough for a README.

``python -m tools.screenshots`` runs this file and keeps them in ``docs/images``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from apps.core import clock
from tests.browser.conftest import sign_in
from tests.support import clinic, people

pytestmark = pytest.mark.browser
MOST_BYTES = 300_000
README = Path(__file__).resolve().parents[2] / "README.md"


@pytest.fixture
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Where the pictures go: what the tool asks for, or away after the test."""
    tool = request.config.pluginmanager.get_plugin("screenshots")
    return Path(tool.folder) if tool else tmp_path


def test_the_readmes_pictures(portal: str, page: Any, folder: Path) -> None:
    """Board and patient of a simulated ward, by day, as wide as a laptop."""
    ward = clinic.ward(clock.now(), patients=40, days=5)
    people.person("ana", "coordinator", at=ward.trial, printed_name="Ana Ruiz")
    page.set_viewport_size({"width": 1280, "height": 860})
    sign_in(page, portal, "ana")
    page.locator("[data-live-word]", has_text="Live").wait_for()
    page.screenshot(path=folder / "board.png", animations="disabled")
    page.locator(".strip__subject").first.click()
    page.wait_for_url("**/patients/**")
    page.wait_for_function(
        "document.querySelectorAll('[data-chart]').length > 0 && "
        "[...document.querySelectorAll('[data-chart]')].every(chart => chart.querySelector('canvas'))"
    )
    page.screenshot(path=folder / "patient.png", animations="disabled")
    readme = README.read_text("utf-8")
    for name in ("board.png", "patient.png"):
        assert 20_000 < (folder / name).stat().st_size <= MOST_BYTES, name
        assert f"docs/images/{name}" in readme
        assert (README.parent / "docs" / "images" / name).is_file()
