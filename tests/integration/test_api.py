"""The prediction API as another system meets it: the right answer, and a clear one to everything else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connections
from django.test import Client

from apps.accounts import throttles
from apps.accounts.keys import issue_key, revoke_key
from apps.audit.models import AuditEvent
from apps.core import clock
from apps.core.lake import lake as the_lake
from apps.ingestion.window import WindowStore, window_store
from apps.patients.models import Trial
from apps.predictions import serving
from apps.predictions.models import Prediction
from apps.predictions.online import gatherer
from tests.support import people
from tests.support import serving as support

pytestmark = pytest.mark.django_db(transaction=True)
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
PATH = "/api/v1/predict"


@pytest.fixture
def trial(valkey: Any, lake: str, settings: Any) -> Iterator[Trial]:
    """A trial with two sites, two patients, a serving model, and P1's vital signs in the window."""
    settings.LAKE_URL = lake
    the_lake.cache_clear()
    window_store.cache_clear()
    serving.forget()
    made = people.trial("DEMO")
    first, second = people.site(made, "S1"), people.site(made, "S2")
    people.patient(made, "P1", at=first)
    people.patient(made, "P2", at=second)
    support.release(made)
    support.fill_window(WindowStore(valkey), "DEMO", "P1", until=int(NOW.timestamp()) - 60)
    yield made
    gatherer.stop()
    serving.forget()
    the_lake.cache_clear()
    window_store.cache_clear()


@pytest.fixture
def owner(trial: Trial) -> Any:
    return people.person("integrator", "administrator")


def key_of(owner: Any, trial: Trial, *scopes: str, **options: Any) -> tuple[Any, str]:
    options = {"expires_at": NOW + timedelta(days=30), **options}
    with clock.fixed(NOW):
        made, secret = issue_key(
            by=people.SYSTEM, name="test", owner=owner, trial=trial, scopes=scopes or ("predict",), **options
        )
    return made, secret


@pytest.fixture
def secret(owner: Any, trial: Trial) -> str:
    return key_of(owner, trial)[1]


def ask(
    secret: str | None,
    body: Any = ...,
    *,
    at: datetime = NOW,
    path: str = PATH,
    raw: bytes | None = None,
    **headers: str,
) -> Any:
    """POST as another system would; the study's clock stands at `at` in every thread."""
    if body is ...:
        body = {"patient_id": "P1", "timestamp": at.isoformat()}
    if secret is not None:
        headers["Authorization"] = f"Api-Key {secret}"
    with clock.fixed(at):
        return Client(raise_request_exception=False).post(
            path, raw if raw is not None else json.dumps(body), content_type="application/json", headers=headers
        )


def problem(response: Any, status: int) -> dict[str, Any]:
    assert response.status_code == status, response.content
    assert response["Content-Type"] == "application/problem+json"
    body: dict[str, Any] = response.json()
    assert body["status"] == status
    assert body["detail"]
    assert body["cure"]
    assert "Traceback" not in response.content.decode()
    return body


@pytest.mark.parametrize("path", [PATH, "/predict"])
def test_the_answer_has_the_names_of_the_requirements(secret: str, path: str) -> None:
    response = ask(secret, path=path)
    assert response.status_code == 200, response.content
    body = response.json()
    assert body["patient_id"] == "P1"
    assert 0 < body["adverse_event_probability"] < 1
    assert body["risk_level"] in {"LOW", "MODERATE", "HIGH", "CRITICAL"}
    assert body["prediction_timestamp"] == "2026-03-01T12:00:00Z"
    assert body["model_version"] == "adverse-event-predictor v1"
    assert all({"feature", "contribution"} <= factor.keys() for factor in body["top_risk_factors"])


def test_contributions_add_up_to_the_difference_from_the_baseline(secret: str) -> None:
    body = ask(secret).json()
    total = sum(factor["contribution"] for factor in body["top_risk_factors"])
    assert body["adverse_event_probability"] - body["baseline_probability"] == pytest.approx(total, abs=1e-9)


def test_the_prediction_and_its_audit_event_are_stored_together(secret: str) -> None:
    body = ask(secret, **{"X-Correlation-ID": "walk-1"}).json()
    stored = Prediction.objects.get(pk=body["prediction_id"])
    assert stored.probability == body["adverse_event_probability"]
    assert stored.correlation_id == "walk-1"
    assert set(stored.watermark) == {"patient-vitals", "patient-context"}
    event = AuditEvent.objects.get(object_id=str(stored.pk))
    assert (event.action, event.actor_type, event.correlation_id) == ("predictions.predicted", "key", "walk-1")


