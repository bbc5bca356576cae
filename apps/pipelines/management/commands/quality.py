"""``manage.py quality``: hold the data plane against its limits now, as beat does every four hours."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.pipelines.doors import run_job
from apps.pipelines.quality import CHECKS


class Command(BaseCommand):
    help = "Quality check: " + "; ".join(f"{row.sentence} (limit {row.threshold:g} {row.unit})" for row in CHECKS)

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--deep", action="store_true", help="compare every object of bronze, not only new ones")
        parser.add_argument("--strict", action="store_true", help="end with an error where there is a warning")
        parser.add_argument("--here", action="store_true", help="run in this terminal even where a worker listens")

    def handle(self, *_: Any, **options: Any) -> None:
        chosen = {"deep": True if options["deep"] else None}
        run = run_job(self.stdout.write, "quality", trial=None, arguments=chosen, here=options["here"])
        warnings = int(run.outcome["warnings"])
        self.stdout.write(
            f"{run.outcome['claims_checked']:,} claims, {warnings} warnings; {run.outcome['quality_check']}"
        )
        if warnings and options["strict"]:
            raise CommandError(f"{warnings} limits are exceeded.")
