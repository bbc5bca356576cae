"""Stories of importing, in a real browser: a zip is sent, checked, imported; a table's columns are named."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from apps.ingestion import tasks
from apps.ingestion.imports import course
from apps.ingestion.models import ImportRun
from apps.patients.models import Trial
from apps.patients.services import create_trial
from ml.lake import Lake
from tests.browser.conftest import dark, sign_in, violations
from tests.support import people
from tests.support.sdtm import write_package
from tests.support.zips import zipped

pytestmark = pytest.mark.browser


@pytest.fixture
def worker(
    portal: str, lake: str, settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], None]:
    """Call it to do what was handed to workers so far; broker and bronze are not part of this story."""
    settings.VAR_DIR = tmp_path / "var"
    monkeypatch.setattr(course, "lake", lambda: Lake.from_url(lake))
    monkeypatch.setattr(course.sending, "send", lambda *_, **__: None)
    waiting: list[tuple[Any, str]] = []
    for work in (tasks.check_import, tasks.run_import):
        monkeypatch.setattr(work, "delay", lambda *, run_id, work=work: waiting.append((work, run_id)))
    monkeypatch.setattr(tasks.pipelines.run, "delay", lambda **_: None)

    def work_off() -> None:
        def run() -> None:
            while waiting:
                work, run_id = waiting.pop(0)
                work(run_id=run_id)
            connection.close()

        # Playwright's loop runs in this thread, so the work is done in another
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()

    return work_off


def pleasant(page: Any) -> None:
    """Nothing for axe by day and by night, and no sideways scrolling at tablet width and at 200 %."""
    for night in (False, True):
        dark(page, night)
        assert violations(page) == []
    dark(page, False)
    for width in (1440, 1024, 720):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"the page is wider than {width} px"
    page.set_viewport_size({"width": 1440, "height": 900})


def test_a_zip_is_sent_checked_and_imported(portal: str, page: Any, worker: Callable[[], None], tmp_path: Path) -> None:
    """Given nobody's study, an engineer sends a zip, sees it checked, reads what was refused and why, and imports it."""
    people.person("meg", "ml_engineer", printed_name="Meg Engineer")
    people.trial("DEMO")
    sign_in(page, portal, "meg")
    page.goto(f"{portal}/trials/DEMO/imports/")
    page.get_by_text("Nothing has been imported into this trial.").wait_for()
    page.get_by_role("link", name="New studies").click()
    page.get_by_role("link", name="Import a new study").click()
    page.get_by_role("heading", name="Import a new study").wait_for()
    pleasant(page)
    # the wrong kind of file: a sentence, on the same page
    page.get_by_label("File", exact=True).set_input_files(
        {"name": "letter.pdf", "mimeType": "application/pdf", "buffer": b"%PDF"}
    )
    page.get_by_role("button", name="Check the files").click()
    page.get_by_role("alert").get_by_text("cannot be imported").wait_for()
    archive = zipped(write_package(tmp_path / "study"))
    page.get_by_label("File", exact=True).set_input_files(
        {"name": "small.zip", "mimeType": "application/zip", "buffer": archive}
    )
    page.get_by_role("button", name="Check the files").click()
    page.get_by_role("heading", name="Check of small.zip").wait_for()
    page.get_by_text("Nothing is written but this report.").wait_for()
    assert page.locator("progress").count() == 1
    pleasant(page)
    worker()
    page.get_by_role("heading", name="Nothing has been written. Import it?").wait_for()  # the page comes by itself
    assert not Trial.objects.filter(pk="SMALL01").exists()
    pleasant(page)
    page.screenshot(path=str(tmp_path / "check.png"), full_page=True)
    page.locator("select[name=domain]").select_option("AE")
    page.wait_for_url("**domain=AE**")
    assert "AE:SMALL01-1-001:3" in page.get_by_role("region", name="Refused rows").inner_text()
    with page.expect_download() as file:
        page.get_by_role("link", name="CSV", exact=True).click()
    assert "what would mend it" in Path(file.value.path()).read_text("utf-8-sig")
    page.get_by_role("button", name="Import now").click()
    page.get_by_role("heading", name="Import of small.zip").wait_for()
    worker()
    page.get_by_text("The events have arrived.").wait_for()
    assert "/trials/SMALL01/imports/" in page.url
    page.get_by_role("link", name="Follow the run").click()
    page.get_by_role("heading", name="Imported study").wait_for()
    assert ImportRun.objects.filter(state="succeeded").count() == 2


def test_the_columns_of_a_table_are_named(portal: str, page: Any, worker: Callable[[], None], tmp_path: Path) -> None:
    """Given a CSV, an engineer sees a guess and what becomes of the first rows, names the source and checks the file."""
    trial = create_trial(by=people.SYSTEM, trial_id="WARD", name="A ward")
    people.publish(trial)
    people.person("meg", "ml_engineer", at=trial, printed_name="Meg Engineer")
    sign_in(page, portal, "meg")
    page.goto(f"{portal}/trials/WARD/imports/new/")
    text = "Subject,Site,Time,Pulse,SBP,temp_f,ALT\nP1,S1,2026-01-05T10:00,80,120,98.6,31\nP1,S1,2026-01-06T10:00,warm,121,98.9,\n"
    page.get_by_label("File", exact=True).set_input_files(
        {"name": "ward.csv", "mimeType": "text/csv", "buffer": text.encode()}
    )
    page.keyboard.press("Tab")
    page.get_by_role("button", name="Check the files").press("Enter")
    page.get_by_role("heading", name="What do the columns of ward.csv mean?").wait_for()
    page.get_by_text("P1 at 2026-01-05T10:00:00Z: heart rate 80.0").wait_for()
    page.get_by_text("has a value that is no number. (warm)").wait_for()
    pleasant(page)
    page.get_by_role("button", name="Check the whole file").click()
    page.get_by_role("alert").get_by_text("The source has no usable name.").wait_for()
    page.console_errors.clear()  # the browser notes the 422
    page.locator("#m-source").fill("Ward 7")
    page.locator("#layout").select_option("long")
    page.get_by_role("button", name="Show again").click()
    page.get_by_label("Names of tests").wait_for()
    page.goto(page.url)  # the guess again
    page.locator("#m-source").fill("Ward 7")
    page.screenshot(path=str(tmp_path / "columns.png"), full_page=True)
    page.get_by_role("button", name="Check the whole file").click()
    page.get_by_role("heading", name="Check of ward.csv").wait_for()
    worker()
    page.get_by_role("heading", name="Nothing has been written. Import it?").wait_for()
    rows = page.get_by_role("region", name="Account by domain").inner_text()
    assert "VITALS" in rows
    assert "LABS" in rows
