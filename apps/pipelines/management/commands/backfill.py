"""``manage.py backfill TRIAL --from DAY --to DAY``: the features of these days once more, the others left as they are."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from apps.pipelines.doors import run_job
from apps.pipelines.management.commands.train import day


class Command(BaseCommand):
    help = "Builds the features of a period again, and the labels; for the whole trial run the job features."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("trial")
        parser.add_argument("--from", dest="first", type=day, required=True, help="first day (YYYY-MM-DD, UTC)")
        parser.add_argument("--to", dest="last", type=day, required=True, help="last day (YYYY-MM-DD, UTC)")
        parser.add_argument("--here", action="store_true", help="run in this terminal even where a worker listens")

    def handle(self, *_: Any, **options: Any) -> None:
        chosen = {"from": options["first"], "to": options["last"]}
        run = run_job(self.stdout.write, "backfill", trial=options["trial"], arguments=chosen, here=options["here"])
        computed = run.outcome["computed_days"]
        if not computed:
            self.stdout.write(
                f"Nobody was followed between {options['first']} and {options['last']}: nothing was computed."
            )
        self.stdout.write(
            f"{computed} of {run.outcome['days']} days computed again, {run.outcome['rows']:,} rows in all, "
            f"data version {run.outcome['data_version'][:12]}"
        )
