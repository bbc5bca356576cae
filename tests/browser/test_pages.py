"""Stories of the pages in a real browser: given a ward, when a person does something, then they see it.

Every test fails on any error the browser's console shows (the ``page`` fixture).
"""

from __future__ import annotations

import re
import threading
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.contrib.sessions.models import Session
from django.db import connection, transaction

from apps.accounts.models import User
from apps.core import clock
from apps.pipelines.models import JobRun
from apps.predictions.push import trial_group
from ml.profile import StudyProfile
from tests.browser.conftest import dark, sign_in, violations
from tests.support import clinic, people

pytestmark = pytest.mark.browser


@pytest.fixture
def ward(portal: str) -> clinic.Ward:
    made = clinic.ward(clock.now(), patients=14, days=3)
    people.person("cora", "coordinator", at=made.trial, printed_name="Cora Ordinator")
    people.person("meg", "ml_engineer", at=made.trial, printed_name="Meg Engineer")
    return made


def score(ward: clinic.Ward, number: int, probability: float) -> None:
    """A new prediction, committed and announced as the live loop does it."""
    profile = StudyProfile.from_json(ward.trial.profiles.get().body)
    row = clinic.prediction(ward, ward.patients[number], probability, clock.now() - timedelta(seconds=1), profile)
    row.created_at = clock.now()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        row.save(force_insert=True)
    notice = {"type": "scored", "patients": [ward.patients[number].pk]}
    # Playwright's loop runs in this thread, so the notice is sent from another
    teller = threading.Thread(target=lambda: async_to_sync(get_channel_layer().group_send)(trial_group("DEMO"), notice))
    teller.start()
    teller.join()


def charts_are_drawn(page: Any) -> None:
    page.wait_for_function("document.querySelectorAll('[data-chart]').length > 0")
    page.wait_for_function(
        "[...document.querySelectorAll('[data-chart]')].every(chart => chart.querySelector('canvas'))"
    )


def accessible(page: Any, *, night: bool = False) -> None:
    """By day; also by night where the page shows parts that no other page asked by night shows."""
    for dim in (False, True) if night else (False,):
        dark(page, dim)
        assert violations(page) == []


def no_sideways_scrolling(page: Any) -> None:
    for width in (1440, 1024, 720):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"the page is wider than {width} px"
    page.set_viewport_size({"width": 1440, "height": 900})


