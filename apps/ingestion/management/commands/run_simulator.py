"""``manage.py run_simulator``: simulated patients as time passes, until it is told to stop."""

from __future__ import annotations

import signal
import threading
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from kafka.errors import KafkaError

from apps.core.errors import DomainError
from apps.ingestion import simulate
from apps.ingestion.topics import ensure_topics
from ml.simulation.state import Unreadable


class Command(BaseCommand):
    help = "Fills the gap since the last message as backfill, then sends simulated patients in real time."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--patients", type=int, default=settings.NUM_PATIENTS)
        parser.add_argument("--days", type=int, default=settings.HISTORY_DAYS)
        parser.add_argument("--seed", type=int, default=1)
        parser.add_argument(
            "--rate",
            type=float,
            default=settings.PRODUCER_RATE,
            help="messages a second; 0 = every 15 minutes a patient",
        )

    def handle(self, *_: Any, **options: Any) -> None:
        stop = threading.Event()
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, lambda *_: stop.set())
        try:
            state = simulate.remembered() or simulate.begin(
                patients=options["patients"], days=options["days"], seed=options["seed"]
            )
            ensure_topics(settings.KAFKA_BOOTSTRAP_SERVERS)
            simulate.run_live(state, stop, rate=options["rate"])
        except (DomainError, Unreadable, ValueError) as error:
            raise CommandError(str(error)) from error
        except KafkaError as error:
            raise CommandError(f"The broker cannot be reached: {error}. Start it first.") from error
