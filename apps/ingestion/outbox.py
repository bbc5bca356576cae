"""From a change in the portal to an event: written beside the change, in its transaction, and sent afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import orjson
from django.conf import settings
from django.db import transaction

from apps.core import clock
from apps.core.models import OutboxMessage
from apps.ingestion.producer import Acknowledged, EventProducer, NotDelivered, patient_key
from ml.contracts import Refused, validate

PRODUCER = "portal"
SENT_AS = "sent_as"


def enqueue(*, topic: str, trial_id: str, value: Mapping[str, Any], correlation_id: str = "") -> OutboxMessage:
    """Keep one event of a patient until the relay has sent it. Call it inside the transaction of the change.

    ValueError if the event breaks its contract: the change that made it is then wrong, and is rolled back with it.
    """
    if not transaction.get_connection().in_atomic_block:
        raise RuntimeError("An event goes into the outbox only inside the transaction of the change it tells of.")
    body = {"trial_id": trial_id, **value}
    outcome = validate(topic, orjson.dumps(body))
    if isinstance(outcome, Refused):
        raise ValueError(f"The event breaks the contract of {topic}: {outcome.reasons[0].message}")
    return OutboxMessage.objects.create(
        topic=topic,
        key=patient_key(trial_id, str(value["patient_id"])),
        value=body,
        headers={"correlation_id": correlation_id} if correlation_id else {},
    )


def relay(*, producer: EventProducer | None = None, limit: int = 500) -> int:
    """Send what waits, oldest first; how many were sent. Several relays may run: each row is taken by one.

    A crash between sending and marking sends a message again; the record's identity makes the second one a duplicate.
    Where the broker put a message is kept in its row's headers under SENT_AS.
    """
    with transaction.atomic():
        rows = list(
            OutboxMessage.objects.select_for_update(skip_locked=True)
            .filter(sent_at__isnull=True)
            .order_by("id")[:limit]
        )
        if not rows:
            return 0
        own = producer or EventProducer(settings.KAFKA_BOOTSTRAP_SERVERS, producer=PRODUCER)
        try:
            for row in rows:
                own.send(
                    row.topic,
                    row.key,
                    row.value,
                    correlation_id=row.headers.get("correlation_id") or None,
                    producer=row.headers.get("producer") or None,
                    arrived=partial(_arrived, row),
                )
            own.flush(timeout=20)
        except NotDelivered as error:
            ids = [row.pk for row in rows]
            OutboxMessage.objects.filter(pk__in=ids).update(attempts=rows[0].attempts + 1, error=str(error)[:2000])
            return 0
        finally:
            if producer is None:
                own.abandon()
        now = clock.now()
        for row in rows:
            row.sent_at, row.error = now, ""
        OutboxMessage.objects.bulk_update(rows, ["sent_at", "error", "headers"])
        return len(rows)


def _arrived(row: OutboxMessage, where: Acknowledged) -> None:
    row.headers[SENT_AS] = [where.topic, where.partition, where.offset]
