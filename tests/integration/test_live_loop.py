"""From a message on Kafka to a stored prediction, and back again from bronze alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from apps.audit.models import AuditEvent
from apps.core.lake import lake as the_lake
from apps.ingestion import rebuild as filling
from apps.ingestion.bronze_consumer import BronzeConsumer, Limits
from apps.ingestion.live_reader import LiveReader, TopicsMadeAnew
from apps.ingestion.producer import EventProducer
from apps.ingestion.rebuild import bring_up, rebuild
from apps.ingestion.topics import TopicDirectory, ensure_topics
from apps.ingestion.window import STAMP, WindowStore, window_store
from apps.patients.models import Medication, Patient, Trial, VitalSigns
from apps.predictions import serving
from apps.predictions.live import LiveLoop, heartbeat
from apps.predictions.models import NotReplayable, Prediction
from apps.predictions.replay import replay
from ml.contracts import TOPICS
from ml.lake import Lake
from ml.window import pack, unpack
from tests.support import people
from tests.support import serving as support
from tests.support.events import enrolment, medication, vitals

pytestmark = pytest.mark.usefixtures("pg")


def ago(minutes: float) -> str:
    return (datetime.now(UTC) - timedelta(minutes=minutes)).isoformat().replace("+00:00", "Z")


class House:
    """The demo trial with a serving model, a broker, a lake and an empty Valkey."""

    def __init__(self, servers: list[str], lake: Lake, store: WindowStore) -> None:
        self.servers, self.lake, self.store = servers, lake, store

    def loop(self) -> LiveLoop:
        reader = LiveReader(lake=self.lake, servers=self.servers, group_id="live-test", check_seconds=0.2)
        return LiveLoop(reader=reader, store=self.store, default_trial="DEMO")

    def send(self, producer: str, *events: tuple[str, dict[str, Any]], correlation_id: str = "") -> None:
        with EventProducer(self.servers, producer=producer) as out:
            for topic, event in events:
                out.send(topic, f"DEMO/{event['patient_id']}", event, correlation_id=correlation_id or None)

    def bronze(self) -> None:
        BronzeConsumer(
            lake=self.lake, servers=self.servers, group_id="b", default_trial="DEMO", limits=Limits(records=50)
        ).run(lambda: False, drain=True)

    def bytes(self) -> dict[str, bytes]:
        return {name: pack(window) for name, window in self.store.windows(self.store.patients()).items()}


def run_until(loop: LiveLoop, done: Callable[[], bool], seconds: float = 20.0) -> None:
    """Run the loop until something holds; fail after a while."""
    end = time.monotonic() + seconds
    loop.run(lambda: done() or time.monotonic() > end)
    assert done(), "it did not come about in time"


@pytest.fixture
def house(fresh_broker: list[str], lake: str, valkey: Any, settings: Any) -> Iterator[House]:
    settings.LAKE_URL = lake
    settings.KAFKA_BOOTSTRAP_SERVERS = fresh_broker
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
    for cached in (the_lake, window_store):
        cached.cache_clear()
    serving.forget()
    ensure_topics(fresh_broker)
    yield House(fresh_broker, the_lake(), WindowStore(valkey))
    for cached in (the_lake, window_store):
        cached.cache_clear()
    serving.forget()


@pytest.fixture
def trial(house: House) -> Trial:
    made = people.trial("DEMO", cadence_seconds=1, study_treatments=("trialdrug",))
    support.release(made)
    serving.forget()
    return made


def history(patient: str) -> list[tuple[str, dict[str, Any]]]:
    """Enrolled ten days ago, first dose nine days ago, a reading every two hours since, told as backfill."""
    events: list[tuple[str, dict[str, Any]]] = [
        ("patient-context", enrolment(patient) | {"timestamp": ago(14_400), "recorded_at": ago(14_400)}),
        (
            "medications",
            medication(patient, drug_name="trialdrug") | {"timestamp": ago(13_000), "recorded_at": ago(13_000)},
        ),
    ]
    for number in range(120):
        moment = ago(14_400 - 120 * number)
        reading = vitals(patient, heart_rate=60 + number % 17) | {"timestamp": moment, "recorded_at": moment}
        events.append(("patient-vitals", reading))
    return events


def test_a_message_becomes_a_prediction_that_bronze_can_repeat(house: House, trial: Trial) -> None:
    house.send("simulator-history", *history("P1"), *history("P2"))
    loop = house.loop()
    run_until(loop, lambda: len(house.bytes()) == 2 and VitalSigns.objects.count() == 240)
    assert not Prediction.objects.exists(), "a backfill asks for no score"

    house.send("device", ("patient-vitals", vitals("P1") | {"timestamp": ago(0)}), correlation_id="abc123")
    run_until(house.loop(), Prediction.objects.exists)
    first = Prediction.objects.get()
    assert first.patient_id == "DEMO/P1"
    assert first.correlation_id == "abc123"
    assert first.probability is not None
    assert set(first.watermark) == {"patient-vitals", "medications", "patient-context"}
    assert AuditEvent.objects.filter(object_id=str(first.pk), actor="system:live-loop").count() == 1
    assert heartbeat(house.store)["lag"] == 0

    house.send("device", *[("patient-vitals", vitals(p, heart_rate=99) | {"timestamp": ago(0)}) for p in ("P1", "P2")])
    run_until(house.loop(), lambda: Prediction.objects.count() == 3)

    live = house.bytes()
    house.bronze()
    house.store.client.flushdb()
    verdicts = list(replay(Prediction.objects.values_list("pk", flat=True)))
    assert [verdict.verdict for verdict in verdicts] == ["identical"] * 3, verdicts

    before = VitalSigns.objects.count()
    rebuild(house.loop().applier)
    assert house.store.whole()
    assert house.bytes() == live, "a window that grew and one built from bronze are the same bytes"
    assert VitalSigns.objects.count() == before


def test_what_comes_within_a_cadence_is_scored_at_its_end(house: House, trial: Trial) -> None:
    house.send("simulator-history", *history("P1"))
    loop = house.loop()
    seen: list[int] = []

    def watch() -> bool:
        count = Prediction.objects.count()
        if not seen:
            house.send("device", ("patient-vitals", vitals("P1") | {"timestamp": ago(0)}))
        if count == 1 and 1 not in seen:
            for beat in (80, 81, 82):
                house.send("device", ("patient-vitals", vitals("P1", heart_rate=beat) | {"timestamp": ago(0)}))
        seen.append(count)
        return count >= 2

    run_until(loop, watch)
    first, second = Prediction.objects.order_by("created_at")
    assert (second.created_at - first.created_at).total_seconds() >= 0.95
    assert second.watermark["patient-vitals"][2] == first.watermark["patient-vitals"][2] + 3
    assert not house.store.due()


def test_an_unknown_patient_waits_for_the_context(house: House, trial: Trial) -> None:
    house.send(
        "device", *[("patient-vitals", vitals("P9", heart_rate=60 + n) | {"timestamp": ago(n)}) for n in range(9)]
    )
    run_until(house.loop(), lambda: "DEMO/P9" in house.store.waiting_patients() and "DEMO/P9" in house.store.patients())
    assert not Prediction.objects.exists()
    assert not VitalSigns.objects.exists()

    house.send("portal", ("patient-context", enrolment("P9") | {"timestamp": ago(60)}))
    run_until(house.loop(), Prediction.objects.exists)
    assert Patient.objects.get().pk == "DEMO/P9"
    assert VitalSigns.objects.count() == 9
    assert house.store.waiting_patients() == set()


def test_without_a_model_windows_and_tables_still_fill(house: House) -> None:
    people.trial("DEMO")
    house.send("device", ("patient-context", enrolment("P1") | {"timestamp": ago(60)}))
    house.send("device", ("patient-vitals", vitals("P1") | {"timestamp": ago(0)}))
    run_until(house.loop(), lambda: VitalSigns.objects.exists() and "DEMO/P1" in house.store.due())
    assert not Prediction.objects.exists()


def test_a_profile_counts_from_the_first_event_after_it(house: House) -> None:
    """Given a loop that runs, a trial is made and its events follow at once, as an import does it: its doses are doses,
    and their names are kept from those who are blinded."""
    loop = house.loop()
    loop.begin()
    try:
        loop.turn()
        people.trial("DEMO", study_treatments=("trialdrug",))
        house.send("sdtm-import", *history("P1")[:2])
        end = time.monotonic() + 20
        while not Medication.objects.exists() and time.monotonic() < end:
            loop.turn()
    finally:
        loop.reader.close()
    assert [row.study_dose for row in Medication.objects.all()] == [True]


def test_a_lost_broker_is_noticed_and_named(house: House, trial: Trial, monkeypatch: pytest.MonkeyPatch) -> None:
    house.send("simulator-history", *history("P1"))
    house.bronze()
    house.send("device", ("patient-vitals", vitals("P1") | {"timestamp": ago(0)}))
    run_until(house.loop(), Prediction.objects.exists)

    # the topics come back under new ids, as after the loss of a broker that keeps everything in memory
    describe = TopicDirectory.describe

    def renamed(self: TopicDirectory, topics: Any) -> Any:
        return {t: state._replace(topic_id=f"anew-{t}") for t, state in describe(self, topics).items()}

    loop = house.loop()
    monkeypatch.setattr(TopicDirectory, "describe", renamed)
    loop.begin()
    assert NotReplayable.objects.get().prediction == Prediction.objects.get()
    assert house.store.whole()
    window = house.store.windows(["DEMO/P1"])["DEMO/P1"]
    assert window.facts.epoch.max() == 0
    assert (window.facts.signal == 1).sum() <= 120
    assert {topic_id for _, topic_id, _ in loop.reader.next_offsets} == {f"anew-{topic}" for topic in TOPICS}
    monkeypatch.setattr(TopicDirectory, "describe", describe)
    with pytest.raises(TopicsMadeAnew):
        loop.reader.same_topics(force=True)
    loop.reader.close()
    assert house.store.client.get(STAMP)


def test_a_first_dose_known_late_brings_dropped_readings_back(house: House, trial: Trial) -> None:
    events = [event for event in history("P1") if event[0] != "medications"]
    house.send("simulator-history", *events)
    run_until(house.loop(), lambda: "DEMO/P1" in house.store.patients())
    house.send("device", ("patient-vitals", vitals("P1") | {"timestamp": ago(0)}))
    run_until(house.loop(), Prediction.objects.exists)
    dropped = len(house.store.windows(["DEMO/P1"])["DEMO/P1"].facts)

    dose = medication("P1", drug_name="trialdrug") | {"timestamp": ago(13_000)}
    house.send("edc", ("medications", dose))
    loop = house.loop()
    run_until(loop, lambda: "DEMO/P1" in loop.applier.rebuilding)
    assert Prediction.objects.count() == 1, "no score from a window that lacks readings"
    assert "DEMO/P1" in house.store.due()

    house.bronze()
    loop = house.loop()
    loop.begin()
    end = time.monotonic() + 20
    while Prediction.objects.count() < 2 and time.monotonic() < end:
        loop.turn()
    loop.reader.close()
    assert len(house.store.windows(["DEMO/P1"])["DEMO/P1"].facts) > dropped
    live = house.bytes()
    rebuild(house.loop().applier)
    assert house.bytes() == live
    verdicts = [verdict.verdict for verdict in replay(Prediction.objects.values_list("pk", flat=True))]
    assert verdicts == ["identical", "identical"]


def test_an_emptied_valkey_is_noticed_and_filled_from_bronze(house: House, trial: Trial) -> None:
    house.send("simulator-history", *history("P1"))
    house.send("device", ("patient-vitals", vitals("P1") | {"timestamp": ago(0)}))
    run_until(house.loop(), Prediction.objects.exists)
    before = house.bytes()
    house.bronze()
    house.send("device", ("patient-vitals", vitals("P1", heart_rate=88) | {"timestamp": ago(0)}))

    loop = house.loop()
    emptied: list[float] = []

    def watch() -> bool:
        if not emptied and Prediction.objects.count() == 2:
            house.store.client.flushdb()
            emptied.append(time.monotonic())
        return bool(emptied) and house.store.whole() and "DEMO/P1" in house.store.patients()

    run_until(loop, watch)
    again = house.store.windows(["DEMO/P1"])["DEMO/P1"]
    assert len(again.facts) >= len(unpack(before["DEMO/P1"]).facts)
    run_until(house.loop(), lambda: house.store.windows(["DEMO/P1"])["DEMO/P1"].watermark["patient-vitals"][2] == 121)
    assert Prediction.objects.count() >= 2


def anew(monkeypatch: pytest.MonkeyPatch, life: str) -> None:
    """From now on the topics have other ids, as after the restart of a broker that keeps everything in memory."""
    describe = TopicDirectory.describe

    def renamed(self: TopicDirectory, topics: Any) -> Any:
        return {t: state._replace(topic_id=f"{life}-{t}") for t, state in describe(self, topics).items()}

    monkeypatch.setattr(TopicDirectory, "describe", renamed)


def never(*_: Any, **__: Any) -> None:
    raise AssertionError("nothing may be built anew here")


def test_windows_that_hold_what_bronze_holds_outlive_the_broker(
    house: House, trial: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proper stop drains: the next start opens the new epoch and goes on, and the windows are those of a rebuild."""
    house.send("simulator-history", *history("P1"), *history("P2"))
    house.send("device", ("patient-vitals", vitals("P1") | {"timestamp": ago(0)}))
    run_until(house.loop(), Prediction.objects.exists)
    house.bronze()
    grown = house.bytes()

    with monkeypatch.context() as patch:
        anew(patch, "second")
        patch.setattr("apps.predictions.live.rebuild", never)
        patch.setattr(filling, "rebuild", never)
        loop = house.loop()
        loop.begin()
        assert house.bytes() == grown
        assert {topic_id for _, topic_id, _ in loop.reader.next_offsets} == {f"second-{topic}" for topic in TOPICS}
        assert not NotReplayable.objects.exists()
        loop.reader.close()

    rebuild(house.loop().applier)
    assert house.bytes() == grown, "carried over and built anew from bronze are the same bytes"


