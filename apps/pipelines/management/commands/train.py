"""``manage.py train TRIAL``: train a model now, as the schedule does, with progress on the terminal."""

from __future__ import annotations

import argparse
from datetime import date
from pathlib import Path
from typing import Any

import yaml
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.pipelines.doors import run_job

#: Option → its name in params.yaml, type, and what it is. The same names as a run's arguments and MLflow's parameters.
CHOICES: tuple[tuple[str, str, type, str], ...] = (
    ("epochs", "epochs", int, "at most so many passes over the rows"),
    ("learning-rate", "learning_rate", float, "of Adam"),
    ("batch-size", "batch_size", int, "rows of one step"),
    ("dropout-rate", "dropout_rate", float, "share of a layer left out"),
    ("seed", "seed", int, "of split, weights and order of rows"),
)


def day(text: str) -> str:
    """An ISO date, checked."""
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a date; write YYYY-MM-DD") from error


class Command(BaseCommand):
    help = "Trains, evaluates and registers a candidate; by a worker where one listens, else in this terminal."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("trial")
        parser.add_argument("--whole", action="store_true", help="clean and build features first, too")
        parser.add_argument("--params", type=Path, help="take the values of a params.yaml's section train")
        parser.add_argument("--start-date", type=day, help="leave out rows before this day (UTC)")
        parser.add_argument("--end-date", type=day, help="leave out rows after this day (UTC)")
        parser.add_argument("--here", action="store_true", help="run in this terminal even where a worker listens")
        for option, _, kind, words in CHOICES:
            parser.add_argument(f"--{option}", type=kind, help=words)

    def handle(self, *_: Any, **options: Any) -> None:
        filed = self._filed(options["params"])
        chosen: dict[str, Any] = {}
        for option, name, kind, _words in CHOICES:
            given = options[option.replace("-", "_")]
            value = given if given is not None else filed.get(name)
            chosen[option] = None if value is None else kind(value)
        chosen |= {"start-date": options["start_date"], "end-date": options["end_date"]}
        job = "pipeline" if options["whole"] else "train"
        run = run_job(self.stdout.write, job, trial=options["trial"], arguments=chosen, here=options["here"])
        outcome = run.outcome
        self.stdout.write(
            f"{outcome.get('version')} is {outcome.get('state')}: AUROC {outcome.get('test_auroc') or float('nan'):.3f} on "
            f"test patients, data version {str(outcome.get('data_version', ''))[:12]}, run {outcome.get('run_id') or '-'}"
        )

    @staticmethod
    def _filed(path: Path | None) -> dict[str, Any]:
        if path is None:
            return {}
        place = path if path.is_absolute() else Path(settings.BASE_DIR, path)
        try:
            body: dict[str, Any] = yaml.safe_load(place.read_text())["train"]
        except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
            raise CommandError(f"{place} has no section train that can be read.") from error
        return body
