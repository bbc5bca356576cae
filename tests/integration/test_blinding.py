"""Two trials that differ only by who got what: whoever is blinded receives the same bytes, to the last one.

The simulator writes the same courses of disease with the arms exchanged. Clock, identifiers and tokens are fixed at their
sources, so that nothing has to be cut out of an answer before it is compared.
"""

from __future__ import annotations

import itertools
import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
from asgiref.sync import async_to_sync
from asgiref.testing import ApplicationCommunicator
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.urls import reverse

from apps.accounts.keys import issue_key
from apps.core.lake import lake as the_lake
from apps.ingestion.applier import Applier
from apps.ingestion.window import window_store
from apps.patients.demo import seed_trial
from apps.patients.models import Medication, Patient, Trial
from apps.pipelines import services as pipelines
from apps.predictions import lineage, push, services, serving
from apps.predictions.answering import Question, answer
from apps.predictions.models import Prediction
from apps.predictions.online import gatherer
from apps.predictions.serving import current
from ml.contracts import TOPICS, Accepted, validate
from ml.features import NAMES, from_bytes
from ml.lake import claims
from ml.simulation import SimulationConfig, Simulator
from ml.simulation.config import DAY, HOUR
from tests.support import people
from tests.support import serving as support
from tests.support.history import write_as_they_are
from tests.support.loops import apart_from_the_browser
from tests.support.standing import StandingClock, standing

pytestmark = pytest.mark.django_db(transaction=True)
ORIGIN = 1_772_323_200  # 2026-03-01T00:00:00Z
NOW = ORIGIN + 9 * DAY + 13 * HOUR
CONFIG = SimulationConfig(origin=ORIGIN, seed=3, patients=6, sites=2, days=9, vitals_cadence_seconds=7200)
SOCKET = "/ws/trials/DEMO/"


@dataclass
class Seen:
    """Everything that was sent to one person: address → status, headers and body."""

    answers: dict[str, tuple[Any, ...]] = field(default_factory=dict)

    def add(self, name: str, response: Any) -> None:
        self.answers[name] = (response.status_code, sorted(response.headers.items()), response.content)


@pytest.fixture(autouse=True)
def _house(lake: str, valkey: Any, settings: Any) -> Iterator[None]:
    settings.LAKE_URL = lake
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
    _forget()
    yield
    gatherer.stop()
    _forget()


def _forget() -> None:
    for cached in (the_lake, window_store, claims._read, lineage._walk):
        cached.cache_clear()
    serving.forget()


def fix_chance(patch: pytest.MonkeyPatch) -> None:
    """Identifiers, tokens and secrets count up instead of being drawn."""
    ticks = itertools.count(NOW * 1_000_000_000, 1_000_000)
    patch.setattr("apps.core.ids.time", SimpleNamespace(time_ns=lambda: next(ticks)))
    patch.setattr("apps.core.ids.os", SimpleNamespace(urandom=lambda n: b"\7" * n))
    patch.setattr("apps.core.ids._last", 0)
    numbers = itertools.count()
    patch.setattr("apps.core.correlation.new", lambda: uuid.UUID(int=next(numbers)).hex)
    for place in ("django.middleware.csrf", "django.contrib.sessions.backends.base", "django.contrib.auth.hashers"):
        patch.setattr(f"{place}.get_random_string", _letters(itertools.count()))
    secrets = SimpleNamespace(token_hex=lambda n: "5" * 2 * n, token_urlsafe=lambda _: "k" * 43)
    patch.setattr("apps.accounts.keys.secrets", secrets)
    objects = itertools.count()
    patch.setattr("ml.lake.names.uuid", SimpleNamespace(uuid4=lambda: uuid.UUID(int=next(objects))))


def _letters(numbers: Iterator[int]) -> Any:
    return lambda length=12, allowed_chars="": "".join("abcdefghij"[int(d)] for d in f"{next(numbers):0{length}d}")[
        :length
    ]


def history(*, swapped: bool, of: SimulationConfig = CONFIG) -> dict[str, list[dict[str, Any]]]:
    """The trial's messages up to NOW as bronze lines, by topic."""
    lines: dict[str, list[dict[str, Any]]] = {topic: [] for topic in TOPICS}
    offsets = dict.fromkeys(TOPICS, 0)
    config = SimulationConfig.from_json(of.to_json() | {"swap_arms": swapped})
    for message in Simulator(config).messages(ORIGIN, NOW):
        offset, offsets[message.topic] = offsets[message.topic], offsets[message.topic] + 1
        if not isinstance(validate(message.topic, message.value), Accepted):
            continue
        lines[message.topic].append(
            {
                "topic": message.topic,
                "topic_id": f"id-of-{message.topic}",
                "partition": 0,
                "offset": offset,
                "timestamp": message.known_at * 1000,
                "key": message.key,
                "headers": {"producer": "simulator-history", "correlation_id": f"{message.topic}-{offset}"},
                "value": orjson.loads(message.value),
            }
        )
    return lines


