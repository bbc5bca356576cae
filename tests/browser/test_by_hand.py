"""What a person's own click fetches keeps their session alive; what a page fetches by itself does not."""

from __future__ import annotations

from typing import Any

import pytest

from apps.core import clock
from tests.browser.conftest import sign_in
from tests.support import clinic, people

pytestmark = pytest.mark.browser


def test_a_click_says_that_somebody_is_there_and_a_refresh_does_not(page: Any, portal: str) -> None:
    made = clinic.ward(clock.now(), patients=3, days=2)
    people.person("meg", "ml_engineer", at=made.trial)
    sign_in(page, portal, "meg")
    parts: list[tuple[str, bool]] = []
    page.on(
        "request",
        lambda asked: (
            parts.append((asked.url, "x-by-hand" in asked.headers)) if "hx-request" in asked.headers else None
        ),
    )
    page.goto(f"{portal}/trials/DEMO/patients/{made.patients[0].patient_id}/")
    with page.expect_response("**/panels/**"):
        page.locator('a[hx-get*="/panels/"]').last.click()
    assert [by_hand for url, by_hand in parts if "/panels/" in url] == [True]
    page.goto(f"{portal}/trials/DEMO/runs/")
    with page.expect_response("**/runs/part/**", timeout=15_000):
        pass  # something runs, so the list refreshes itself
    assert not any(by_hand for url, by_hand in parts if "/runs/part/" in url)
    assert any("/runs/part/" in url for url, _ in parts)