def test_sign_in(portal: str, ward: clinic.Ward, page: Any) -> None:
    """Given a coordinator, when the password is wrong they read what to do, when it is right they are where they wanted."""
    page.goto(f"{portal}/trials/DEMO/?sort=subject")
    assert "/sign-in/" in page.url
    accessible(page)
    page.get_by_label("Name").fill("cora")
    page.get_by_label("Password").fill("wrong")
    page.keyboard.press("Enter")
    page.get_by_role("alert").wait_for()
    assert "do not belong together" in page.get_by_role("alert").inner_text()
    page.console_errors.clear()  # the browser notes the 401 of a wrong password
    page.get_by_label("Password").fill(people.PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url("**/trials/DEMO/?sort=subject")
    page.locator("summary", has_text="Cora Ordinator").click()
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/sign-in/")


def test_one_changes_ones_own_password(portal: str, ward: clinic.Ward, page: Any) -> None:
    """Given a person with a password from the administrator, they choose their own before anything else."""
    people.alter(User.objects.get(username="cora"), must_change_password=True)
    page.goto(f"{portal}/sign-in/")
    page.get_by_label("Name").fill("cora")
    page.get_by_label("Password").fill(people.PASSWORD)
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Choose your own password").wait_for()
    page.get_by_label("Old password").fill(people.PASSWORD)
    page.get_by_label("New password", exact=True).fill("a quiet ward at night")
    page.get_by_label("New password, once more").fill("a quiet ward at nigth")
    page.keyboard.press("Enter")
    page.get_by_text("The two new passwords are not the same.").wait_for()
    page.console_errors.clear()  # the browser notes the 422
    page.get_by_label("Old password").fill(people.PASSWORD)
    page.get_by_label("New password", exact=True).fill("a quiet ward at night")
    page.get_by_label("New password, once more").fill("a quiet ward at night")
    page.keyboard.press("Enter")
    page.get_by_text("Your password is changed.").wait_for()
    assert page.url.endswith("/trials/DEMO/")


def test_the_board(portal: str, ward: clinic.Ward, page: Any) -> None:
    """Given 14 patients, the critical one stands first; filters change the address; lanes fold and stay folded."""
    sign_in(page, portal, "cora")
    assert page.locator("h1").inner_text() == "1 of 14 patients is critical"
    first = page.locator(".strip-item").first
    assert ward.patients[0].patient_id in first.inner_text()
    assert "82" in first.inner_text()
    assert page.locator("#lane-indeterminate").get_by_text("Measure heart rate.").count() == 2
    page.locator("[data-live-word]", has_text="Live").wait_for()
    accessible(page, night=True)
    no_sideways_scrolling(page)
    fold = page.locator("[data-fold=low]")
    fold.click()
    assert fold.get_attribute("aria-expanded") == "false"
    assert not page.locator("#lane-low-rows").is_visible()
    page.reload()
    assert not page.locator("#lane-low-rows").is_visible()
    page.get_by_label("Site").select_option("704")
    page.wait_for_url("**site=704**")
    assert set(re.findall(r"(70\d)-\d+", page.locator(".lanes").inner_text())) == {"704"}
    page.get_by_label("Find a subject").fill("zzz")
    page.keyboard.press("Enter")
    page.get_by_text("Nobody matches.").wait_for()


def test_the_board_by_keyboard_alone(portal: str, ward: clinic.Ward, page: Any) -> None:
    """The first stop skips to the patients; a row is opened with Enter; focus is seen."""
    sign_in(page, portal, "cora")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    for _ in range(30):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.className") == "strip__subject":
            break
    assert page.evaluate("document.activeElement.matches(':focus-visible')")
    page.keyboard.press("Enter")
    page.wait_for_url("**/patients/**")


def test_a_new_score_moves_a_patient(portal: str, ward: clinic.Ward, page: Any) -> None:
    """Given an open board, when a low patient is scored critical, then the row moves within two seconds, unasked."""
    sign_in(page, portal, "cora")
    page.locator("[data-live-word]", has_text="Live").wait_for()
    name = ward.patients[13].patient_id
    assert page.locator("#lane-low", has_text=name).count() == 1
    score(ward, 13, 0.91)
    page.locator("#lane-critical .strip__subject", has_text=name).wait_for(timeout=4000)
    assert page.locator(".strip__subject", has_text=name).count() == 1
    assert page.locator("[data-lane-count=critical]").first.inner_text() == "2"
    assert page.locator("h1").inner_text() == "2 of 14 patients are critical"
    assert page.locator("#lane-critical .strip__subject").first.inner_text() == name


def test_a_paused_board_waits_and_says_what_waits(portal: str, ward: clinic.Ward, page: Any) -> None:
    sign_in(page, portal, "cora")
    page.locator("[data-live-word]", has_text="Live").wait_for()
    page.wait_for_timeout(900)
    page.get_by_role("button", name="Pause updates").click()
    score(ward, 12, 0.93)
    page.get_by_text("1 change waits").wait_for(timeout=4000)
    assert page.locator("#lane-critical .strip__subject").count() == 1
    page.get_by_role("button", name="Resume and show them").click()
    page.locator("#lane-critical .strip__subject", has_text=ward.patients[12].patient_id).wait_for(timeout=4000)


def test_silence_is_called_late_and_a_lost_connection_is_named(portal: str, ward: clinic.Ward, page: Any) -> None:
    """When no prediction comes for longer than the pace allows the board says since when; when the server is gone, too."""
    sign_in(page, portal, "cora")
    page.locator("[data-live-word]", has_text="Live").wait_for()
    page.evaluate("const now = Date.now; Date.now = () => now() + 3600 * 1000 * 24")
    page.locator("[data-live-word]", has_text="Late").wait_for(timeout=4000)
    assert re.search(r"No new predictions since \d\d:\d\d:\d\d", page.locator("[data-live-sentence]").inner_text())
    page.reload()
    page.locator("[data-live-word]", has_text="Live").wait_for()
    # a half-open connection closes nothing: three missed beats are what tells
    page.evaluate("const clock = performance.now.bind(performance); performance.now = () => clock() + 31000")
    page.locator("[data-live-word]", has_text="Connection lost").wait_for(timeout=3000)
    page.locator("[data-live-word]", has_text="Live").wait_for(timeout=6000)
    page.context.set_offline(True)
    page.locator("[data-live-word]", has_text="Connection lost").wait_for(timeout=3000)
    page.console_errors.clear()  # the browser notes each try
    with page.expect_response("**/changes/**"):  # what happened meanwhile is asked for, while there still is a session
        page.context.set_offline(False)
    page.locator("[data-live-word]", has_text="Live").wait_for(timeout=6000)
    Session.objects.all().delete()
    page.get_by_role("link", name="Sign in and go on").wait_for(timeout=5000)
    assert page.locator("[data-live]").get_attribute("data-state") == "lost"
    assert re.search(r"Connection lost at \d\d:\d\d:\d\d", page.locator("[data-live-word]").inner_text())
    page.goto("about:blank")
    page.console_errors.clear()  # a question asked in that moment is answered 401, which the browser notes


def test_the_patient_page(portal: str, ward: clinic.Ward, page: Any) -> None:
    """Given the patient who matters: score, reasons, messages, five panels on one axis, each with its table."""
    sign_in(page, portal, "cora")
    page.locator(".strip__subject").first.click()
    page.wait_for_url("**/patients/**")
    for words in (
        "Critical",
        "Why this score",
        "other features together",
        "From which messages",
        "patient-vitals",
        "not causes",
    ):
        assert page.get_by_text(words).count(), words
    charts_are_drawn(page)
    assert page.locator("canvas").count() >= 14
    accessible(page, night=True)
    no_sideways_scrolling(page)
    panel = page.locator("#panel-medicines")
    panel.locator("summary").click()
    assert panel.get_by_text("Study drug, blinded").count() >= 2
    assert panel.get_by_text("missed", exact=True).count() >= 1
    assert "Placebo" not in page.content()
    assert "80 mg" not in page.content()
    page.get_by_role("link", name="1 d", exact=True).click()
    page.wait_for_url("**zoom=1d")
    charts_are_drawn(page)
    assert panel.locator("details").get_attribute("open") is not None, "an opened table stays open"
    page.get_by_role("link", name="Earlier").click()
    page.get_by_role("link", name="Later").wait_for()
    page.go_back()
    page.wait_for_url("**zoom=1d")


def test_a_new_score_reaches_the_open_patient_page(portal: str, ward: clinic.Ward, page: Any) -> None:
    sign_in(page, portal, "cora")
    page.goto(f"{portal}/trials/DEMO/patients/{ward.patients[13].patient_id}/")
    page.locator("[data-live-word]", has_text="Live").wait_for()
    assert page.locator("#now-title").inner_text().strip() == "Low"
    score(ward, 13, 0.77)
    page.locator("#now-title", has_text="Critical").wait_for(timeout=6000)
    page.locator(".big__number", has_text="77").wait_for()
    charts_are_drawn(page)


def test_a_patient_without_a_score(portal: str, ward: clinic.Ward, page: Any) -> None:
    sign_in(page, portal, "cora")
    page.goto(f"{portal}/trials/DEMO/patients/{ward.patients[10].patient_id}/")
    assert page.locator(".big__number").inner_text() == "--"
    assert page.get_by_text("Measure heart rate.").count() == 1
    accessible(page)


def test_runs_follow_by_themselves(portal: str, ward: clinic.Ward, page: Any) -> None:
    """Given a run under way, its progress moves on the open page; a failed one says why and offers to run again."""
    sign_in(page, portal, "meg")
    page.goto(f"{portal}/trials/DEMO/runs/")
    page.get_by_text("46 %").first.wait_for()
    JobRun.objects.filter(state="running").update(progress=81, step="Nearly there")
    page.get_by_text("Nearly there").wait_for(timeout=6000)
    accessible(page)
    page.get_by_role("link", name="Training").click()
    page.get_by_text("The archive holds no label older than 7 days.").wait_for()
    assert page.get_by_role("button", name="Run again").count() == 1
    accessible(page)
    no_sideways_scrolling(page)


def test_the_model_and_the_imports(portal: str, ward: clinic.Ward, page: Any) -> None:
    sign_in(page, portal, "meg")
    page.goto(f"{portal}/trials/DEMO/model/")
    for words in (
        "Model 3 serves this trial",
        "Simulated data",
        "AUROC on test patients",
        "Approver A",
        "Best anyone can reach here",
    ):
        assert page.get_by_text(words).count(), words
    assert page.locator("canvas").count() == 1
    accessible(page)
    no_sideways_scrolling(page)
    page.goto(f"{portal}/trials/DEMO/imports/")
    page.get_by_role("link", name="pilot").click()
    page.get_by_role("cell", name="lab_without_a_number").first.wait_for()
    assert (
        page.get_by_text("89,304 rows carried by an event + 880 refused under a named rule = 90,184 read").count() == 1
    )
    accessible(page)


def test_the_gallery_and_the_help(portal: str, ward: clinic.Ward, page: Any) -> None:
    sign_in(page, portal, "cora")
    for address in ("/gallery/", "/help/", "/password/", "/api/docs"):
        page.goto(portal + address)
        accessible(page, night=address == "/gallery/")
        no_sideways_scrolling(page)
