"""``manage.py import_sdtm FOLDER``: a finished study's SDTM package, from files to bronze, with the account of every row."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.core.errors import DomainError
from apps.core.telling import Turns, logs_in
from apps.ingestion import sdtm_import
from apps.ingestion.beside import bronze_beside
from apps.pipelines import services as pipelines
from apps.pipelines.execution import execute
from apps.pipelines.models import JobRun
from ml.sdtm import Package


class Command(BaseCommand):
    help = "Imports a folder of SDTM transport files (*.xpt). The same package twice sends nothing new."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("folder")
        parser.add_argument("--trial", help="import under this trial identifier instead of STUDYID")
        parser.add_argument("--dry-run", action="store_true", help="read and give account; write and send nothing")
        parser.add_argument("--only-events", action="store_true", help="stop once bronze holds the events")
        parser.add_argument("--refusals", type=int, default=10, help="how many refused rows to show")

    def handle(self, *_: Any, **options: Any) -> None:
        with logs_in(Path(settings.VAR_DIR, "log", "import_sdtm.log")):
            self._import(options)

    def _import(self, options: dict[str, Any]) -> None:
        began = time.monotonic()
        self._turn = self._turns()
        try:
            if options["dry_run"]:
                package = sdtm_import.read(options["folder"], trial_id=options["trial"], report=self._show)
                done = f"nothing sent (dry run): {len(package.events):,} events"
            else:
                with bronze_beside():
                    imported = sdtm_import.import_study(
                        folder=options["folder"], by=sdtm_import.PROCESS, trial_id=options["trial"], report=self._show
                    )
                package = imported.package
                done = f"{imported.sent:,} events sent, {imported.known:,} known before"
        except DomainError as error:
            raise CommandError(str(error)) from error
        self._account(package, options["refusals"])
        self.stdout.write(
            f"{package.trial_id}: {package.subjects} subjects, {package.sites} sites; {done}; {time.monotonic() - began:.0f} s"
        )

        if not options["dry_run"] and not options["only_events"]:
            self._study(package.trial_id)
            self.stdout.write(f"from files to predictions in {time.monotonic() - began:.0f} s")

    def _study(self, trial_id: str) -> None:
        """From bronze on: clean, features, training, registration, signatures of a demonstration, predictions."""
        run = pipelines.request(by=sdtm_import.PROCESS, job="study", trial_id=trial_id)
        execute(by=sdtm_import.PROCESS, run=run, echo=self._turns())
        if run.state != JobRun.State.SUCCEEDED:
            raise CommandError(f"{run.error} {run.cure}".strip())
        for name in ("version", "state", "test_auroc", "predictions", "indeterminate", "quarantined"):
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
