"""Refused and quarantined messages as their page shows them, and the way back in."""

from __future__ import annotations

import csv
import io
import re
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from django.db import connections, transaction
from django.test import Client
from django.urls import reverse

from apps.audit.models import AuditEvent
from apps.audit.services import record
from apps.core.errors import Conflict
from apps.core.lake import lake as the_lake
from apps.core.models import OutboxMessage
from apps.ingestion import cures, outbox, quarantine, refused, services
from apps.ingestion.bronze_consumer import BronzeConsumer, Limits
from apps.ingestion.dead_letters import Projector
from apps.ingestion.models import DeadLetter, Quarantined
from apps.ingestion.producer import EventProducer
from apps.ingestion.topics import ensure_topics
from apps.patients.models import Patient, Trial
from apps.pipelines.models import JobRun
from ml.cleaning import clean
from ml.cleaning.rules import QUARANTINE_RULES
from ml.contracts import wire
from ml.lake import Lake
from ml.lake import claims as chain_of_claims
from ml.profile import StudyProfile
from tests.support import people
from tests.support.events import MALFORMED, vitals
from tests.support.history import HOUR, START, line, write

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _house(lake: str, valkey: Any, settings: Any) -> Iterator[None]:
    settings.LAKE_URL = lake
    for cached in (the_lake, chain_of_claims._read):
        cached.cache_clear()
    yield
    the_lake.cache_clear()


@pytest.fixture
def trial() -> Trial:
    made = people.trial("DEMO")
    people.patient(made, "P1", at=people.site(made, "S1"))
    return made


def signed_in(username: str, *roles: str, at: Trial | None) -> Client:
    client = Client()
    client.force_login(people.person(username, *roles, at=at))
    return client


def kept(offset: int, raw: bytes, rule: str = "not_json", message: str = "No JSON.", **more: Any) -> DeadLetter:
    """A dead letter as the projection would have put it there."""
    with transaction.atomic():
        record(
            by=people.SYSTEM, action="ingestion.dead_letters_kept", object_type="ingestion.DeadLetter", object_id="x"
        )
        values = {
            "topic": "patient-vitals",
            "topic_id": "t",
            "partition": 0,
            "reasons": [{"rule": rule, "path": more.pop("path", ""), "message": message}],
            "correlation_id": f"c-{offset}",
            **more,
        }
        return DeadLetter.objects.create(offset=offset, raw=raw, **values)


def body(patient: str = "P1", **more: Any) -> bytes:
    return orjson.dumps(vitals(patient, **more))


def page(client: Client, name: str, *rest: Any, **query: Any) -> str:
    answer = client.get(reverse(f"portal:{name}", args=["DEMO", *rest]), query)
    assert answer.status_code == 200, answer.content.decode()[:800]
    return answer.content.decode()


# --- whose a message is --------------------------------------------------------------------------------------------------


def test_whose_a_message_is_follows_from_its_text(trial: Trial) -> None:
    people.trial("OTHER")
    plain = {name: value for name, value in vitals("P1").items() if name != "trial_id"}
    for offset, raw, key, of in (
        (0, b'{"trial_id": "OTHER", "patient_id": "Q1", "half', None, "OTHER"),
        (1, b'\xff\xfe\x00 {"trial_id" :"DEMO"', None, "DEMO"),
        (2, b"nothing readable \x00", b"OTHER/Q1", "OTHER"),
        (3, orjson.dumps(plain), None, "DEMO"),
        (4, b"\x00\x01\x02", None, ""),
        (5, b'{"trial_id": "GONE"}', b"GONE/P", ""),
    ):
        letter = kept(offset, raw, key=key)
        (found,) = refused.letters(of or "DEMO", platform=True).filter(pk=letter.pk)
        assert found.trial_said == of, offset
    assert refused.letters("DEMO", platform=False).count() == 2
    assert refused.letters("DEMO", platform=True).count() == 4
    assert refused.letters("OTHER", platform=False).count() == 2
    assert refused.letters("DEMO", platform=False).get(offset=3).site_said == "S1", "the site its patient is at"