def test_nothing_is_stored_when_the_audit_fails(secret: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(**_: Any) -> None:
        raise RuntimeError("the trail is closed")

    monkeypatch.setattr("apps.predictions.services.record_many", broken)
    problem(ask(secret), 500)
    assert not Prediction.objects.exists()


def test_a_patient_without_data_is_indeterminate_and_says_what_would_settle_it(secret: str) -> None:
    body = ask(secret, {"patient_id": "P2"}).json()
    assert body["adverse_event_probability"] is None
    assert body["risk_level"] == "INDETERMINATE"
    assert body["reasons"]
    assert body["top_risk_factors"] == []


def test_old_vital_signs_do_not_carry_a_score(secret: str) -> None:
    assert ask(secret, at=NOW + timedelta(hours=7)).json()["risk_level"] == "INDETERMINATE"


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"", 422),
        (b"{", 400),
        (b"\xff\xfe", 400),
        (b'{"patient_id": NaN}', 400),
        (b"[" * 50_000, 400),
        (b"[]", 422),
        (b'"P1"', 422),
        (b"{}", 422),
        (b'{"patient_id": 7e400}', 400),
        (b'{"patient_id": "a\\u0000b"}', 422),
        (b'{"patient_id": "P1", "timestamp": "yesterday"}', 422),
        (b'{"patient_id": "P1", "timestamp": "2026-03-01T12:00:00"}', 422),
        (b'{"patient_id": "P1", "timestamp": "9999-12-31T23:59:59Z"}', 422),
        (b'{"patient_id": "P1", "timestamp": "0001-01-01T00:00:00Z"}', 422),
        (b'{"patient_id": "P1", "timestamp": 12}', 422),
        (b'{"patient_id": ' + b'"x" ' * 2_500_000 + b"}", 413),
        (b'{"patient_id": "nobody"}', 404),
    ],
)
def test_what_cannot_be_answered_is_said_plainly(secret: str, raw: bytes, status: int) -> None:
    problem(ask(secret, raw=raw), status)


def test_the_studys_now_has_a_minute_of_tolerance(secret: str) -> None:
    for seconds, status in ((61, 422), (60, 200), (-60, 200), (-62, 422)):
        body = {"patient_id": "P1", "timestamp": (NOW + timedelta(seconds=seconds)).isoformat()}
        assert ask(secret, body).status_code == status, seconds


def test_who_may_not_ask(owner: Any, trial: Trial) -> None:
    problem(ask(None), 401)
    problem(ask("nonsense"), 401)
    key, secret = key_of(owner, trial)
    problem(ask(secret[:-1] + ("a" if secret[-1] != "a" else "b")), 401)
    assert ask(secret).status_code == 200
    revoke_key(by=people.SYSTEM, key=key, reason="the test is over")
    problem(ask(secret), 401)
    problem(ask(key_of(owner, trial, "read")[1]), 403)
    problem(ask(key_of(owner, trial, sites=["S2"])[1]), 404)
    _, short = key_of(owner, trial, expires_at=NOW + timedelta(minutes=1))
    problem(ask(short, at=NOW + timedelta(minutes=2)), 401)


def test_a_key_in_the_address_is_refused(secret: str) -> None:
    body = problem(ask(None, path=f"{PATH}?api_key={secret}"), 400)
    assert secret not in json.dumps(body)


def test_a_key_reaches_only_its_own_trial(owner: Any, trial: Trial) -> None:
    other = people.trial("OTHER")
    people.patient(other, "X1")
    problem(ask(key_of(owner, trial)[1], {"patient_id": "X1"}), 404)


def test_without_a_serving_model_the_answer_is_503(owner: Any) -> None:
    other = people.trial("OTHER")
    people.patient(other, "X1")
    response = ask(key_of(owner, other)[1], {"patient_id": "X1"})
    assert problem(response, 503)["code"] == "no_model"
    assert response["Retry-After"]


def test_the_same_question_twice_is_answered_once(secret: str) -> None:
    first = ask(secret, **{"Idempotency-Key": "k-1"}).json()
    again = ask(secret, **{"Idempotency-Key": "k-1"}).json()
    assert again["prediction_id"] == first["prediction_id"]
    problem(ask(secret, {"patient_id": "P2"}, **{"Idempotency-Key": "k-1"}), 409)
    later = ask(secret, at=NOW + timedelta(hours=25), **{"Idempotency-Key": "k-1"})
    assert later.status_code == 409 or later.json()["prediction_id"] != first["prediction_id"]


def test_many_at_once_are_answered_each_for_itself(secret: str) -> None:
    """Gathered questions: one bad one among them fails alone, and everybody gets their own answer."""

    def one(number: int) -> tuple[int, str]:
        try:
            patient = "nobody" if number % 7 == 0 else "P1" if number % 2 else "P2"
            response = ask(secret, {"patient_id": patient})
            return response.status_code, response.json().get("patient_id", "")
        finally:
            connections.close_all()

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(one, range(64)))
    for number, (status, patient) in enumerate(answers):
        expected = (404, "") if number % 7 == 0 else (200, "P1" if number % 2 else "P2")
        assert (status, patient) == expected, number


def test_throttled_requests_are_told_to_wait(secret: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(throttles.RATES, "predict", throttles.Rate(requests=1, seconds=60, burst=1))
    assert ask(secret).status_code == 200
    response = ask(secret)
    assert problem(response, 429)["retry_after"] > 0
    assert response["Retry-After"]


def test_health_metrics_and_documents_need_no_key(trial: Trial, secret: str) -> None:
    ask(secret)
    client = Client()
    health = client.get("/health")
    assert health.status_code == 200, health.content
    metrics = client.get("/metrics").content.decode()
    for name in ("prediction_latency_bucket", "prediction_count_total", "error_rate"):
        assert name in metrics
    assert "P1" not in metrics
    document = client.get("/api/openapi.json", headers={"Accept": "text/html,*/*;q=0.8"}).json()
    answers = document["paths"]["/api/v1/predict"]["post"]["responses"]
    assert {"200", "400", "401", "403", "404", "409", "413", "422", "429", "503"} <= answers.keys()
    assert client.get("/api/docs").status_code == 200


def test_other_methods_and_media_are_refused(secret: str) -> None:
    headers = {"Authorization": f"Api-Key {secret}"}
    with clock.fixed(NOW):
        problem(Client().get(PATH, headers=headers), 405)
        problem(Client().post(PATH, b"<a/>", content_type="text/xml", headers=headers), 415)
