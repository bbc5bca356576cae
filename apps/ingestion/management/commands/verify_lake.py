"""``manage.py verify_lake``: follow every claim chain of bronze and say what is wrong, if anything."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.core.lake import lake
from ml.contracts import TOPICS
from ml.lake.verify import sweep, verify


class Command(BaseCommand):
    help = (
        "Checks that bronze is contiguous and unchanged: every claim follows its predecessor, every object is intact."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--sweep", action="store_true", help="also remove objects that no claim names or ever can")

    def handle(self, *_: Any, **options: Any) -> None:
        problems = 0
        for topic in TOPICS:
            report = verify(lake(), topic)
            self.stdout.write(
                f"{topic}: {report.good:,} messages and {report.dead:,} dead letters in {report.claims:,} batches, "
                f"{len(report.problems)} problems"
            )
            for problem in report.problems:
                self.stdout.write(f"  {problem.where}: {problem.message}")
            problems += len(report.problems)
            if options["sweep"]:
                for name in sweep(lake(), topic):
                    self.stdout.write(f"  removed {name}")
        if problems:
            raise CommandError(f"Bronze has {problems} problems; see docs/runbooks/bronze.md.")
