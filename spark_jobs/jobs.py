"""The jobs, as a table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from spark_jobs.settings import Settings

Outcome = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Job:
    """One job: its name on the command line, the function that runs it ("module:function"), and what it does."""

    name: str
    call: str
    sentence: str

    def load(self) -> Callable[[Settings], Outcome]:
        """The job's function; imported only now, so that `--help` needs no Spark."""
        module, _, name = self.call.partition(":")
        function: Callable[[Settings], Outcome] = getattr(import_module(module), name)
        return function


JOBS: dict[str, Job] = {
    job.name: job
    for job in (
        Job("clean", "spark_jobs.pipelines.clean:run", "Clean what is new in bronze into silver; incremental."),
        Job(
            "features",
            "spark_jobs.pipelines.features:run",
            "Compute the 120 features of every patient-day, as known then.",
        ),
        Job(
            "labels",
            "spark_jobs.pipelines.labels:run",
            "Write what happened after each patient-day, as known by a date.",
        ),
        Job(
            "verify",
            "spark_jobs.pipelines.verify:run",
            "Compare silver and features with their manifests, byte for byte.",
        ),
    )
}