def test_windows_behind_bronze_are_filled_up_to_the_bytes_of_a_rebuild(house: House, trial: Trial) -> None:
    """Valkey was saved before the last events came; or an import ran while no live loop did."""
    first, second = history("P1"), history("P2")
    house.send("simulator-history", *first[:60])
    run_until(house.loop(), lambda: VitalSigns.objects.count() == 58)
    house.send("simulator-history", *first[60:], *second, ("patient-vitals", vitals("P7")))
    house.send("device", ("patient-vitals", vitals("P1") | {"timestamp": ago(0)}))
    house.bronze()
    applier = house.loop().applier
    positions = bring_up(applier)
    assert VitalSigns.objects.count() == 241
    assert house.store.waiting_patients() == {"DEMO/P7"}
    assert sum(positions.values()) == len(first) + len(second) + 2
    assert house.store.positions() == positions
    filled = house.bytes()
    assert bring_up(applier) == positions, "and once more there is nothing to do"
    assert house.bytes() == filled
    assert rebuild(applier) == positions
    assert house.bytes() == filled


def test_windows_beyond_bronze_are_built_anew(house: House, trial: Trial, monkeypatch: pytest.MonkeyPatch) -> None:
    house.send("simulator-history", *history("P1"))
    house.bronze()
    house.send("device", ("patient-vitals", vitals("P1") | {"timestamp": ago(0)}))
    run_until(house.loop(), Prediction.objects.exists)
    beyond = house.bytes()
    anew(monkeypatch, "second")
    loop = house.loop()
    loop.begin()
    loop.reader.close()
    assert house.bytes() != beyond
    assert NotReplayable.objects.count() == 1
