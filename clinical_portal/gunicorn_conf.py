"""gunicorn's settings for the prediction API; no preload, since a parent's threads and connections are dead in a child."""

from __future__ import annotations

from typing import Any

from clinical_portal.env import env
from clinical_portal.logging import logging_config

bind = f"{'0.0.0.0' if env.production else '127.0.0.1'}:{env.integer('API_PORT')}"  # noqa: S104 - behind a front door
worker_class = "gthread"
workers = env.integer("API_WORKERS")
threads = env.integer("API_THREADS")
preload_app = False
keepalive = 75
timeout = 60
graceful_timeout = 8
accesslog = None
logconfig_dict = logging_config(env.text("LOG_LEVEL"))


def child_exit(_: Any, worker: Any) -> None:
    """A dead worker's gauges leave /metrics; its counts stay in the sums."""
    if env.is_set("PROMETHEUS_MULTIPROC_DIR"):
        from prometheus_client.multiprocess import mark_process_dead

        mark_process_dead(worker.pid)