def settle(
    trial: Trial, lines: dict[str, list[dict[str, Any]]], stands: StandingClock, of: SimulationConfig = CONFIG
) -> None:
    """Bronze, tables, windows, a model that serves, predictions of the last days, and a replay of each."""
    for rows in filter(None, lines.values()):
        write_as_they_are(the_lake(), rows, cut=150)
    store = window_store()
    store.finish()
    applier = Applier(lake=the_lake(), store=store, default_trial=trial.pk)
    applier.apply(lines, {topic: {f"id-of-{topic}": 0} for topic in TOPICS})
    support.release(trial)
    serving.forget()
    ready = current(trial.pk)
    assert ready is not None
    windows = applier.flush({}, pruning=False)
    assert len(windows) == of.patients
    for back in (30 * HOUR, 5 * HOUR, 40):
        stands.moment = NOW - back
        for name, window in sorted(windows.items()):
            question = Question(name, NOW - back, window.watermark, f"at-{back}")
            answers = answer([question], window.facts, ready)
            services.store(by=people.SYSTEM, answers=answers, serving=ready, source="live")
    stands.moment = NOW
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("apps.predictions.services.time", SimpleNamespace(perf_counter=lambda: 0.0))
        for prediction in Prediction.objects.order_by("-pk")[:2]:
            event = services.replay_one(by=people.SYSTEM, prediction=prediction)
            assert (event.after or {})["verdict"] == "identical"
    run = pipelines.request(by=people.SYSTEM, job="features", trial_id=trial.pk)
    pipelines.begin(by=people.SYSTEM, run=run)
    pipelines.succeed(by=people.SYSTEM, run=run, outcome={"rows": 54})


def look(client: Client, seen: Seen) -> None:
    """Every page and partial of the trial."""
    addresses = [
        reverse("portal:board", args=["DEMO"]),
        reverse("portal:board", args=["DEMO"]) + "?sort=change&site=01",
        reverse("portal:board_changes", args=["DEMO"]) + "?since=2026-03-01T00:00:00Z",
        reverse("portal:model", args=["DEMO"]),
        reverse("portal:model_version", args=["DEMO", 1]),
        reverse("portal:runs", args=["DEMO"]),
        reverse("portal:runs_part", args=["DEMO"]),
        reverse("portal:imports", args=["DEMO"]),
    ]
    for patient in Patient.objects.order_by("pk"):
        where = ["DEMO", patient.patient_id]
        addresses += [reverse("portal:patient", args=where) + zoom for zoom in ("", "?zoom=all", "?zoom=1d")]
        addresses += [reverse(f"portal:{name}", args=where) for name in ("patient_now", "patient_panels")]
    for number, prediction in enumerate(Prediction.objects.order_by("pk")):
        if prediction.source == "live" and number % 8 == 0:
            where = ["DEMO", prediction.pk]
            addresses += [reverse("portal:lineage", args=where), reverse("portal:lineage_origin", args=where)]
            addresses += [reverse("portal:lineage_objects", args=where)]
            walk = reverse("portal:lineage_walk", args=where)
            addresses += [f"{walk}?show=all&page={page}" for page in range(1, 4)]
            addresses += [
                f"{walk}?feature={name}" for name in ("trial_arm", "study_dose_current", "study_dose_missed_7d")
            ]
    for address in addresses:
        seen.add(address, client.get(address))


def question(secret: str, seen: Seen) -> None:
    """What the API answers about everybody, and how it came to the answers about two of them."""
    for number, patient in enumerate(Patient.objects.order_by("pk")):
        body = json.dumps({"patient_id": patient.patient_id})
        headers = {"Authorization": f"Api-Key {secret}", "X-Correlation-ID": f"asked-{patient.patient_id}"}
        answered = Client().post("/api/v1/predict", body, content_type="application/json", headers=headers)
        assert answered.status_code == 200, answered.content
        seen.add(f"api {patient.patient_id}", answered)
        walks = ("?page_size=1000&check=true", "?feature=study_dose_current") if number < 2 else ()
        for question in walks:
            walked = Client().get(
                f"/api/v1/predictions/{answered.json()['prediction_id']}/lineage{question}", headers=headers
            )
            assert walked.status_code == 200, walked.content
            seen.add(f"lineage {patient.patient_id}{question}", walked)


def listen(client: Client, seen: Seen) -> None:
    """What an open page hears when somebody was scored."""
    cookie = f"sessionid={client.cookies['sessionid'].value}".encode()
    patient = Patient.objects.order_by("pk").first()
    assert patient is not None

    async def story() -> list[Any]:
        from channels.layers import get_channel_layer

        from clinical_portal.asgi import application

        headers = [(b"cookie", cookie), (b"origin", b"http://localhost"), (b"host", b"localhost")]
        heard = []
        for path in (SOCKET, f"{SOCKET}patients/{patient.patient_id}/"):
            scope = {"type": "websocket", "path": path, "query_string": b"", "headers": headers, "subprotocols": []}
            wire = ApplicationCommunicator(application, scope)
            await wire.send_input({"type": "websocket.connect"})
            heard.append(await wire.receive_output(5))
            heard.append(await wire.receive_output(5))
            await get_channel_layer().group_send(push.trial_group("DEMO"), {"type": "scored", "patients": [patient.pk]})
            heard.append(await wire.receive_output(5))
            await wire.send_input({"type": "websocket.disconnect", "code": 1000})
            await wire.wait(timeout=2)
        return heard

    with apart_from_the_browser():
        seen.answers["socket"] = tuple(async_to_sync(story)())


