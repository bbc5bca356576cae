"""`manage.py demo_prepare`: everything the demonstration needs before its first page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.core.errors import DomainError
from apps.core.telling import logs_in
from apps.portal import demo


class Command(BaseCommand):
    help = "Prepares the demonstration: simulated history, silver, features, a model, signatures. Goes on where it stopped."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--only", choices=[step.name for step in demo.STEPS], help="one step, e.g. before an import"
        )

    def handle(self, *_: Any, **options: Any) -> None:
        only = options["only"]
        try:
            with logs_in(Path(settings.VAR_DIR, "log", "demo_prepare.log")):
                demo.prepare(self._say, [step for step in demo.STEPS if only in (None, step.name)])
        except DomainError as error:
            raise CommandError(str(error)) from error
        if only is not None:
            return
        Path(settings.VAR_DIR, "welcome.txt").write_text(demo.welcome())

    def _say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()