def test_who_sees_what(trial: Trial) -> None:
    platform, own = kept(1, b"\x00"), kept(2, b'{"trial_id":"DEMO"')
    here = signed_in("meg", "ml_engineer", at=trial)
    everywhere = signed_in("vera", "ml_engineer", at=None)
    assert page(here, "refused").count(str(platform.pk)) == 0
    assert str(own.pk) in page(here, "refused")
    assert here.get(reverse("portal:letter", args=["DEMO", platform.pk])).status_code == 404
    assert here.get(reverse("portal:letter_raw", args=["DEMO", platform.pk])).status_code == 404
    assert "no trial readable" in page(everywhere, "refused")
    blinded = signed_in("both", "ml_engineer", "coordinator", at=trial)
    coordinator = signed_in("cora", "coordinator", at=trial)
    for name, rest in (
        ("refused", ()), ("refused_csv", ()), ("letter", (own.pk,)), ("letter_raw", (own.pk,)), ("quarantine", ()),
        ("quarantine_csv", ()), ("admitted", ()), ("refused_replay", ()), ("clean_again", ()),
    ):  # fmt: skip
        address = reverse(f"portal:{name}", args=["DEMO", *rest])
        assert coordinator.get(address).status_code == 403, name
        assert blinded.get(address).status_code == 403, name
    auditor = signed_in("audrey", "auditor", at=trial)
    assert "Send it again" not in page(auditor, "letter", own.pk)
    assert auditor.post(reverse("portal:refused_replay", args=["DEMO"]), {"id": str(own.pk)}).status_code == 403


# --- the list and one message ---------------------------------------------------------------------------------------------


def test_lists_are_narrowed_counted_and_exported(trial: Trial) -> None:
    for offset in range(60):
        kept(offset, body(), received_at=datetime(2026, 3, 1 + offset % 2, 12, tzinfo=UTC))
    formula = "=HYPERLINK(1)"
    kept(60, b'{"trial_id":"DEMO"', "schema_type", formula, topic="lab-results", headers={"producer": "device"})
    meg = signed_in("meg", "ml_engineer", at=trial)
    assert "1 to 50 of 61 messages" in page(meg, "refused")
    assert "51 to 61 of 61" in page(meg, "refused", page=2)
    for query, count in (
        ({"reason": "schema_type"}, 1), ({"topic": "patient-vitals", "since": "2026-03-02", "until": "2026-03-02"}, 30),
        ({"site": "S1"}, 60), ({"state": "replayed"}, 0), ({"q": "c-7"}, 1), ({"q": "17"}, 1), ({"q": "P1"}, 60),
        ({"topic": "no such", "since": "yesterday"}, 61),
    ):  # fmt: skip
        found = page(meg, "refused", **query)
        assert ("No message matches." in found) if count == 0 else (f"{count} message" in found), query
        exported = meg.get(reverse("portal:refused_csv", args=["DEMO"]), query).content.decode()
        assert len(list(csv.reader(io.StringIO(exported)))) == count + 1, query
    assert [(one.value, one.count) for one in refused.reasons(refused.letters("DEMO", platform=False))] == [
        ("not_json", 60),
        ("schema_type", 1),
    ]
    exported = meg.get(reverse("portal:refused_csv", args=["DEMO"]), {"reason": "schema_type"}).content.decode()
    assert f"'{formula}" in exported
    assert f",{formula}" not in exported
    assert meg.get(reverse("portal:refused", args=["DEMO"]) + "?reason=%00").status_code == 400


