"""Every log line is one JSON object with the four agreed names, whoever writes it."""

from __future__ import annotations

import json
import logging
import logging.config
from collections.abc import Iterator
from io import StringIO

import pytest
import structlog

from clinical_portal.logging import logging_config


@pytest.fixture
def lines() -> Iterator[StringIO]:
    stream = StringIO()
    config = logging_config("INFO")
    config["handlers"]["stderr"]["stream"] = stream
    kept = logging.getLogger().handlers[:], logging.getLogger().level
    logging.config.dictConfig(config)
    yield stream
    logging.getLogger().handlers[:], logging.getLogger().level = kept


def test_both_ways_of_logging_take_the_same_form(lines: StringIO) -> None:
    with structlog.contextvars.bound_contextvars(correlation_id="c-1"):
        structlog.stdlib.get_logger("apps.live").info("scored", prediction_latency_ms=3.5)
        logging.getLogger("some.library").warning("slow %s", "disk", extra={"lag": 7})
    ours, theirs = (json.loads(line) for line in lines.getvalue().splitlines())
    for entry in (ours, theirs):
        assert {"timestamp", "log_level", "component", "correlation_id", "event"} <= entry.keys()
        assert entry["correlation_id"] == "c-1"
        assert entry["timestamp"].endswith("Z")
    assert (ours["log_level"], ours["event"], ours["prediction_latency_ms"]) == ("info", "scored", 3.5)
    assert (theirs["log_level"], theirs["event"], theirs["lag"]) == ("warning", "slow disk", 7)


def test_an_error_carries_its_traceback_in_one_line(lines: StringIO) -> None:
    try:
        raise ValueError("no such analyte")
    except ValueError:
        logging.getLogger("apps").exception("refused")
    (entry,) = (json.loads(line) for line in lines.getvalue().splitlines())
    assert entry["log_level"] == "error"
    assert "no such analyte" in json.dumps(entry["exception"])


def test_what_is_below_the_level_is_not_written(lines: StringIO) -> None:
    logging.getLogger("apps").debug("noise")
    structlog.stdlib.get_logger("apps").debug("noise")
    assert lines.getvalue() == ""
