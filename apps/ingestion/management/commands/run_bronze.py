"""``manage.py run_bronze``: the process that carries Kafka's messages into bronze."""

from __future__ import annotations

import signal
import threading
from typing import Any

import structlog
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError, close_old_connections
from kafka.errors import KafkaError

from apps.core import metrics
from apps.core.errors import DomainError
from apps.core.lake import lake
from apps.ingestion import hurry, outbox, progress, services
from apps.ingestion.bronze_consumer import BronzeConsumer, Limits
from apps.ingestion.dead_letters import BRONZE, Projector
from apps.ingestion.producer import EventProducer
from ml.contracts import TOPICS

log = structlog.get_logger(__name__)


class Command(BaseCommand):
    help = "Reads the five topics, keeps every good message in bronze and every bad one with its reasons."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--drain", action="store_true", help="stop once all that is on the broker now is in bronze")
        parser.add_argument("--partitions", help="partitions to read in every topic, e.g. 0,1; default: all")
        parser.add_argument("--records", type=int, default=1000, help="messages in a batch")
        parser.add_argument("--seconds", type=float, default=30.0, help="a smaller batch is written after so long")

    def handle(self, *_: Any, **options: Any) -> None:
        stop = threading.Event()
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, lambda *_: stop.set())
        metrics.serve_as_set()
        numbers = options["partitions"]
        projector = Projector(lake())
        consumer = BronzeConsumer(
            lake=lake(),
            servers=settings.KAFKA_BOOTSTRAP_SERVERS,
            group_id=settings.KAFKA_GROUP_ID,
            default_trial=settings.DEFAULT_TRIAL_ID,
            partitions=[int(number) for number in numbers.split(",")] if numbers else None,
            limits=Limits(records=options["records"], seconds=options["seconds"]),
            on_claim=projector,
            on_epoch=_note_epoch,
        )
        # a second signal than "stop" asks for what was read to be written now: whoever waits for it need not wait longer
        signal.signal(signal.SIGUSR1, lambda *_: setattr(consumer, "cut_now", True))
        projector.catch_up(TOPICS)
        beside = threading.Thread(target=_beside, args=(consumer, stop), name="beside", daemon=True)
        beside.start()
        try:
            consumer.run(stop.is_set, drain=options["drain"])
        except DomainError as error:
            log.error("bronze_stopped", error=str(error))
            raise CommandError(str(error)) from error
        finally:
            stop.set()
            beside.join(timeout=10)
        _save(consumer)


def _note_epoch(topic: str, topic_id: str, number: int) -> None:
    try:
        services.note_epoch(by=BRONZE, topic=topic, topic_id=topic_id, number=number)
    except DatabaseError as error:
        log.error("epoch_not_audited", topic=topic, epoch=number, error=str(error))
        close_old_connections()


def _save(consumer: BronzeConsumer) -> None:
    try:
        progress.save(
            settings.KAFKA_GROUP_ID,
            [
                progress.Progress(*buffer.chain, buffer.epoch, buffer.next_offset, buffer.lag, buffer.last_timestamp)
                for buffer in list(consumer.buffers.values())
            ],
        )
    except DatabaseError as error:
        log.warning("progress_not_saved", error=str(error))
        close_old_connections()


def _beside(consumer: BronzeConsumer, stop: threading.Event) -> None:
    """Once a second: send what the portal wrote into its outbox, and write at once if somebody waits for bronze. Every
    five: say how far we are."""
    producer: EventProducer | None = None
    ticks = 0
    while not stop.wait(1.0):
        ticks += 1
        consumer.cut_now = consumer.cut_now or hurry.asked()
        try:
            if producer is None:
                producer = EventProducer(settings.KAFKA_BOOTSTRAP_SERVERS, producer=outbox.PRODUCER)
            outbox.relay(producer=producer)
        except (DomainError, DatabaseError, KafkaError, OSError) as error:  # it tries again
            log.warning("outbox_waits", error=str(error))
            producer = None
            close_old_connections()
        if ticks % 5 == 0:
            _save(consumer)