def test_raw_bytes_stand_beside_the_reason_and_nothing_in_them_is_drawn(trial: Trial) -> None:
    raw = b'{"trial_id":"DEMO","heart_rate":"<script>alert(1)</script>"}\x00\xff\xe2\x80\xae'
    letter = kept(
        7, raw, "schema_type", '"<script>" is not of type "number"', path="heart_rate", headers={"<b>": "\u202eback"}
    )
    meg = signed_in("meg", "ml_engineer", at=trial)
    shown = page(meg, "letter", letter.pk)
    assert "<script>alert" not in shown
    assert "<b>" not in shown.split("Headers")[1].split("Kept in")[0]
    assert "7b 22 74 72 69 61 6c 5f 69 64" in shown, "hex"
    assert "\\u0000\\xff\\u202e" in shown, "text: what cannot be seen is named"
    assert "\u202e" not in shown
    assert "A field of another type" in shown
    assert "heart_rate" in shown
    got = meg.get(reverse("portal:letter_raw", args=["DEMO", letter.pk]))
    assert got.content == raw
    assert "attachment" in got["Content-Disposition"]
    assert got["Content-Type"] == "application/octet-stream"
    readable = kept(8, orjson.dumps({"trial_id": "DEMO", "heart_rate": "fast"}), "schema_type", path="heart_rate")
    assert "&quot;fast&quot;" in page(meg, "letter", readable.pk), "what stands at the path"
    long = kept(9, b'{"trial_id":"DEMO",' + b"x" * 60_000)
    shown = page(meg, "letter", long.pk)
    assert "The first 4,096 bytes of 60,019 bytes" in shown
    assert len(shown) < 60_000


def test_every_rule_has_its_cure() -> None:
    assert {rule.name for rule in QUARANTINE_RULES} == set(cures.QUARANTINE)
    keywords = {
        "required",
        "type",
        "pattern",
        "enum",
        "minimum",
        "maximum",
        "maxLength",
        "minLength",
        "maxItems",
        "anyOf",
    }
    named = {"empty", "too_large", "unknown_version", "not_json", "not_utf8", "not_a_date", "schema_rule"}
    assert set(cures.CONTRACT) == named | {f"schema_{keyword}" for keyword in keywords}


# --- replay ----------------------------------------------------------------------------------------------------------------


def drain(servers: list[str]) -> None:
    projector = Projector(the_lake())
    BronzeConsumer(
        lake=the_lake(),
        servers=servers,
        group_id="t",
        default_trial="DEMO",
        limits=Limits(records=50),
        on_claim=projector,
    ).run(lambda: False, drain=True)


