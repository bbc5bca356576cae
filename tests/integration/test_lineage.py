"""From a score to its messages and back: the page, the API and the replay, on a simulated trial's own bronze."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse

from apps.accounts.keys import issue_key
from apps.audit.models import AuditEvent
from apps.core import clock
from apps.core.lake import lake as the_lake
from apps.ingestion.window import window_store
from apps.patients.demo import seed_trial
from apps.patients.models import Trial
from apps.predictions import lineage, serving
from apps.predictions.models import Prediction
from ml.features import FEATURES, from_bytes
from ml.lake import claims
from ml.lake.bronze import events_of_patient
from ml.lake.claims import Claim
from tests.integration.test_blinding import CONFIG, NOW, history, settle
from tests.support import people
from tests.support.standing import StandingClock, standing

pytestmark = pytest.mark.django_db(transaction=True)
SMALL = replace(CONFIG, patients=2)


@pytest.fixture(autouse=True)
def _house(lake: str, valkey: Any, settings: Any) -> Iterator[None]:
    settings.LAKE_URL = lake
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
    _forget()
    yield
    _forget()


def _forget() -> None:
    for cached in (the_lake, window_store, claims._read, lineage._walk):
        cached.cache_clear()
    serving.forget()


@pytest.fixture
def trial() -> Iterator[Trial]:
    with standing(StandingClock(NOW)) as stands:
        made, _ = seed_trial(by=people.SYSTEM)
        settle(made, history(swapped=False, of=SMALL), stands, SMALL)
        yield made


def newest() -> Prediction:
    return Prediction.objects.filter(source="live", level__in=("LOW", "MODERATE", "HIGH", "CRITICAL")).order_by("-pk")[
        0
    ]


def signed_in(role: str, at: Trial) -> Client:
    client = Client()
    client.force_login(people.person(f"the-{role}".replace("_", "-"), role, at=at))
    return client


def part(client: Client, name: str, prediction: Prediction, query: str = "") -> str:
    answer = client.get(reverse(f"portal:{name}", args=["DEMO", prediction.pk]) + query)
    assert answer.status_code == 200, answer.content.decode()[:500]
    return answer.content.decode()


def key(trial: Trial, *scopes: str, sites: tuple[str, ...] = (), owner: str = "auditor") -> dict[str, str]:
    name = f"owner-{'-'.join(scopes)}-{owner}"
    _, secret = issue_key(
        by=people.SYSTEM, name=name, owner=people.person(name, owner, at=trial), trial=trial, scopes=scopes, sites=sites,
        expires_at=clock.now() + timedelta(days=9),
    )  # fmt: skip
    return {"Authorization": f"Api-Key {secret}"}


def first_object(prediction: Prediction, topic: str) -> Claim:
    return next(one.claim for one in lineage.walk(prediction).objects if one.claim.topic == topic)


# --- the walk ---------------------------------------------------------------------------------------------------------------


def test_a_walk_is_what_bronze_holds_and_names_every_features_events(trial: Trial) -> None:
    prediction = newest()
    walk = lineage.walk(prediction)
    name = prediction.patient_id.partition("/")[2]
    lines = events_of_patient(the_lake(), "DEMO", name, prediction.watermark)
    assert len(walk.events) + walk.later == len(lines) > 100
    assert {one.identity[0] for one in walk.events} >= {"patient-vitals", "lab-results", "patient-context"}
    assert sum(one.events for one in walk.objects) == len(walk.events)
    t = int(prediction.as_of.timestamp())
    assert all(one.event_time <= t and one.known_time <= t for one in walk.events)
    early = Prediction.objects.filter(patient=prediction.patient).order_by("as_of")[0]
    then = lineage.walk(early)
    assert then.later > 10, "its window had been read further than its as-of time"
    assert all(max(one.event_time, one.known_time) <= early.as_of.timestamp() for one in then.events)
    hour = [one for one in walk.events if "heart_rate_mean_24h" in one.features]
    assert len(hour) == walk.feeds["heart_rate_mean_24h"][0] > 3
    assert all(one.event_time > t - 86_400 and one.identity[0] == "patient-vitals" for one in hour)
    told = dict(zip((feature.name for feature in FEATURES), from_bytes(bytes(prediction.features)), strict=True))
    measured = [
        name for name, value in told.items() if value == value and not name.endswith(("_count", "_missing_24h"))
    ]
    unfed = [name for name in measured if name not in walk.feeds and told[name] not in (0.0, 1.0)]
    assert not unfed, f"a value without an event that fed it: {unfed}"


def test_the_page_walks_from_the_answer_to_objects_and_code(trial: Trial) -> None:
    prediction = newest()
    meg = signed_in("auditor", trial)
    patient = prediction.patient.patient_id
    now = meg.get(reverse("portal:patient_now", args=["DEMO", patient])).content.decode()
    assert reverse("portal:lineage", args=["DEMO", Prediction.objects.filter(patient=prediction.patient)[0].pk]) in now
    shown = part(meg, "lineage", prediction)
    for words in (repr(prediction.probability), "system:test", str(prediction.pk), "Watermark", "Simulated data"):
        assert words in shown, words
    walk = part(meg, "lineage_walk", prediction, "?show=all")
    assert walk.count('<span class="small quiet mono walk__under">') == 120
    assert prediction.features_sha256 in walk
    one = lineage.walk(prediction).events[0]
    assert f"{one.identity[2]} : {one.identity[3]:,}" in walk
    claim = first_object(prediction, "patient-vitals")
    assert claim.object in walk
    assert claim.object_sha256 in walk
    narrowed = part(meg, "lineage_walk", prediction, "?feature=heart_rate_mean_24h")
    fed = lineage.walk(prediction).feeds["heart_rate_mean_24h"][0]
    assert f"{fed} events" in narrowed.split("Events it saw")[1]
    assert "No feature matches." in part(meg, "lineage_walk", prediction, "?q=zzz")
    origin = part(meg, "lineage_origin", prediction)
    assert "Its files are those that were registered and signed for." in origin
    assert prediction.model_version.data_version in origin
    assert prediction.fingerprint in origin
    assert "a replay must give every bit" in origin


def test_objects_are_checked_byte_by_byte_and_the_altered_one_is_named(trial: Trial) -> None:
    prediction = newest()
    meg = signed_in("auditor", trial)
    count = len(lineage.walk(prediction).objects)
    assert f"all {count} whole" in part(meg, "lineage_objects", prediction)
    vitals, labs = first_object(prediction, "patient-vitals"), first_object(prediction, "lab-results")
    data = bytearray(the_lake().get(vitals.object or ""))
    data[len(data) // 2] ^= 1
    the_lake().put(vitals.object or "", bytes(data))
    the_lake().delete(labs.object or "")
    shown = part(meg, "lineage_objects", prediction)
    assert f"2 of {count} not as claimed" in shown
    for claim, word in ((vitals, "altered"), (labs, "missing")):
        row = shown[shown.index(claim.object or "") :].split("</tr>")[0]
        assert word in row
    claim = first_object(prediction, "patient-context")
    the_lake().put(claim.name, claim.to_bytes().replace(b'"dead":0', b'"dead":1'))
    assert "claim altered" in part(meg, "lineage_objects", prediction)


def test_a_model_that_is_not_the_signed_one_is_said_so(trial: Trial) -> None:
    prediction = newest()
    path = next(
        info.path for info in the_lake().list(prediction.model_version.bundle_path) if "safetensors" in info.path
    )
    the_lake().put(path, the_lake().get(path)[:-1] + b"\x01")
    origin = part(signed_in("auditor", trial), "lineage_origin", prediction)
    assert "not as claimed" in origin
    assert "Its files are those" not in origin


# --- replay -------------------------------------------------------------------------------------------------------------------


def test_one_click_replays_and_each_verdict_stays(trial: Trial) -> None:
    prediction = newest()
    replays_on_record = AuditEvent.objects.filter(action="predictions.replayed", object_id=str(prediction.pk)).count
    before = replays_on_record()
    vera = signed_in("auditor", trial)
    address = reverse("portal:lineage_replay", args=["DEMO", prediction.pk])
    answer = vera.post(address, headers={"HX-Request": "true"})
    assert "Identical" in answer.content.decode()
    assert replays_on_record() == before + 1
    event = AuditEvent.objects.filter(action="predictions.replayed").order_by("-id")[0]
    assert (event.actor, event.trial, event.after["verdict"]) == ("the-auditor", "DEMO", "identical")

    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        cursor.execute(
            "UPDATE predictions_prediction SET probability = probability + 0.001 WHERE id = %s", [prediction.pk]
        )
        cursor.execute("SET session_replication_role = origin")
    text = vera.post(address, headers={"HX-Request": "true"}).content.decode()
    assert "Different" in text
    assert "probability was" in text
    claim = first_object(prediction, "patient-vitals")
    the_lake().delete(claim.object or "")
    assert "Not proven" in vera.post(address, follow=True).content.decode()
    history = part(vera, "lineage", prediction)
    assert re.findall(r"(Identical|Different|Not proven)\s*</span>", history)[:3] == [
        "Not proven",
        "Different",
        "Identical",
    ]
    blinded = signed_in("coordinator", trial)
    assert blinded.post(address).status_code == 403
    told = part(blinded, "lineage", prediction)
    assert "probability was" not in told
    assert "What differs is shown to unblinded staff" in told
    assert vera.get(address).status_code == 405


def test_what_bronze_no_longer_holds_is_said_on_the_page(trial: Trial) -> None:
    prediction = newest()
    mark = prediction.watermark["patient-vitals"]
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        Prediction.objects.filter(pk=prediction.pk).update(
            watermark={**prediction.watermark, "patient-vitals": [mark[0], mark[1], mark[2] + 10_000]}
        )
        cursor.execute("SET session_replication_role = origin")
    shown = part(signed_in("auditor", trial), "lineage_walk", prediction)
    assert "The archive does not hold what this score rests on." in shown


# --- who may see what ------------------------------------------------------------------------------------------------------------


def test_a_score_of_another_site_or_trial_is_not_there(trial: Trial) -> None:
    prediction = newest()
    other = people.trial("OTHER")
    client = Client()
    site = next(site for site in trial.sites.all() if site.pk != prediction.patient.site_id)
    client.force_login(people.person("elsewhere", "coordinator", at=trial, site=site))
    for name in ("lineage", "lineage_walk", "lineage_objects", "lineage_origin"):
        assert client.get(reverse(f"portal:{name}", args=["DEMO", prediction.pk])).status_code == 404, name
    stranger = signed_in("auditor", other)
    assert stranger.get(reverse("portal:lineage", args=["OTHER", prediction.pk])).status_code == 404
    assert stranger.get(reverse("portal:lineage", args=["DEMO", prediction.pk])).status_code in (403, 404)


def test_personal_values_are_kept_from_who_may_not_see_them(trial: Trial) -> None:
    prediction = newest()
    patient = prediction.patient
    assert patient.age
    engineer, auditor = signed_in("ml_engineer", trial), signed_in("auditor", trial)
    at = "?show=all&feature=age&q=age"
    hidden, shown = part(engineer, "lineage_walk", prediction, at), part(auditor, "lineage_walk", prediction, at)
    assert prediction.features_sha256 not in hidden, "119 known values and a digest give the last one away"
    assert prediction.features_sha256 in shown
    row = hidden[hidden.index(">age<") :].split("</tr>")[0]
    assert "masked" in row
    assert f"{patient.age:g}" in shown[shown.index(">age<") :].split("</tr>")[0]
    claim = first_object(prediction, "patient-context")
    assert claim.object_sha256 not in part(engineer, "lineage_walk", prediction)
    assert claim.object_sha256 in part(auditor, "lineage_walk", prediction)


# --- the API -----------------------------------------------------------------------------------------------------------------------


def test_the_api_tells_the_same_walk(trial: Trial) -> None:
    prediction = newest()
    address = f"/api/v1/predictions/{prediction.pk}/lineage"
    headers = key(trial, "read", "unblinded")
    body = Client().get(f"{address}?page_size=1000&check=true", headers=headers).json()
    walk = lineage.walk(prediction)
    assert body["events_total"] == len(walk.events) == len(body["events"])
    assert body["watermark"] == prediction.watermark
    assert len(body["features"]) == 120
    assert {one["state"] for one in body["objects"]} == {"whole"}
    assert {one["object"] for one in body["objects"]} == {one.claim.object for one in walk.objects}
    assert [one["name"] for one in body["origin"]] == ["model", "run", "data", "code"]
    assert any(one["value"].get("arm_name") for one in body["events"]), "the scope unblinded gives the arm"
    assert body["replays"][0]["verdict"] == "identical"
    paged = Client().get(f"{address}?page=2&page_size=7&feature=heart_rate_mean_24h", headers=headers).json()
    assert (paged["events_page"], paged["events_total"]) == (2, walk.feeds["heart_rate_mean_24h"][0])
    blinded = Client().get(f"{address}?page_size=1000", headers=key(trial, "read")).json()
    assert not any(one["value"].get("arm_name") or one["value"].get("dosage") for one in blinded["events"])
    assert all(
        (one["sha256"] is None) == (one["topic"] in ("medications", "patient-context")) for one in blinded["objects"]
    )
    assert Client().get(f"{address}?page=-1", headers=headers).json()["code"] == "page"


def test_the_api_replays_for_who_has_the_scope(trial: Trial) -> None:
    prediction = newest()
    address = f"/api/v1/predictions/{prediction.pk}/replay"
    refused = Client().post(address, headers=key(trial, "read"))
    assert refused.status_code == 403
    assert refused.json()["code"] == "scope"
    assert refused["Content-Type"].startswith("application/problem+json")
    body = Client().post(address, headers=key(trial, "replay", "unblinded")).json()
    assert (body["verdict"], body["proven"], body["details"]) == ("identical", True, [])
    event = AuditEvent.objects.get(pk=body["audit_event"])
    assert event.actor_type == "key"
    assert event.actor == body["by"]


def test_the_api_names_no_prediction_of_another_site(trial: Trial) -> None:
    prediction = newest()
    site = next(site.site_id for site in trial.sites.all() if site.pk != prediction.patient.site_id)
    headers = key(trial, "read", "replay", sites=(site,))
    for method, verb in (("get", "lineage"), ("post", "replay")):
        answer = getattr(Client(), method)(f"/api/v1/predictions/{prediction.pk}/{verb}", headers=headers)
        assert answer.status_code == 404
        assert answer.json()["code"] == "unknown_prediction"
    assert Client().get(f"/api/v1/predictions/{prediction.pk}/lineage").status_code == 401


def test_lineage_and_replay_stand_in_the_document(trial: Trial) -> None:
    paths = Client().get("/api/openapi.json").json()["paths"]
    assert "get" in paths["/api/v1/predictions/{prediction}/lineage"]
    assert "post" in paths["/api/v1/predictions/{prediction}/replay"]
