"""What the commands of imports share: the run, its account on the terminal, and the job that follows."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.core.errors import DomainError
from apps.core.telling import Turns, logs_in
from apps.ingestion.beside import bronze_beside
from apps.ingestion.imports import course, places, services
from apps.ingestion.imports.packages import Package
from apps.pipelines import services as pipelines
from apps.pipelines.execution import execute
from apps.pipelines.models import JobRun

FIGURES = ("version", "state", "test_auroc", "out_of_fold_auroc", "predictions", "indeterminate", "quarantined")


class ImportCommand(BaseCommand):
    """An import from a terminal. `form` is how the files are read."""

    form = "sdtm"

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="read and give account; write and send nothing")
        parser.add_argument("--only-events", action="store_true", help="stop once bronze holds the events")
        parser.add_argument("--refusals", type=int, default=10, help="how many refused rows to show")

    def carry_out(self, options: dict[str, Any], *, source: str, trial_id: str, mapping: Any = None) -> None:
        """Do what the command asks; CommandError with the sentence of what stops it."""
        with logs_in(Path(settings.VAR_DIR, "log", f"import_{self.form}.log")):
            self._import(options, source, trial_id, mapping)

    def _import(self, options: dict[str, Any], source: str, trial_id: str, mapping: Any) -> None:
        began = time.monotonic()
        self._turn = self._turns()
        try:
            place = places.allowed(source)
            if options["dry_run"]:
                package, found = course.look(place, self.form, trial_id=trial_id, mapping=mapping, report=self._show)
                done = f"nothing sent (dry run): {found.new:,} new, {found.corrected:,} corrected, {found.retracted:,} retracted, "
                done += f"{found.unchanged:,} unchanged records"
            else:
                run = services.command_run(
                    by=services.PROCESS,
                    form=self.form,
                    source=source,
                    place=place,
                    trial_name=trial_id,
                    mapping=mapping,
                )
                with bronze_beside():
                    imported = course.carried_out(run, report=self._show)
                package, found = imported.package, imported.found
                done = f"{imported.sent:,} events sent: {found.new:,} new, {found.corrected:,} corrected, "
                done += f"{found.retracted:,} retracted, {found.unchanged:,} unchanged records"
        except DomainError as error:
            raise CommandError(str(error)) from error
        self._account(package, options["refusals"])
        self.stdout.write(
            f"{package.trial_id}: {package.subjects} subjects, {package.sites} sites; {done}; {time.monotonic() - began:.0f} s"
        )
        if not options["dry_run"] and not options["only_events"] and found.messages:
            self._follow(package.trial_id)
            self.stdout.write(f"from files to predictions in {time.monotonic() - began:.0f} s")

    def _follow(self, trial_id: str) -> None:
        """From bronze on: clean, features, training, registration, signatures of a demonstration, predictions."""
        run = pipelines.request(by=services.PROCESS, job=course.job_after(trial_id), trial_id=trial_id)
        execute(by=services.PROCESS, run=run, echo=self._turns())
        if run.state != JobRun.State.SUCCEEDED:
            raise CommandError(f"{run.error} {run.cure}".strip())
        for one in run.outcome.get("not_done", ()):
            self.stdout.write(f"not done: {one['step']}, because {one['because']}")
        for name in FIGURES:
            if name in run.outcome:
                self.stdout.write(f"{name}: {run.outcome[name]}")

    def _show(self, sentence: str, done: int, of: int) -> None:
        self._turn(f"{sentence} {done:,}/{of:,}")

    def _turns(self) -> Turns:
        return Turns(self._say, seconds=2.0)

    def _say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()

    def _account(self, package: Package, shown: int) -> None:
        self.stdout.write(f"{'domain':<8}{'read':>9}{'carried':>9}{'refused':>9}{'events':>9}")
        for one in package.accounts:
            self.stdout.write(f"{one.domain:<8}{one.read:>9,}{one.carried:>9,}{one.refused:>9,}{one.events:>9,}")
        rules: Counter[str] = Counter()
        for refusal in package.refusals:
            rules[f"{refusal.domain} {refusal.rule}"] += refusal.count
        for rule, count in sorted(rules.items()):
            self.stdout.write(f"refused under {rule}: {count:,}")
        for refusal in [refusal for refusal in package.refusals if refusal.count == 1][:shown]:
            self.stdout.write(f"  {refusal.message}")