def test_from_a_refused_message_to_the_record_after_the_fix(
    trial: Trial, fresh_broker: list[str], settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three messages of a version nobody knows, and one that is no JSON; then the version is known."""
    settings.KAFKA_BOOTSTRAP_SERVERS = fresh_broker
    ensure_topics(fresh_broker)
    with EventProducer(fresh_broker, producer="device") as out:
        for number in range(3):
            out.send(
                "patient-vitals", "DEMO/P1", vitals("P1", number), correlation_id=f"v2-{number}", schema_version="2"
            )
        out.send("patient-vitals", "DEMO/P1", MALFORMED["half a message"][1]("P1"), correlation_id="broken")
    drain(fresh_broker)
    assert DeadLetter.objects.count() == 4
    meg = signed_in("meg", "ml_engineer", at=trial)
    letter = DeadLetter.objects.get(correlation_id="v2-0")
    assert "It still breaks its contract." in page(meg, "letter", letter.pk)
    assert "None would pass now" in page(meg, "refused_replay")
    kept_in = page(meg, "letter", letter.pk)
    assert re.search(r"dead/patient-vitals/\S+\.json", kept_in), "the object that holds it, looked up"

    monkeypatch.setattr(wire, "KNOWN_VERSIONS", frozenset({"1", "2"}))
    assert page(meg, "refused", check=1).count("would pass") == 3
    confirm = page(meg, "refused_replay", reason="unknown_version")
    assert "3 of 3 would pass now" in confirm
    ids = re.findall(r'name="id" value="([^"]+)"', confirm)
    broken = str(DeadLetter.objects.get(correlation_id="broken").pk)
    answer = meg.post(
        reverse("portal:refused_replay", args=["DEMO"]), {"id": [*ids, broken], "reason": "release 2"}, follow=True
    )
    text = answer.content.decode()
    assert "3 messages handed to the outbox" in text
    assert "1 message not sent again" in text
    assert OutboxMessage.objects.count() == 3
    again = meg.post(reverse("portal:refused_replay", args=["DEMO"]), {"id": ids}, follow=True).content.decode()
    assert "3 messages not sent again. The first: This message was replayed" in again
    assert OutboxMessage.objects.count() == 3, "twice is once"
    events = AuditEvent.objects.filter(action="ingestion.dead_letter_replayed")
    assert {(event.actor, event.reason, event.trial) for event in events} == {("meg", "release 2", "DEMO")}
    assert events.count() == 3
    assert "In the outbox" in page(meg, "letter", letter.pk)

    assert outbox.relay() == 3
    shown = page(meg, "letter", letter.pk)
    sent = re.search(r"Sent again as <b[^>]*>patient-vitals (\d+) : (\d+)</b>", shown)
    assert sent
    drain(fresh_broker)
    from ml.lake.bronze import read_claimed

    arrived = {
        (row["partition"], row["offset"]): row
        for one in read_claimed(the_lake(), "patient-vitals")
        for row in one.lines()
    }
    assert len(arrived) == 3
    assert arrived[int(sent[1]), int(sent[2])]["headers"]["correlation_id"] == "v2-0"


def test_pressed_by_two_at_once_it_is_sent_once(trial: Trial) -> None:
    letters = [kept(offset, body(number=offset), "unknown_version") for offset in range(5)]
    gate, sent = threading.Barrier(2), []

    def press(name: str) -> None:
        try:
            gate.wait(10)
            by = people.Actor.process(name)
            done = services.replay_dead_letters(by=by, letters=letters, default_trial="DEMO", trial="DEMO")
            sent.append(len(done.sent))
        finally:
            connections.close_all()

    threads = [threading.Thread(target=press, args=(name,)) for name in ("one", "other")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sum(sent) == 5
    assert OutboxMessage.objects.count() == 5
    assert AuditEvent.objects.filter(action="ingestion.dead_letter_replayed").count() == 5


def test_a_message_that_turns_out_to_be_of_another_trial_is_not_sent_from_here(trial: Trial) -> None:
    people.trial("OTHER")
    raw = orjson.dumps(vitals("P1")).replace(b"{", b'{"note":{"trial_id":"DEMO"},', 1)
    assert b'"trial_id":"DEMO"' in raw
    letter = kept(1, raw[:-1] + b',"trial_id":"OTHER"}', "unknown_version")
    assert refused.letters("DEMO", platform=False).get().pk == letter.pk, "its text says DEMO first"
    with pytest.raises(Conflict, match="of trial OTHER"):
        services.replay_dead_letter(by=people.SYSTEM, letter=letter, default_trial="DEMO", trial="DEMO")
    assert not OutboxMessage.objects.exists()


# --- quarantine -------------------------------------------------------------------------------------------------------------


def set_aside(lake: Lake, *signs: dict[str, Any]) -> list[dict[str, Any]]:
    """Vital signs in bronze, and what cleaning sets aside of them in the lake, as the job writes it."""
    lines = [
        line("patient-vitals", "P1", START + hour * HOUR, {"source": "monitor", **one})
        for hour, one in enumerate(signs)
    ]
    for one in lines:
        one["value"] = {**one["value"], "trial_site_id": "S1"}
    write(lake, "patient-vitals", lines)
    placed = [
        {**one, "topic": "patient-vitals", "topic_id": "patient-vitals-id", "partition": 0, "offset": offset}
        for offset, one in enumerate(lines)
    ]
    profile = StudyProfile("DEMO")
    found = clean("patient-vitals", placed, epochs={"patient-vitals-id": 0}, profiles={"DEMO": profile}).quarantine
    mirrored(lake, found)
    rows: list[dict[str, Any]] = found.to_pylist()
    return rows


def mirrored(lake: Lake, table: pa.Table) -> dict[str, Any]:
    sink = io.BytesIO()
    pq.write_table(table, sink)
    lake.put("quarantine/patient-vitals/date=2026-03-01/part.parquet", sink.getvalue())
    return quarantine.mirror({}, lambda *_: None)


def test_quarantine_is_shown_with_its_message_and_cleaned_again(
    trial: Trial, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any
) -> None:
    set_aside(the_lake(), {"heart_rate": 999, "spo2": 97}, {"heart_rate": 70}, {"temperature": 99.0, "heart_rate": 71})
    meg = signed_in("meg", "ml_engineer", at=trial)
    listed = page(meg, "quarantine")
    assert "2 values" in listed
    assert "Impossible value" in listed
    assert (
        page(meg, "quarantine", site="S1", reason="impossible_value", since="2026-03-01", until="2026-03-01").count(
            "999"
        )
        == 1
    )
    assert "No value matches." in page(meg, "quarantine", until="2026-02-28")
    first = Quarantined.objects.get(offset=0)
    assert first.event_time == datetime.fromtimestamp(START, UTC)
    shown = page(meg, "aside", first.pk)
    assert "&quot;heart_rate&quot;:999" in shown, "its line, read from bronze"
    assert re.search(r"raw/patient-vitals/date=2026-03-01/\S+\.json", shown)
    exported = meg.get(reverse("portal:quarantine_csv", args=["DEMO"])).content.decode()
    assert "impossible_value" in exported

    asked: list[str] = []
    monkeypatch.setattr("apps.portal.views.quarantine.tasks.run.delay", lambda *, run_id: asked.append(run_id))
    assert "Clean 1 day again" in page(meg, "clean_again")
    with django_capture_on_commit_callbacks(execute=True):
        answer = meg.post(reverse("portal:clean_again", args=["DEMO"]), {"reason": "limits mended"})
    run = JobRun.objects.get()
    assert run.arguments == {"again": "patient-vitals=2026-03-01", "why": "limits mended"}
    assert asked == [str(run.pk)]
    assert str(run.pk) in answer["Location"]
    meg.post(reverse("portal:clean_again", args=["DEMO"]))
    assert JobRun.objects.count() == 1, "pressed twice, it runs once"
    assert "Chosen days are being cleaned again." in page(meg, "quarantine")


def test_what_leaves_quarantine_is_named(trial: Trial) -> None:
    rows = set_aside(the_lake(), {"heart_rate": 999, "spo2": 97}, {"heart_rate": 998, "spo2": 500})
    schema = pq.read_schema(io.BytesIO(the_lake().get("quarantine/patient-vitals/date=2026-03-01/part.parquet")))
    assert Quarantined.objects.count() == len(rows) >= 3
    left = [row for row in rows if row["offset"] == 1 and row["field"] == "spo2"]
    mirrored(the_lake(), pa.Table.from_pylist(left, schema=schema))
    mirrored(the_lake(), pa.Table.from_pylist(left, schema=schema))
    event = AuditEvent.objects.get(action=quarantine.RELEASED)
    assert event.actor == "system:cleaning"
    assert "999" not in str(event.after), "values are not repeated in the trail"
    meg = signed_in("meg", "ml_engineer", at=trial)
    shown = page(meg, "admitted")
    assert shown.count("admitted</span>") == 1
    assert "under another rule" in shown
    assert (
        "is not in quarantine"
        in meg.get(reverse("portal:aside", args=["DEMO", "01234567-89ab-7def-8123-456789abcdef"])).content.decode()
    )


def test_a_patient_known_since_is_marked(trial: Trial) -> None:
    Quarantined.objects.create(
        trial_id="DEMO",
        patient="DEMO/P1",
        topic="patient-vitals",
        topic_id="t",
        partition=0,
        offset=1,
        rule="unknown_patient",
    )
    meg = signed_in("meg", "ml_engineer", at=trial)
    assert "known since" not in page(meg, "quarantine")
    Patient.objects.filter(pk="DEMO/P1").update(known_since=datetime(2026, 3, 1, tzinfo=UTC))
    assert "known since: the next cleaning lets it in" in page(meg, "quarantine")


def test_empty_lists_say_so(trial: Trial) -> None:
    meg = signed_in("meg", "ml_engineer", at=trial)
    for name, words in (
        ("refused", "No message was refused."),
        ("quarantine", "Nothing is in quarantine."),
        ("admitted", "Nothing has left"),
    ):
        assert words in page(meg, name)
    assert "No open message was chosen." in page(meg, "refused_replay", id="not-a-uuid")
    assert "No day to clean." in page(meg, "clean_again")
    assert meg.post(reverse("portal:clean_again", args=["DEMO"])).status_code == 422
    assert meg.post(reverse("portal:refused_replay", args=["DEMO"])).status_code == 422
