"""``manage.py compare TRIAL --one N --two M``: two versions on the same rows that neither has learned from."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.core.errors import DomainError
from apps.core.lake import lake
from apps.pipelines.doors import run_job
from apps.registry import comparisons, doors, selectors

FIGURES = (("auroc", "AUROC"), ("auprc", "Average precision"), ("brier", "Brier score"), ("ece", "Calibration error"))
"""What is printed of a comparison, in this order."""


class Command(BaseCommand):
    help = "Compares two versions of a trial's model; the comparison is kept and shown in the portal, too."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("trial")
        parser.add_argument("--one", type=int, help="a version's number (default: the one that serves)")
        parser.add_argument("--two", type=int, required=True, help="the challenger's number")
        parser.add_argument("--here", action="store_true", help="run in this terminal even where a worker listens")

    def handle(self, *_: Any, **options: Any) -> None:
        trial = options["trial"]
        try:
            serving = selectors.serving(trial)
            if options["one"] is None and serving is None:
                raise CommandError(f"No model serves trial {trial}: name the first version with --one.")
            one = doors.chosen(trial, options["one"]) if options["one"] is not None else serving.version  # type: ignore[union-attr]
            arguments = comparisons.arguments(one, doors.chosen(trial, options["two"]))
        except DomainError as error:
            raise CommandError(str(error)) from error
        run = run_job(self.stdout.write, "compare", trial=trial, arguments=arguments, here=options["here"])
        body = json.loads(lake().get(run.outcome["comparison"]))
        for line in told(body):
            self.stdout.write(line)
        self.stdout.write(f"Kept as {run.outcome['comparison']}")


def told(body: dict[str, Any]) -> list[str]:
    """The comparison in lines for a terminal."""
    names = {side: body["models"][side]["name"] for side in ("one", "two")}
    wide = max(12, *(len(name) for name in names.values()))
    data = " (simulated data)" if body["simulated"] else ""
    lines = [
        "",
        f"{body['rows']:,} rows of {body['patients']:,} patients that neither has learned from, {body['events']:,} events{data}",
        f"{'':<24}{names['one']:>{wide}}  {names['two']:>{wide}}   difference (95 % interval)",
    ]
    figures = [(title, body["figures"][name]) for name, title in FIGURES]
    figures += [(f"alerts at {row['band']:g}", row) for row in body["alerts"]]
    for group, rows in body["subgroups"].items():
        figures += [(f"AUROC {group} {row['group']}", row) for row in rows if not row["suppressed"]]
    lines += [
        f"{title[:23]:<24}{_number(row['one']):>{wide}}  {_number(row['two']):>{wide}}   {_gain(row['gain'])}"
        for title, row in figures
    ]
    apart = body["disagreement"]
    return [
        *lines,
        f"Another level for {apart['other_level']:.1%} of the rows, two levels apart for {apart['two_levels_apart']:.1%}",
        body["decision"]["sentence"],
    ]


def _number(figure: dict[str, Any]) -> str:
    return "-" if figure["value"] is None else f"{figure['value']:.3f}"


def _gain(figure: dict[str, Any]) -> str:
    if figure["value"] is None or figure["low"] is None:
        return "-"
    return f"{figure['value']:+.3f} ({figure['low']:+.3f} to {figure['high']:+.3f})"
