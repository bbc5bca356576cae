"""The user guide's pictures: each row of the table is drawn, and what it must show is seen within its frame.

``python -m tools.screenshots`` runs this file and keeps the pictures in ``docs/images/guide``.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from apps.accounts.models import User
from apps.core import clock
from apps.ingestion.models import DeadLetter, ImportRun
from apps.registry import effects
from apps.registry.models import ModelVersion
from tests.browser.conftest import dark, sign_in
from tests.integration import test_lineage
from tests.support import guide
from tests.support.pictures import MOST_BYTES, PICTURES, Picture

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]
#: Whether a text is seen: some element holds it whose box lies in the window and is not covered or hidden.
SEEN = """text => [...document.querySelectorAll("body *")].some(it => {
  const own = [...it.childNodes].some(node => node.nodeType === 3 && node.data.includes(text)) || it.value === text;
  if (!(own || it.children.length < 4 && it.textContent.replace(/\\s+/g, " ").includes(text)) || !it.checkVisibility()) return false;
  const box = it.getBoundingClientRect();
  return box.width > 1 && box.height > 1 && box.top >= 0 && box.left >= 0 && box.top < innerHeight && box.left < innerWidth;
})"""


def _replay(page: Any) -> None:
    page.get_by_role("button", name="Replay").click()
    page.locator(".verdicts li").nth(1).wait_for()


def _history(page: Any) -> None:
    page.get_by_role("link", name="History").first.click()
    page.locator("dialog[open] .entry").first.wait_for()


STEPS: dict[str, Callable[[Any], None]] = {"": lambda _: None, "replay": _replay, "history": _history}


@pytest.fixture
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Where the pictures go: what the tool asks for, or away after the test."""
    tool = request.config.pluginmanager.get_plugin("screenshots")
    found = (Path(tool.folder) if tool else tmp_path) / "guide"
    found.mkdir(exist_ok=True)
    return found


@pytest.fixture
def house(portal: str, lake: str, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The portal with a lake of its own, and nobody to announce a release to."""
    settings.LAKE_URL = lake
    monkeypatch.setattr(effects, "announce", lambda **_: None)
    test_lineage._forget()
    yield portal
    test_lineage._forget()


def in_a_thread(make: Callable[[], Any]) -> Any:
    """Playwright's loop runs in this thread, so what needs a loop of its own is made in another."""
    made: list[Any] = []

    def do() -> None:
        made.append(make())
        connection.close()

    thread = threading.Thread(target=do)
    thread.start()
    thread.join()
    return made[0]


@contextmanager
def ward(files: Path) -> Iterator[dict[str, str]]:
    made = in_a_thread(lambda: guide.ward(clock.now(), files))
    yield {
        "patient": made.patients[0].patient_id,
        "unscored": made.patients[10].patient_id,
        "check": str(ImportRun.objects.get(kind="check").pk),
        "letter": str(DeadLetter.objects.get(reasons__0__rule="schema_type").pk),
        "version": str(ModelVersion.objects.get(state="staging").pk),
        "person": str(User.objects.get(username="cora").pk),
    }


@contextmanager
def followed(_: Path) -> Iterator[dict[str, str]]:
    for _made in guide.followed():
        yield {"prediction": str(test_lineage.newest().pk)}


@contextmanager
def watched(_: Path) -> Iterator[dict[str, str]]:
    in_a_thread(lambda: guide.watched_trial(clock.now()))
    yield {}


@pytest.mark.parametrize("place", [ward, followed, watched], ids=lambda one: one.__name__)
def test_the_guides_pictures(house: str, page: Any, folder: Path, tmp_path: Path, place: Any) -> None:
    """Given somebody at their page, what the guide says of it is to be seen in its picture."""
    faults: list[str] = []
    with place(tmp_path) as names:
        who = ""
        for row in (one for one in PICTURES if one.place == place.__name__):
            if row.who != who:
                page.context.clear_cookies()
                sign_in(page, house, row.who)
                who = row.who
            faults += draw(page, house, row, names, folder / f"{row.name}.png")
    assert not faults, "\n".join(faults)


def draw(page: Any, portal: str, row: Picture, names: dict[str, str], target: Path) -> list[str]:
    """Take one picture; what is missing from it."""
    page.set_viewport_size({"width": row.size[0], "height": row.size[1]})
    address = row.page.format(**names)
    page.goto(portal + (address if address.startswith("/") else f"/trials/DEMO/{address}"))
    page.wait_for_load_state("networkidle")
    if row.night:
        dark(page, True)
    page.wait_for_function(
        "[...document.querySelectorAll('[data-chart]')].every(chart => chart.querySelector('canvas'))"
    )
    STEPS[row.step](page)
    page.mouse.move(0, 0)
    page.screenshot(path=target, animations="disabled")
    shows = (*row.shows, *(["Simulated data"] if row.labelled else []))
    faults = [f"{row.name} does not show {text!r}" for text in shows if not page.evaluate(SEEN, text)]
    if not 10_000 < target.stat().st_size <= MOST_BYTES:
        faults.append(f"{row.name} has {target.stat().st_size:,} bytes")
    if row.night:
        dark(page, False)
    return faults
