"""From messages to bronze: produced in order, and waited for until claims hold them."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Sequence

from django.conf import settings

from apps.core.errors import Unavailable
from apps.ingestion import hurry
from apps.ingestion.imports.manifest import Message
from apps.ingestion.producer import Acknowledged, EventProducer, patient_key
from apps.ingestion.topics import ensure_topics
from ml.lake import Lake
from ml.lake.claims import Chain, last_claim

BRONZE_STALL_SECONDS = 60.0
"""Bronze writes a batch at least every 30 s; twice that without a claim means that nobody is writing."""
FLUSH_SECONDS = 300
TOLD_EVERY = 2_000

Report = Callable[[str, int, int], None]
"""report(what is being done, done, of)"""


def send(
    messages: Sequence[Message], *, trial_id: str, producer: str, place: Lake, report: Report, wait: bool = True
) -> None:
    """Send all; with `wait` until bronze holds them. Unavailable where broker or bronze do not take them."""
    if not messages:
        return
    topics = ensure_topics(settings.KAFKA_BOOTSTRAP_SERVERS)
    reached: dict[tuple[str, int], int] = defaultdict(lambda: -1)

    def ledger(where: Acknowledged) -> None:
        address = (where.topic, where.partition)
        reached[address] = max(reached[address], where.offset)

    with EventProducer(settings.KAFKA_BOOTSTRAP_SERVERS, producer=producer, ledger=ledger) as out:
        for number, one in enumerate(messages):
            out.send(one.topic, patient_key(trial_id, one.patient_id), one.value)
            if number % TOLD_EVERY == 0:
                report("Events are sent", number, len(messages))
        out.flush(FLUSH_SECONDS)
    if wait:
        goals = {
            Chain(topic, topics[topic].topic_id, partition): offset for (topic, partition), offset in reached.items()
        }
        _wait(place, goals, report)


def _wait(place: Lake, goals: dict[Chain, int], report: Report) -> None:
    """Until every chain's claims reach its goal. Unavailable where none has grown for a minute."""
    total = sum(goal + 1 for goal in goals.values())
    ends: dict[Chain, int] = {}
    grown = time.monotonic()
    while True:
        now = {
            chain: min(goal, claim.end if (claim := last_claim(place, chain)) else -1) for chain, goal in goals.items()
        }
        if now == goals:
            return
        if now != ends:
            ends, grown = now, time.monotonic()
        if time.monotonic() - grown > BRONZE_STALL_SECONDS:
            raise Unavailable(
                "The events are on the broker, but bronze does not take them.",
                cure="Start `manage.py run_bronze`, then import again: what comes twice is removed.",
                code="bronze_stalled",
            )
        hurry.ask()
        report("Bronze takes the events", sum(end + 1 for end in now.values()), total)
        time.sleep(0.5)
