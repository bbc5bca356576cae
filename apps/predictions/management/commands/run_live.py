"""``manage.py run_live``: the process that turns events into predictions as they come."""

from __future__ import annotations

import signal
import threading
from typing import Any

import structlog
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.core import metrics
from apps.core.errors import DomainError
from apps.core.lake import lake
from apps.ingestion.live_reader import LiveReader
from apps.ingestion.rebuild import LIVE_GROUP
from apps.ingestion.window import window_store
from apps.predictions.live import LiveLoop

log = structlog.get_logger(__name__)


class Command(BaseCommand):
    help = "Keeps the patients' online windows and the portal's tables up to date, and scores patients as events come."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--rebuild", action="store_true", help="build every window anew from bronze first")

    def handle(self, *_: Any, **options: Any) -> None:
        stop = threading.Event()
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, lambda *_: stop.set())
        metrics.serve_as_set()
        store = window_store()
        if options["rebuild"]:
            store.begin()
        reader = LiveReader(lake=lake(), servers=settings.KAFKA_BOOTSTRAP_SERVERS, group_id=LIVE_GROUP)
        loop = LiveLoop(reader=reader, store=store, default_trial=settings.DEFAULT_TRIAL_ID)
        try:
            loop.run(stop.is_set)
        except DomainError as error:
            log.error("live_stopped", error=str(error))
            raise CommandError(str(error)) from error
