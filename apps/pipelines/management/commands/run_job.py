"""`manage.py run_job JOB [--trial T]`: run a job here and now, its progress on the terminal, its row in the portal."""

from __future__ import annotations

import argparse
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps.audit.actors import Actor
from apps.core.errors import DomainError
from apps.pipelines import services
from apps.pipelines.execution import execute
from apps.pipelines.jobs import JOBS
from apps.pipelines.models import JobRun


class Command(BaseCommand):
    help = "Run a job here and now: " + ", ".join(JOBS)

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("job", choices=sorted(JOBS))
        parser.add_argument("--trial")

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ARG002
        by = Actor.process("operator")
        try:
            run = services.request(by=by, job=options["job"], trial_id=options["trial"])
        except DomainError as error:
            raise CommandError(str(error)) from error
        execute(by=by, run=run, echo=self.stdout.write)
        if run.state != JobRun.State.SUCCEEDED:
            raise CommandError(f"{run.error} {run.cure}".strip())
        self.stdout.write(f"Done: {run.outcome}")
