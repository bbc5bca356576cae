"""JSON log lines on standard error.

Each has ``timestamp``, ``log_level``, ``component``, ``correlation_id``, ``event`` and what the caller adds
(``prediction_latency_ms``, ``lag``). Lines of libraries that use the standard logging take the same form. The correlation
id is the structlog context variable of that name; ``apps.core.correlation`` binds it.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from clinical_portal import masking
from clinical_portal.env import env


def component() -> str:
    """The process's name: COMPONENT, which the supervisor sets, else the management command or the program."""
    if env.is_set("COMPONENT"):
        return env.text("COMPONENT")
    program = Path(sys.argv[0]).stem if sys.argv and sys.argv[0] else "python"
    return sys.argv[1] if program == "manage" and len(sys.argv) > 1 else program


def _house_fields(_: WrappedLogger, method: str, event: EventDict) -> EventDict:
    level = event.pop("level", method)
    event["log_level"] = str(level).lower()
    event.setdefault("component", component())
    event.setdefault("correlation_id", None)
    return event


def _shared() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="timestamp"),
        # without the values of local variables: they hold patients and secrets
        structlog.processors.ExceptionRenderer(structlog.tracebacks.ExceptionDictTransformer(show_locals=False)),
        structlog.processors.UnicodeDecoder(),
        _house_fields,
    ]


def logging_config(level: str = "INFO") -> dict[str, Any]:
    """The dictConfig of every process; also sets structlog up to the same form.

    Loggers named here are those whose default level drowns the rest.
    """
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_shared(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "json": {
                "()": structlog.stdlib.ProcessorFormatter,
                "foreign_pre_chain": _shared(),
                "processors": [
                    structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                    masking.processor,
                    structlog.processors.JSONRenderer(),
                ],
            }
        },
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
        "root": {"handlers": ["stderr"], "level": logging.getLevelName(level.upper())},
        "loggers": {
            "kafka": {"level": "WARNING"},
            "botocore": {"level": "WARNING"},
            "urllib3": {"level": "WARNING"},
            "py4j": {"level": "WARNING"},
            "axes": {"level": "ERROR"},  # who was refused stands in the audit trail, without what they typed
            "django.server": {"handlers": [], "propagate": True},
        },
    }
