"""Every page as every role, in a real browser: console open, by keyboard alone, at tablet width and 200 % zoom, with axe.

Which pages there are and who may see them is read from the URL conf and the table of access, so a new page is walked as
soon as it has an address. A page that two roles see alike is examined once and opened twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.contenttypes.models import ContentType

from apps.core import clock
from clinical_portal.access.routes import Route, routes
from clinical_portal.access.rules import LET_IN, outcome
from clinical_portal.access.visitors import VISITORS, Visitor
from tests.browser.conftest import dark, violations
from tests.support import doors
from tests.support.audit_export import fresh_lake

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]

ROLES = [one for one in VISITORS if one.name in doors.ROLE_NAMES] + [one for one in VISITORS if one.name == "platform"]
#: After its load event a page draws its charts and opens its socket; what goes wrong there is on the console by then.
SETTLED_MS = 150
#: 1440 px at 200 % zoom leave 720 CSS pixels; a tablet held upright has about 800, held across 1024.
WIDTHS = (1440, 1024, 800, 720)
#: Where the keyboard comes by, and what shows it.
TABBED = """() => {
  const it = document.activeElement;
  if (!it || it === document.body) return null;
  const look = getComputedStyle(it);
  const shown = look.outlineStyle !== "none" && parseFloat(look.outlineWidth) > 0 || look.boxShadow !== "none";
  return {index: [...document.querySelectorAll("*")].indexOf(it), shown, text: it.outerHTML.slice(0, 120)};
}"""
FOCUSABLE = ", ".join(
    (
        *("a[href]", "button:not([disabled])", "input:not([type=hidden]):not([disabled])", "select:not([disabled])"),
        *("textarea:not([disabled])", "summary", "[tabindex='0']"),
    )
)
#: Of a group of radio buttons Tab reaches the one that is chosen.
REACHABLE = """focusable => [...document.querySelectorAll(focusable)]
  .filter(it => it.checkVisibility({visibilityProperty: true}) && it.tabIndex >= 0 && !it.closest("[inert]")
      && !(it.type === "radio" && !it.checked && document.querySelector(`input[name="${it.name}"]:checked`)))
  .map(it => ({index: [...document.querySelectorAll("*")].indexOf(it), text: it.outerHTML.slice(0, 120)}))"""


@pytest.fixture(scope="module")
def examined() -> set[str]:
    """Pages that were examined already, by what stands in them."""
    return set()


@pytest.fixture
def world(portal: str, settings: Any, lake: str) -> Iterator[doors.World]:
    ContentType.objects.clear_cache()
    fresh_lake(settings, lake)
    yield doors.world(clock.now())
    ContentType.objects.clear_cache()


def pages(visitor: Visitor) -> list[Route]:
    """The addresses of the portal that show this visitor something when asked for it."""
    return [
        route
        for route in routes()
        if route.door == "portal" and "GET" in route.methods and outcome(route, "GET", visitor) == LET_IN
    ]


def look(page: Any) -> str:
    """Of which parts a page is made; what its words and numbers are makes no other page of it."""
    parts: str = page.evaluate(
        """() => [...new Set([...document.querySelectorAll("body *")]
          .map(it => [it.tagName, it.className, it.type, it.getAttribute("role")].join(".")))].sort().join(" ")"""
    )
    return parts


def too_wide(page: Any) -> list[str]:
    found = []
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            found.append(f"is wider than {width} px")
    page.set_viewport_size({"width": WIDTHS[0], "height": 900})
    return found


def by_keyboard(page: Any) -> list[str]:
    """What Tab does not reach, where it is not seen, and whether it is caught somewhere."""
    wanted = {one["index"]: one["text"] for one in page.evaluate(REACHABLE, FOCUSABLE)}
    page.evaluate("document.activeElement?.blur(); scrollTo(0, 0)")
    seen: dict[int, str] = {}
    found = []
    for _ in range(2 * len(wanted) + 10):
        page.keyboard.press("Tab")
        at = page.evaluate(TABBED)
        if at is None:
            if seen.keys() >= wanted.keys():
                break
            continue
        if at["index"] not in seen and not at["shown"]:
            found.append(f"focus is not seen on {at['text']}")
        seen[at["index"]] = at["text"]
    return found + [f"Tab does not reach {text}" for index, text in wanted.items() if index not in seen]


@pytest.mark.parametrize("visitor", ROLES, ids=lambda one: one.name)
def test_every_page(portal: str, world: doors.World, page: Any, visitor: Visitor, examined: set[str]) -> None:
    session = world.client(visitor).cookies["sessionid"].value
    page.context.add_cookies([{"name": "sessionid", "value": session, "url": portal}])
    faults: list[str] = []
    opened = 0
    for route in pages(visitor):
        path = doors.address(route, world.here)
        answer = page.request.get(f"{portal}{path}")
        if "text/html" not in answer.headers["content-type"] or "<html" not in answer.text():
            continue  # a file, or a part that its page asks for
        page.goto(f"{portal}{path}")
        page.wait_for_timeout(SETTLED_MS)
        opened += answer.ok
        lines = [line for line in page.console_errors if answer.ok or "Failed to load resource" not in line]
        found = [f"console: {line}" for line in lines]  # a page that says what is not there is walked, too
        page.console_errors.clear()
        if page.locator("h1").count() != 1:
            found.append(f"has {page.locator('h1').count()} headings of the first level")
        if (what := f"{route.name} {look(page)}") not in examined:
            examined.add(what)
            found += too_wide(page) + by_keyboard(page)
            for night in (False, True):
                dark(page, night)
                found += violations(page)
        faults += [f"{path}: {one}" for one in found]
    assert opened > 5
    assert not faults, "\n".join(faults)
