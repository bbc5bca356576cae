"""The portal, served as in production (ASGI, WebSockets) to a real browser, on the test database."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from apps.accounts.models import User
from tests.support.database import let_tests_empty_the_tables

AXE = Path(__file__).resolve().parents[2] / "node_modules" / "axe-core" / "axe.min.js"
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}


@pytest.fixture
def portal(transactional_db: None, valkey: Any) -> Iterator[str]:
    """Address of a running portal. The database is emptied after the test."""
    import uvicorn

    from clinical_portal.asgi import application
    from clinical_portal.servers import ports

    let_tests_empty_the_tables()
    port = ports.choose()
    server = uvicorn.Server(
        uvicorn.Config(application, host="127.0.0.1", port=port, log_level="warning", lifespan="off")
    )
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()), daemon=True)
    thread.start()
    deadline = time.monotonic() + 20
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.02)
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    server.force_exit = True
    thread.join(timeout=10)


def sign_in(page: Any, portal: str, username: str) -> None:
    """Begin as somebody who is signed in already; the form has its own story."""
    client = Client()
    client.force_login(User.objects.get(username=username))
    page.context.add_cookies([{"name": "sessionid", "value": client.cookies["sessionid"].value, "url": portal}])
    page.goto(f"{portal}/")


def violations(page: Any) -> list[str]:
    """What axe finds on the page as it stands (WCAG 2.2 A and AA), one line a rule and element."""
    if not AXE.is_file():
        pytest.skip("axe-core is not installed: run `npm ci`")
    page.evaluate(AXE.read_text("utf-8"))  # a script tag would be refused by the pages' own policy
    found = page.evaluate("rules => axe.run(document, rules)", RULES)
    return [
        f"{one['id']}: {one['nodes'][0]['target']} {one['nodes'][0]['failureSummary'][:200]}"
        for one in found["violations"]
    ]


def dark(page: Any, on: bool) -> None:
    """Night or day, through the page's own switch."""
    if (page.locator("html").get_attribute("data-theme") == "dark") != on:
        page.locator("[data-theme-switch]").click()
