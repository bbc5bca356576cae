"""The monitoring page in a real browser: with figures, without any, and what one can do there."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from apps.core import clock
from apps.core.lake import lake as the_lake
from apps.monitoring import steps
from apps.pipelines import tasks
from apps.pipelines.models import JobRun
from apps.predictions import serving as loaded
from tests.browser.conftest import sign_in
from tests.browser.test_pages import accessible, charts_are_drawn, no_sideways_scrolling
from tests.support import people, watched

pytestmark = pytest.mark.browser


@pytest.fixture
def store(portal: str, lake: str, settings: Any) -> Iterator[str]:
    """The portal with a lake of its own."""
    settings.LAKE_URL = lake
    the_lake.cache_clear()
    loaded.forget()
    yield portal
    the_lake.cache_clear()
    loaded.forget()


def looked_at(**options: Any) -> watched.Watched:
    """A watched trial, looked at twice, and the people who read of it."""
    of = watched.trial(now=clock.now(), **options)
    watched.lag(12, at=clock.now())
    for back in (timedelta(hours=6), timedelta(seconds=5)):
        with clock.fixed(clock.now() - back):
            steps.check({"trial": "DEMO"}, lambda *_: None)
    people.person("meg", "ml_engineer", at=of.trial, printed_name="Meg Engineer")
    people.person("sam", "safety_reviewer", at=of.trial, printed_name="Sam Reviewer")
    return of


def test_the_page_answers_three_questions(store: str, page: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given two weeks of predictions, the reader sees whether the model is right, the data alike, and data arriving."""
    monkeypatch.setattr(tasks.run, "delay", lambda *, run_id: None)
    looked_at(shift=2.0, shifted=("heart_rate_mean_6h", "alt_latest", "spo2_mean_24h", "potassium_latest"))
    sign_in(page, store, "meg")
    page.goto(f"{store}/trials/DEMO/monitoring/")
    charts_are_drawn(page)
    assert page.locator("h1").inner_text() == "1 trigger fires"
    facts = page.locator(".model__head").inner_text()
    assert "Is the model still right?" in facts
    assert "Yes, so far" in facts
    assert "4 of 9" in facts, "four of the ninety-odd features have shifted"
    assert "Last record" in facts
    assert "KS distance" in page.locator("#drift").locator("xpath=ancestor::section").inner_text()
    accessible(page, night=True)
    no_sideways_scrolling(page)
    page.get_by_role("button", name="Check now").click()
    page.wait_for_url("**/runs/**")
    run = JobRun.objects.get(job="monitor")
    assert run.by == "meg"
    page.goto(f"{store}/trials/DEMO/monitoring/")
    page.get_by_role("link", name="Checking now").wait_for()
    page.get_by_text("Train anew").first.click()
    page.get_by_label("Why").fill("Two new laboratories.")
    accessible(page)
    page.get_by_role("button", name="Train anew").click()
    page.wait_for_url("**/runs/**")
    run = JobRun.objects.get(job="pipeline")
    assert (run.arguments["reason"], run.arguments["why"]) == ("manual", "Two new laboratories.")
    page.goto(f"{store}/trials/DEMO/monitoring/")
    page.get_by_text("A training is under way").wait_for()


def test_a_reader_sees_and_does_not_start(store: str, page: Any) -> None:
    looked_at(patients=12)
    sign_in(page, store, "sam")
    page.goto(f"{store}/trials/DEMO/monitoring/")
    page.get_by_role("heading", name="Triggers").wait_for()
    assert page.get_by_role("button", name="Check now").count() == 0
    assert page.get_by_text("Train anew").count() == 0
    accessible(page)


def test_labels_too_young_say_when_the_first_figure_is_due(store: str, page: Any) -> None:
    looked_at(patients=5, maturity=60)
    sign_in(page, store, "meg")
    page.goto(f"{store}/trials/DEMO/monitoring/")
    page.get_by_text("No figure yet.").wait_for()
    assert "The first prediction made since training can be judged on" in page.locator("main").inner_text()
    accessible(page)


def test_a_trial_without_a_model(store: str, page: Any) -> None:
    trial = people.trial("DEMO")
    people.person("meg", "ml_engineer", at=trial)
    sign_in(page, store, "meg")
    page.goto(f"{store}/trials/DEMO/monitoring/")
    assert page.locator("h1").inner_text() == "No model serves this trial"
    accessible(page)
