"""Dead letters as rows, their replay, and the outbox: what the portal sees of ingestion."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from django.db import DatabaseError, transaction

from apps.audit.models import AuditEvent
from apps.audit.services import record
from apps.core.errors import Conflict
from apps.core.models import OutboxMessage
from apps.ingestion import dead_letters, outbox, progress, services
from apps.ingestion.bronze_consumer import BronzeConsumer, Limits
from apps.ingestion.dead_letters import Projector
from apps.ingestion.models import ConsumerState, DeadLetter
from apps.ingestion.producer import EventProducer
from apps.ingestion.topics import ensure_topics
from ml.contracts import TOPICS
from ml.lake import Lake
from ml.lake.bronze import read_claimed
from tests.support import people
from tests.support.events import MALFORMED, enrolment, vitals

pytestmark = pytest.mark.usefixtures("pg")


@pytest.fixture
def brokers(fresh_broker: list[str], settings: Any) -> list[str]:
    settings.KAFKA_BOOTSTRAP_SERVERS = fresh_broker
    ensure_topics(fresh_broker)
    return fresh_broker


def drain(servers: list[str], lake: Lake, **more: Any) -> BronzeConsumer:
    consumer = BronzeConsumer(
        lake=lake, servers=servers, group_id="t", default_trial="DEMO", limits=Limits(records=5), **more
    )
    consumer.run(lambda: False, drain=True)
    return consumer


def kept(**values: Any) -> DeadLetter:
    """A dead letter as the projection would have put it there."""
    with transaction.atomic():
        record(
            by=people.SYSTEM, action="ingestion.dead_letters_kept", object_type="ingestion.DeadLetter", object_id="x"
        )
        return DeadLetter.objects.create(**values)


def send_broken(servers: list[str]) -> int:
    with EventProducer(servers, producer="device") as out:
        for number, (_, make) in enumerate(MALFORMED.values()):
            out.send("patient-vitals", "DEMO/P1", make("P1"), correlation_id=f"broken-{number}")
            out.send("patient-vitals", "DEMO/P1", vitals("P1", number))
    return len(MALFORMED)


def test_dead_letters_become_rows_once_whoever_stumbles(
    brokers: list[str], lake: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Lake.from_url(lake)
    count = send_broken(brokers)
    projector = Projector(store)
    real = dead_letters.project

    def away(*_: Any, **__: Any) -> None:
        raise DatabaseError("the database is away")

    monkeypatch.setattr(dead_letters, "close_old_connections", lambda: None)
    monkeypatch.setattr(dead_letters, "project", away)
    drain(brokers, store, on_claim=projector)
    assert DeadLetter.objects.count() == 0
    assert projector.waiting, "bronze goes on without the database"

    monkeypatch.setattr(dead_letters, "project", real)
    projector.work_off()
    Projector(store).catch_up(TOPICS)
    ConsumerState.objects.all().delete()
    Projector(store).catch_up(TOPICS)
    assert DeadLetter.objects.count() == count
    first = DeadLetter.objects.get(correlation_id="broken-1")
    assert bytes(first.raw) == MALFORMED["half a message"][1]("P1")
    assert first.reasons[0]["rule"] == "not_json"
    assert bytes(DeadLetter.objects.get(correlation_id="broken-0").raw) == b""
    events = AuditEvent.objects.filter(action="ingestion.dead_letters_kept")
    assert sum(len(event.after["offsets"]) for event in events) == count


def test_a_dead_letter_is_replayed_once_its_contract_is_mended(brokers: list[str], lake: str) -> None:
    store = Lake.from_url(lake)
    person = people.Actor.person(people.person("ingrid", "ml_engineer"))
    wrong = kept(topic="patient-vitals", topic_id="x", partition=0, offset=1, raw=b"{", reasons=[{"rule": "not_json"}])
    with pytest.raises(Conflict, match="still breaks"):
        services.replay_dead_letter(by=person, letter=wrong, default_trial="DEMO")
    mended = kept(
        topic="patient-vitals",
        topic_id="x",
        partition=0,
        offset=2,
        raw=orjson.dumps(vitals("P7")),
        reasons=[{"rule": "unknown_version"}],
        headers={"producer": "edc"},
        correlation_id="abc",
    )
    services.replay_dead_letter(by=person, letter=mended, default_trial="DEMO", reason="version 1 is known again")
    with pytest.raises(Conflict, match="was replayed"):
        services.replay_dead_letter(by=person, letter=mended, default_trial="DEMO")
    assert outbox.relay() == 1
    assert outbox.relay() == 0
    drain(brokers, store)
    (line,) = [line for batch in read_claimed(store, "patient-vitals") for line in batch.lines()]
    assert line["key"] == "DEMO/P7"
    assert line["headers"]["producer"] == "edc"
    assert line["headers"]["correlation_id"] == "abc"
    assert AuditEvent.objects.filter(action="ingestion.dead_letter_replayed").count() == 1


def test_the_outbox_keeps_what_the_broker_does_not_take(brokers: list[str]) -> None:
    with transaction.atomic():
        outbox.enqueue(topic="patient-context", trial_id="DEMO", value=enrolment("P1"), correlation_id="c1")
    with pytest.raises(ValueError, match="breaks the contract"), transaction.atomic():
        outbox.enqueue(topic="patient-context", trial_id="DEMO", value=enrolment("P1", kind="marriage"))

    class Away(EventProducer):
        def __init__(self) -> None:
            return

        def send(self, *_: Any, **__: Any) -> None:
            raise outbox.NotDelivered("The broker does not take messages.")

    assert outbox.relay(producer=Away()) == 0
    row = OutboxMessage.objects.get()
    assert (row.attempts, row.sent_at) == (1, None)
    assert row.error
    assert outbox.relay() == 1
    row.refresh_from_db()
    assert row.sent_at is not None
    assert row.error == ""


def test_progress_is_one_row_a_partition(brokers: list[str], lake: str) -> None:
    for offset in (5, 9):
        progress.save("g", [progress.Progress("patient-vitals", "id", 0, 0, offset, 3, 1_772_352_000_000)])
    row = ConsumerState.objects.get()
    assert (row.next_offset, row.lag) == (9, 3)
