"""The processes of ``make run``, as data: what each is, what it needs, and when and how it stops."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from clinical_portal.env import BASE_DIR, Environment


@dataclass(frozen=True)
class Process:
    """One row.

    ``stage``: processes stop stage by stage, all of one stage together: first who makes work, then who carries it away,
    so that a proper stop leaves nothing between the broker and bronze. ``patience``: seconds it may take to stop.
    ``port``: the name of the setting with the port on which it answers, "" where it has none.
    """

    name: str
    command: tuple[str, ...]
    stage: int
    patience: float
    why: str
    settings: str = "local"
    port: str = ""

    @property
    def management_command(self) -> str:
        """Its ``manage.py`` verb, or ""."""
        return self.command[2] if len(self.command) > 2 and self.command[1].endswith("manage.py") else ""


def table(env: Environment) -> tuple[Process, ...]:
    """The rows in starting order, filled in with this environment's ports and sizes."""
    python, manage = sys.executable, str(BASE_DIR / "manage.py")
    return (
        Process("bronze", (python, manage, "run_bronze"), 2, 60, "Kafka to the lake: every message, exactly once"),
        Process("live", (python, manage, "run_live"), 3, 30, "online window, scoring, live pages"),
        Process(
            "web",
            (python, "-m", "clinical_portal.web"),
            1,
            10,
            "pages and their live updates",
            port="WEB_PORT",
        ),
        Process(
            "api",
            (
                python,
                "-m",
                "gunicorn",
                "--config",
                "python:clinical_portal.gunicorn_conf",
                "clinical_portal.wsgi:application",
            ),
            1,
            10,
            "prediction API",
            settings="api",
            port="API_PORT",
        ),
        Process(
            "worker",
            (
                *(python, "-m", "celery", "--app", "clinical_portal.celery", "worker", "--queues", "default,pipelines"),
                *("--concurrency", str(env.integer("WORKER_CONCURRENCY")), "--without-gossip", "--without-mingle"),
            ),
            4,
            20,
            "jobs: clean, features, training, imports",
        ),
        Process(
            "beat",
            (python, "-m", "celery", "--app", "clinical_portal.celery", "beat", "--pidfile="),
            1,
            10,
            "starts jobs by the clock",
        ),
        Process("simulator", (python, manage, "run_simulator"), 1, 20, "the demo's patients, sending as devices would"),
    )
