"""Fixtures that need servers, files or a browser: nothing starts before a test asks for it, nothing is left after."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.servers import SERVERS, TestServers

if TYPE_CHECKING:
    import redis

BROWSER_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
NO_BROWSER = "no Chromium: install it (Debian: `apt-get install chromium`) or set CHROMIUM to its path"


def pytest_unconfigure() -> None:
    SERVERS.close()


@pytest.fixture(scope="session")
def servers() -> TestServers:
    """The session's embedded servers; ``servers.need("mlflow")`` starts one by name."""
    return SERVERS


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings_parallel_suffix: None, servers: TestServers) -> None:
    """pytest-django's hook before it makes the test database: the server must run by then."""
    from tests.support.database import let_tests_empty_the_tables

    servers.need("postgres", "valkey")
    let_tests_empty_the_tables()


@pytest.fixture
def pg(db: None) -> None:
    """The Django test database on the real PostgreSQL, rolled back after the test."""


@pytest.fixture
def valkey(servers: TestServers) -> Iterator[redis.Redis[bytes]]:
    """A client of the online window's database (0), empty before and after; all other databases are emptied too."""
    import redis

    servers.need("valkey")
    client: redis.Redis[bytes] = redis.Redis.from_url(os.environ["REDIS_URL"])
    client.flushall()
    yield client
    client.flushall()
    client.close()


@pytest.fixture
def kafka(servers: TestServers) -> list[str]:
    """Bootstrap servers of the broker. Topics outlive a test: name yours with ``topic_name`` or use fresh group ids."""
    servers.need("broker")
    return os.environ["KAFKA_BOOTSTRAP_SERVERS"].split(",")


@pytest.fixture
def fresh_broker(servers: TestServers) -> Iterator[list[str]]:
    """Bootstrap servers of a broker of the test's own, empty; for tests that use the five real topic names."""
    from clinical_portal.servers.stack import Stack

    folder = servers.folder / f"broker-{uuid.uuid4().hex[:8]}"
    stack = Stack(folder, durable=False)
    try:
        yield [stack.ensure("broker")["KAFKA_BOOTSTRAP_SERVERS"]]
    finally:
        stack.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def topic_name() -> str:
    """A topic name no other test uses."""
    return f"test-{uuid.uuid4().hex}"


@pytest.fixture
def lake(tmp_path: Path) -> str:
    """The file:// URL of an empty lake."""
    folder = tmp_path / "lake"
    folder.mkdir()
    return folder.as_uri()


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """Address of an S3 server in this process (moto, in memory)."""
    from moto.server import ThreadedMotoServer

    from clinical_portal.servers import ports

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=ports.choose(), verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3(s3_server: str) -> dict[str, str]:
    """``endpoint``, ``access_key``, ``secret_key`` and an empty ``bucket`` of the test's own."""
    import boto3

    options = {
        "endpoint": s3_server,
        "access_key": "test",
        "secret_key": "test",
        "bucket": f"lake-{uuid.uuid4().hex[:12]}",
    }
    client = boto3.client(
        "s3",
        endpoint_url=s3_server,
        aws_access_key_id=options["access_key"],
        aws_secret_access_key=options["secret_key"],
        region_name="us-east-1",
    )
    client.create_bucket(Bucket=options["bucket"])
    client.close()
    return options


@pytest.fixture(scope="session")
def pilot_dir() -> Path:
    """The CDISC pilot study's folder; tests on it skip where it is not at hand."""
    from clinical_portal.env import env

    folder = Path(env.text("SDTM_PILOT_DIR"))
    if not folder.is_dir():
        pytest.skip(f"the CDISC pilot study is not at {folder}: set SDTM_PILOT_DIR to its folder of .xpt files")
    return folder


@pytest.fixture(scope="session")
def chromium() -> Path:
    """The browser's path; in CI its absence fails, elsewhere the test skips with the cure."""
    from clinical_portal.env import env

    names = (env.text("CHROMIUM"), "chromium", "chromium-browser", "google-chrome")
    found = next((path for name in names if name and (path := shutil.which(name))), None)
    if found is None:
        if env.flag("CI"):
            pytest.fail(NO_BROWSER)
        pytest.skip(NO_BROWSER)
    return Path(found)


@pytest.fixture(scope="session")
def browser(chromium: Path) -> Iterator[Any]:
    """One headless Chromium for the session."""
    from playwright.sync_api import sync_playwright

    # Playwright runs an event loop in this thread, which Django takes for a sign of asynchronous code.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(chromium), args=list(BROWSER_FLAGS))
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """A page of a browser context of its own; the test fails on any error its console shows."""
    context = browser.new_context(viewport={"width": 1440, "height": 900}, locale="en-GB", timezone_id="UTC")
    page = context.new_page()
    page.set_default_timeout(10_000)
    errors: list[str] = []
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.console_errors = errors
    yield page
    context.close()
    assert not errors, "the browser's console shows errors:\n" + "\n".join(errors)
