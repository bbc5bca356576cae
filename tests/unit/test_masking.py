"""No line of any log holds a secret, a patient's address or what somebody typed to sign in, whoever wrote it."""

from __future__ import annotations

import json
import logging
import logging.config
from collections.abc import Iterator
from io import StringIO

import pytest
import structlog
from django.test import RequestFactory
from django.urls import resolve

from clinical_portal import masking
from clinical_portal.logging import logging_config

KEY = "crk_0123456789ab_" + "S" * 43


@pytest.fixture
def lines() -> Iterator[StringIO]:
    stream = StringIO()
    config = logging_config("INFO")
    config["handlers"]["stderr"]["stream"] = stream
    kept = logging.getLogger().handlers[:], logging.getLogger().level
    logging.config.dictConfig(config)
    yield stream
    logging.getLogger().handlers[:], logging.getLogger().level = kept


@pytest.mark.parametrize(
    ("said", "gone", "stays"),
    [
        (f"refused {KEY}", "SSSS", "crk_0123456789ab_"),
        (f"Authorization: Api-Key {KEY}", "0123456789ab", "Authorization: "),
        ('"Cookie": "sessionid=abc123; csrftoken=def"', "abc123", "Cookie"),
        ("sent __Host-session=abc123xyz back", "abc123xyz", "__Host-session="),
        ("postgresql://clinical:7hG2kQ9vXz4mLp@db:5432/x failed", "7hG2kQ9vXz4mLp", "@db:5432/x failed"),
        ("redis://:hunter2hunter2@cache:6379/0", "hunter2", "@cache:6379/0"),
        ("password=hunter2 is wrong", "hunter2", "is wrong"),
        ('{"password": "hunter2"}', "hunter2", "password"),
        ("Not Found: /trials/DEMO/patients/701-1015/", "701-1015", "/trials/DEMO/patients/"),
        ('127.0.0.1:1 - "WebSocket /ws/trials/DEMO/patients/701-1015/" [accepted]', "701-1015", "[accepted]"),
        ("Forbidden: /trials/DEMO/?q=701-1015&site=701", "701-1015", "/trials/DEMO/?"),
        ("Not Found: /sign-in/?next=/trials/DEMO/patients/701-1015/", "701-1015", "/sign-in/?"),
    ],
)
def test_text_loses_what_no_line_may_hold_and_keeps_the_rest(said: str, gone: str, stays: str) -> None:
    masked = masking.text(said)
    assert gone not in masked
    assert stays in masked


def test_what_tells_nothing_is_left_alone() -> None:
    for said in (
        "scored 200 patients in 1.2 s",
        "Wrote s3://lake/raw/vitals/date=2026-01-01/x.json",
        "is this right? yes",
    ):
        assert masking.text(said) == said


def test_names_hide_their_values_however_deep(lines: StringIO) -> None:
    log = structlog.stdlib.get_logger("apps")
    log.info(
        "asked", headers={"Authorization": "x1y2", "Host": "risk"}, rows=[{"password": "x1y2"}], session_key="x1y2"
    )
    logging.getLogger("library").warning("odd", extra={"username": "x1y2", "sessions": 3})
    written = lines.getvalue()
    assert "x1y2" not in written
    assert "risk" in written
    assert '"sessions": 3' in written


def test_a_request_is_told_by_its_route(lines: StringIO) -> None:
    request = RequestFactory().get("/trials/DEMO/patients/701-1015/", {"zoom": "7d"})
    request.resolver_match = resolve(request.path_info)
    logging.getLogger("django.request").warning(
        "Forbidden: %s", request.path, extra={"status_code": 403, "request": request}
    )
    (entry,) = (json.loads(line) for line in lines.getvalue().splitlines())
    assert "701-1015" not in lines.getvalue()
    assert entry["request"] == "GET /trials/<str:trial>/patients/<str:patient>/"
    assert entry["status_code"] == 403


def test_an_exception_is_masked_too(lines: StringIO) -> None:
    try:
        raise ValueError(f"no key {KEY} at postgresql://u:hunter2hunter2@db/x")
    except ValueError:
        logging.getLogger("apps").exception("refused")
    assert "SSSS" not in lines.getvalue()
    assert "hunter2" not in lines.getvalue()
    assert "no key crk_" in lines.getvalue()


def test_a_line_cannot_be_forged(lines: StringIO) -> None:
    logging.getLogger("apps").warning("signed in: %s", 'ana\r\n{"event": "all is well", "log_level": "info"}')
    assert len(lines.getvalue().splitlines()) == 1
