"""Two stories in a browser: a refused message goes back in after a fix; a score is walked to its bytes and replayed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from django.urls import reverse
from playwright.sync_api import expect

from apps.core.models import OutboxMessage
from apps.ingestion.models import DeadLetter, Quarantined
from apps.patients.demo import seed_trial
from apps.patients.models import Trial
from ml.contracts import wire
from tests.browser.conftest import dark, sign_in, violations
from tests.integration import test_lineage, test_refused
from tests.integration.test_blinding import NOW, history, settle
from tests.support import people
from tests.support.events import vitals
from tests.support.standing import StandingClock, standing

pytestmark = pytest.mark.browser


def accessible(page: Any) -> None:
    for dim in (False, True):
        dark(page, dim)
        assert violations(page) == []
    dark(page, False)


def no_sideways_scrolling(page: Any) -> None:
    for width in (1440, 1024, 720):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"the page is wider than {width} px"
    page.set_viewport_size({"width": 1440, "height": 900})


@pytest.fixture
def lake_of_ours(lake: str, settings: Any) -> Iterator[None]:
    settings.LAKE_URL = lake
    test_lineage._forget()
    yield
    test_lineage._forget()


def test_a_refused_message_goes_back_in_after_a_fix(
    portal: str, lake_of_ours: None, page: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial = people.trial("DEMO", simulated=True)
    people.patient(trial, "P1", at=people.site(trial, "S1"))
    people.person("meg", "ml_engineer", at=trial, printed_name="Meg Engineer")
    for offset in range(3):
        test_refused.kept(
            offset, orjson.dumps(vitals("P1", offset)), "unknown_version", "Nobody here knows version '2' of patient-vitals.",
            headers={"schema_version": "2", "producer": "device"},
        )  # fmt: skip
    test_refused.kept(3, b'{"trial_id":"DEMO","heart_rate":"fa\xff\x00st"', path="heart_rate")
    Quarantined.objects.create(
        trial_id="DEMO", patient="DEMO/P1", site_id="S1", topic="patient-vitals", topic_id="t", partition=0, offset=9,
        rule="impossible_value", field="heart_rate", value="999", message="No living person has this heart rate.",
    )  # fmt: skip
    sign_in(page, portal, "meg")
    page.goto(f"{portal}/trials/DEMO/refused/")
    page.get_by_text("4 messages").first.wait_for()
    accessible(page)
    no_sideways_scrolling(page)
    page.locator("select[name=reason]").select_option("not_json")
    page.wait_for_url("**reason=not_json")
    page.get_by_role("link", name="patient-vitals 0 : 3").click()
    page.get_by_role("heading", name="As it came").wait_for()
    assert "66 61 ff 00 73 74" in page.locator(".bytes").first.inner_text()
    accessible(page)
    no_sideways_scrolling(page)
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    assert download.value.path().read_bytes().endswith(b'fa\xff\x00st"')

    monkeypatch.setattr(wire, "KNOWN_VERSIONS", frozenset({"1", "2"}))
    page.goto(f"{portal}/trials/DEMO/refused/?reason=unknown_version")
    page.get_by_role("link", name="Check these against today's contract").click()
    assert page.get_by_text("would pass").count() == 3
    page.get_by_label("Choose patient-vitals 0 : 1").check()
    page.get_by_role("button", name="Replay chosen").click()
    page.get_by_role("heading", name="1 of 1 would pass now").wait_for()
    accessible(page)
    page.go_back()
    page.get_by_role("link", name="Replay all of this list that now pass").click()
    page.get_by_label("What was mended").fill("release 2 knows version 2")
    page.get_by_role("button", name="Send 3 again").click()
    page.get_by_text("3 messages handed to the outbox").wait_for()
    assert OutboxMessage.objects.count() == 3
    assert DeadLetter.objects.filter(replayed_at__isnull=False).count() == 3

    page.get_by_role("link", name="Quarantine").click()
    page.get_by_role("link", name="Impossible value").first.wait_for()
    accessible(page)
    no_sideways_scrolling(page)
    page.get_by_role("link", name="Admitted since").click()
    page.get_by_text("Nothing has left quarantine yet.").wait_for()


@pytest.fixture
def trial(portal: str, lake_of_ours: None) -> Iterator[Trial]:
    with standing(StandingClock(NOW)) as stands:
        made, _ = seed_trial(by=people.SYSTEM)
        settle(made, history(swapped=False, of=test_lineage.SMALL), stands, test_lineage.SMALL)
        yield made


def test_a_score_is_walked_to_its_bytes_and_replayed(portal: str, trial: Trial, page: Any) -> None:
    prediction = test_lineage.newest()
    people.person("audrey", "auditor", at=trial, printed_name="Audrey Auditor")
    sign_in(page, portal, "audrey")
    page.goto(portal + reverse("portal:patient", args=["DEMO", prediction.patient.patient_id]))
    page.get_by_role("link", name="How this score was made").click()
    page.get_by_role("heading", name="Bronze objects").wait_for()
    page.get_by_role("heading", name="Code and tables").wait_for()
    accessible(page)
    no_sideways_scrolling(page)
    page.get_by_label("Show").select_option("all")
    page.get_by_text("days_since_enrolment").wait_for()
    page.get_by_role("row", name="heart_rate_mean_24h").get_by_role("link").click()
    page.get_by_role("heading", name="Events it saw for Heart rate").wait_for()
    assert "feature=heart_rate_mean_24h" in page.url, "the address can be shared"
    page.reload()
    page.get_by_role("heading", name="Events it saw for Heart rate").wait_for()
    page.get_by_role("button", name="Check all now").click()
    page.get_by_text("every byte as claimed").wait_for()
    before = page.locator(".verdicts li").count()
    page.get_by_role("button", name="Replay").focus()
    page.keyboard.press("Enter")
    expect(page.locator(".verdicts li")).to_have_count(before + 1)
    assert page.locator(".verdicts li").first.inner_text().startswith("Identical")
    accessible(page)
