"""The audit trail in a real browser: the pop-up by keyboard alone, filters, standing by day and by night."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection, transaction

from apps.audit import checkpoints
from apps.audit.services import record
from apps.core import clock
from apps.core.lake import lake as the_lake
from apps.registry.models import ModelVersion
from tests.browser.conftest import dark, sign_in, violations
from tests.support import clinic, people
from tests.support.audit_export import SYSTEM, fresh_lake, note

pytestmark = pytest.mark.browser


@pytest.fixture(autouse=True)
def _lake(lake: str, settings: Any) -> Iterator[None]:
    fresh_lake(settings, lake)
    yield
    the_lake.cache_clear()


@pytest.fixture
def ward(portal: str) -> clinic.Ward:
    made = clinic.ward(clock.now(), patients=4, days=2)
    people.person("ana", "auditor", at=made.trial, printed_name="Ana Auditor")
    with transaction.atomic():
        version = ModelVersion.objects.get()
        change = {"state": "candidate"}, {"state": "staging", "name": version.name}
        record(by=SYSTEM, action="registry.model_staged", obj=version, before=change[0], after=change[1])
    for number in range(60):
        note(number, reason=f"because of {number}")
    return made


def seal() -> None:
    """In a thread of its own: playwright's loop runs in this one."""

    def do() -> None:
        checkpoints.seal()
        connection.close()

    thread = threading.Thread(target=do)
    thread.start()
    thread.join()


def accessible(page: Any) -> None:
    for night in (False, True):
        dark(page, night)
        assert violations(page) == []
    dark(page, False)


def test_the_trail(portal: str, ward: clinic.Ward, page: Any) -> None:
    """Given an auditor, they read how the chain stands, filter by action and reason, and page on."""
    seal()
    sign_in(page, portal, "ana")
    page.goto(f"{portal}/trials/DEMO/audit/")
    page.get_by_role("heading", name="Sealed and signed").wait_for()
    accessible(page)
    for width in (1440, 1024, 720):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), width
    page.set_viewport_size({"width": 1440, "height": 900})
    page.get_by_role("link", name="Older").click()
    page.get_by_role("link", name="Newer").wait_for()
    page.get_by_label("Reason has").fill("because of 42")
    page.keyboard.press("Enter")
    page.wait_for_url("**reason=because*")
    assert page.locator("tbody tr").count() == 1
    page.locator("tbody th a").click()
    page.get_by_text("Leaf hash").wait_for()
    accessible(page)


def test_the_history_of_a_record_opens_over_the_page(portal: str, ward: clinic.Ward, page: Any) -> None:
    """By keyboard alone: the dialog opens, holds the focus, closes on Escape, and gives the focus back."""
    sign_in(page, portal, "ana")
    version = ModelVersion.objects.get()
    page.goto(f"{portal}/trials/DEMO/model/{version.version}/")
    opener = page.get_by_role("link", name="History of model version")
    opener.focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="who changed what")
    dialog.wait_for()
    for words in ("moved to staging", "candidate", "staging", "system:test", "UTC"):
        assert words in dialog.inner_text()
    for theme in ("dark", "light"):  # the switch lies beneath the dialog
        page.evaluate("theme => document.documentElement.dataset.theme = theme", theme)
        assert violations(page) == []
    for _ in range(12):
        page.keyboard.press("Tab")
        assert page.evaluate(
            "document.activeElement === document.body || document.getElementById('dialog').contains(document.activeElement)"
        )
    page.keyboard.press("Escape")
    dialog.wait_for(state="hidden")
    assert page.evaluate("document.activeElement.getAttribute('aria-haspopup')") == "dialog"
    opener.click()
    dialog.get_by_role("button", name="Close").click()
    dialog.wait_for(state="hidden")
    assert "/model/" in page.url


def test_a_review_is_signed(portal: str, ward: clinic.Ward, page: Any) -> None:
    """The form says what the signature means; a wrong password keeps what was written."""
    seal()
    sign_in(page, portal, "ana")
    page.goto(f"{portal}/trials/DEMO/audit/")
    page.get_by_role("link", name="Sign off a review").click()
    accessible(page)
    page.get_by_label("What you looked at").fill("Twelve records by hand; nothing odd.")
    page.get_by_label("Your password").fill("wrong")
    page.get_by_role("button", name="Sign", exact=True).click()
    page.get_by_role("alert").wait_for()
    page.console_errors.clear()  # the browser notes the 403
    assert page.get_by_label("What you looked at").input_value() == "Twelve records by hand; nothing odd."
    page.get_by_label("Your password").fill(people.PASSWORD)
    page.get_by_role("button", name="Sign", exact=True).click()
    page.get_by_text("Your review is signed").wait_for()
    page.get_by_text("Twelve records by hand; nothing odd.", exact=True).wait_for()
