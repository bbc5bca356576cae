"""Stories of model versions in a real browser: two are compared, and the one before serves again."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from apps.accounts.models import User
from apps.core.lake import lake as the_lake
from apps.registry import effects, selectors
from apps.registry.models import ModelVersion
from ml.comparison import compare, place_of
from ml.lake import Lake
from tests.browser.conftest import dark, sign_in, violations
from tests.browser.test_pages import accessible, no_sideways_scrolling
from tests.integration.test_registry import release
from tests.support import people
from tests.unit.test_comparison import BANDS, pair, told

pytestmark = pytest.mark.browser


@pytest.fixture
def versions(portal: str, settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[ModelVersion]:
    """Two versions that two people released one after the other, compared."""
    settings.LAKE_URL = (tmp_path / "lake").as_uri()
    the_lake.cache_clear()
    monkeypatch.setattr(effects, "announce", lambda **_: None)
    trial = people.trial("DEMO")
    approvers = people.person("first", "model_approver"), people.person("second", "model_approver")
    made = [release(people.model(trial), *approvers) for _ in range(2)]
    names = (str(made[0]), str(made[1]))
    body = compare(pair(told(1.5), told(0.2)), bands=BANDS, draws=100, names=names) | {
        "trial_id": "DEMO",
        "simulated": True,
        "data_version": "d" * 64,
        "labels_known_by": 1_772_400_000,
        "left_out": {"patient-days of patients that one of them learned from": 1204},
        "models": {side: {"name": str(version)} for side, version in zip(("one", "two"), made, strict=True)},
    }
    path = place_of("DEMO", *(str(version) for version in made))
    Lake.from_url(settings.LAKE_URL).put(path, json.dumps(body).encode())
    yield made
    the_lake.cache_clear()


def test_an_approver_compares_two_versions_and_rolls_back(portal: str, versions: list[ModelVersion], page: Any) -> None:
    """Given a version that disappoints, the approver reads both side by side, says why, and the one before serves again."""
    sign_in(page, portal, User.objects.get(username="first").username)
    page.goto(f"{portal}/trials/DEMO/model/")
    page.get_by_role("link", name="Compare versions").click()
    page.get_by_label("First").select_option("1")
    page.get_by_label("Second, the challenger").select_option("2")
    page.get_by_role("button", name="Show").click()
    page.get_by_role("heading", name=f"{versions[1]} against {versions[0]}: better by the 0.02").wait_for()
    assert page.get_by_role("table").count() == 4
    accessible(page, night=True)
    shot(page, "compare-night")
    dark(page, False)
    shot(page, "compare")
    no_sideways_scrolling(page)

    page.goto(f"{portal}/trials/DEMO/model/")
    page.get_by_role("link", name="Roll back to 1").click()
    page.get_by_role("heading", name="Roll back model 2").wait_for()
    assert violations(page) == []
    no_sideways_scrolling(page)
    shot(page, "rollback")
    page.get_by_label("Why").focus()
    page.keyboard.type("Too many alerts at site 3.")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Model 1 serves this trial").wait_for()
    assert page.get_by_role("cell", name="Too many alerts at site 3.").count() == 1
    assert page.get_by_role("link", name="Roll back").count() == 0
    shot(page, "after")
    assert serving() == versions[0].pk


def serving() -> Any:
    found = selectors.serving("DEMO")
    return found.version.pk if found else None


def shot(page: Any, name: str) -> None:
    folder = os.environ.get("SHOTS")
    if folder:
        page.screenshot(path=f"{folder}/{name}.png", full_page=True)
