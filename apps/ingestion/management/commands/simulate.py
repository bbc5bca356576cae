"""``manage.py simulate``: the history of simulated patients, up to now, as backfill."""

from __future__ import annotations

import time
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from kafka.errors import KafkaError

from apps.core.errors import DomainError
from apps.ingestion import simulate
from apps.ingestion.topics import ensure_topics
from ml.simulation.state import Unreadable


class Command(BaseCommand):
    help = (
        "Sends the history of simulated patients (default: 200 patients, 60 days, ending now). Run again, it goes on."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--patients", type=int, default=settings.NUM_PATIENTS)
        parser.add_argument("--days", type=int, default=settings.HISTORY_DAYS, help="days of history before now")
        parser.add_argument("--seed", type=int, default=1)
        parser.add_argument("--sites", type=int, default=6)
        parser.add_argument("--rate", type=float, default=0.0, help="at most so many messages a second; 0 = no limit")
        parser.add_argument("--no-truth", action="store_true", help="do not write the hourly true hazard")

    def handle(self, *_: Any, **options: Any) -> None:
        began = time.monotonic()
        try:
            state = simulate.begin(
                patients=options["patients"], days=options["days"], seed=options["seed"], sites=options["sites"]
            )
            ensure_topics(settings.KAFKA_BOOTSTRAP_SERVERS)
            until = int(simulate.clock.now().timestamp())
            state, sent = simulate.backfill(state, until, rate=options["rate"], progress=self._show)
        except (DomainError, Unreadable, ValueError) as error:
            raise CommandError(str(error)) from error
        except KafkaError as error:
            raise CommandError(f"The broker cannot be reached: {error}. Start it first.") from error
        seconds = time.monotonic() - began
        self.stdout.write(f"\n{sent:,} messages of {state.config.patients} simulated patients in {seconds:.0f} s")
        if not options["no_truth"]:
            self.stdout.write(f"true hazard, hourly: {simulate.write_truth(state)}")

    def _show(self, sent: int, share: float) -> None:
        self.stdout.write(f"\r{share:4.0%} {sent:,} messages", ending="")
        self.stdout.flush()