def world(*, swapped: bool) -> dict[str, Seen]:
    """Build the trial, and what each role is sent; nothing of it is left."""
    found = {"coordinator": Seen(), "safety_reviewer": Seen(), "ml_engineer": Seen()}
    with pytest.MonkeyPatch.context() as patch, standing(StandingClock(NOW)) as stands:
        fix_chance(patch)
        empty()
        trial, _ = seed_trial(by=people.SYSTEM)
        settle(trial, history(swapped=swapped), stands)
        owner = people.person("integrator", "administrator")
        _, secret = issue_key(
            by=people.SYSTEM,
            name="test",
            owner=owner,
            trial=trial,
            scopes=("predict", "read"),
            expires_at=stands.now + timedelta(days=9),
        )
        for role, seen in found.items():
            client = Client()
            client.force_login(people.person(f"the-{role}".replace("_", "-"), role, at=trial))
            look(client, seen)
            if role == "coordinator":
                listen(client, seen)
                question(secret, seen)
        _sanity(swapped)
    return found


def empty() -> None:
    """No rows, no windows, and every number from its beginning: numbers of rows may stand in a page."""
    _forget()
    window_store().client.flushall()
    for info in list(the_lake().list("")):
        the_lake().delete(info.path)
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        call_command("flush", verbosity=0, interactive=False)
        cursor.execute("SET session_replication_role = origin")


def _sanity(swapped: bool) -> None:
    """The arms are written as asked, and doses are shown to those who may see them."""
    arms = dict(Patient.objects.order_by("pk").values_list("patient_id", "arm_name"))
    assert len(set(arms.values())) > 1
    ARMS[swapped] = arms
    DOSES[swapped] = dict(Medication.objects.filter(study_dose=True).values_list("patient__patient_id", "dosage"))


ARMS: dict[bool, dict[str, str]] = {}
DOSES: dict[bool, dict[str, Any]] = {}


def test_who_is_blinded_gets_the_same_bytes_whichever_arm_a_patient_is_in() -> None:
    one, other = world(swapped=False), world(swapped=True)
    assert all(ARMS[False][name] != ARMS[True][name] for name in ARMS[False] if ARMS[False][name])
    assert any(DOSES[False][name] != DOSES[True][name] for name in DOSES[False])

    for role in ("coordinator", "safety_reviewer"):
        assert one[role].answers.keys() == other[role].answers.keys()
        different = [name for name, answer in one[role].answers.items() if answer != other[role].answers[name]]
        assert not different, f"a blinded {role} could tell the arms apart by: {different}"
    pages = {name: answer for name, answer in one["coordinator"].answers.items() if name.startswith("/trials/")}
    served = [name for name, answer in pages.items() if answer[0] == 200]
    assert len(served) >= 5 + 5 * CONFIG.patients
    everything = b"".join(pages[name][2] for name in served)
    for arm in set(ARMS[False].values()) - {""}:
        assert arm.encode() not in everything
    assert b"taken" in everything
    assert b"missed" in everything
    assert len([name for name in one["coordinator"].answers if name.startswith("api ")]) == CONFIG.patients
    assert len(one["coordinator"].answers["socket"]) == 6

    # the same comparison tells the worlds apart for somebody who is not blinded, so it could have failed
    seen = [name for name, answer in one["ml_engineer"].answers.items() if answer != other["ml_engineer"].answers[name]]
    assert {name.split("?")[0] for name in seen} >= {
        f"/trials/DEMO/patients/{name}/" for name, arm in ARMS[False].items() if arm
    }
    assert "/trials/DEMO/" in seen


def test_a_models_vector_does_not_hold_the_arm() -> None:
    with pytest.MonkeyPatch.context() as patch, standing(StandingClock(NOW)) as stands:
        fix_chance(patch)
        trial, _ = seed_trial(by=people.SYSTEM)
        settle(trial, history(swapped=False), stands)
    assert Prediction.objects.count() == 3 * CONFIG.patients
    for prediction in Prediction.objects.all():
        vector = dict(zip(NAMES, from_bytes(bytes(prediction.features)), strict=True))
        assert vector["trial_arm"] != vector["trial_arm"]
        assert vector["study_dose_current"] != vector["study_dose_current"]
        shown = {factor["feature"] for factor in prediction.top_factors}
        assert not shown & {"trial_arm", "study_dose_current"}
