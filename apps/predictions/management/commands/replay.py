"""`manage.py replay PREDICTION` or `manage.py replay --sample N`: prove past answers from bronze alone."""

from __future__ import annotations

import argparse
import random
import time
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError

from apps.core import clock
from apps.ingestion import hurry
from apps.predictions.models import Prediction
from apps.predictions.replay import Verdict, replay

YOUNG = timedelta(minutes=1)
"""So long an answer may rest on messages that bronze has read and not yet written."""
TRIES, PAUSE_SECONDS = 15, 2.0


class Command(BaseCommand):
    help = "Answer past questions again from bronze, and compare every bit."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("prediction", nargs="?", help="id of one prediction")
        parser.add_argument("--sample", type=int, metavar="N", help="N random predictions")
        parser.add_argument("--seed", type=int, default=0, help="seed of the sample")
        parser.add_argument("--trial")

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ARG002
        chosen = self._chosen(options)
        proven = total = 0
        for verdict in self._verdicts(chosen):
            total += 1
            proven += verdict.proven
            if not verdict.proven or options["prediction"]:
                self.stdout.write(f"{verdict.prediction}: {verdict.verdict}")
                for line in verdict.details:
                    self.stdout.write(f"  {line}")
        self.stdout.write(f"replay: {proven} of {total} identical")
        if proven != total:
            raise CommandError(f"{total - proven} of {total} predictions could not be proven; they are named above.")

    def _verdicts(self, chosen: list[UUID]) -> list[Verdict]:
        """Those of the last minute that bronze does not hold yet are asked again, while bronze hurries."""
        verdicts = {one.prediction: one for one in replay(chosen)}
        for _ in range(TRIES):
            waiting = [pk for pk, one in verdicts.items() if one.verdict == "not proven"]
            young = Prediction.objects.filter(pk__in=waiting, created_at__gt=clock.now() - YOUNG)
            if not (again := list(young.values_list("pk", flat=True))):
                break
            hurry.ask()
            time.sleep(PAUSE_SECONDS)
            verdicts |= {one.prediction: one for one in replay(again)}
        return list(verdicts.values())

    def _chosen(self, options: dict[str, Any]) -> list[UUID]:
        if options["prediction"]:
            try:
                chosen = UUID(options["prediction"])
            except ValueError as error:
                raise CommandError(f"{options['prediction']!r} is no prediction's id; it looks like a UUID.") from error
            if not Prediction.objects.filter(pk=chosen).exists():
                raise CommandError(f"There is no prediction {chosen}.")
            return [chosen]
        if not options["sample"]:
            raise CommandError("Name a prediction, or how many: replay --sample 200.")
        rows = Prediction.objects.filter(not_replayable__isnull=True)
        if options["trial"]:
            rows = rows.filter(trial_id=options["trial"])
        every = sorted(rows.values_list("pk", flat=True))
        if not every:
            raise CommandError("There is no prediction to replay yet.")
        return random.Random(options["seed"]).sample(every, min(options["sample"], len(every)))  # noqa: S311 - a sample, no secret
