"""The clock, identifiers, correlation, problems, tasks and health checks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from django.core.exceptions import RequestDataTooBig
from django.http import Http404, HttpRequest, HttpResponse
from hypothesis import given
from hypothesis import strategies as st
from rest_framework import exceptions as drf

from apps.core import clock, correlation, health, ids, problems
from apps.core.errors import Conflict, DomainError
from apps.core.tasks import task

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_the_clock_can_be_held_and_goes_on_afterwards() -> None:
    with clock.fixed(NOON.astimezone(timezone(timedelta(hours=5)))):
        assert clock.now() == NOON
        assert clock.now().tzinfo is UTC
        with clock.source(lambda: NOON + timedelta(days=1)):
            assert clock.now().day == 2
        assert clock.now() == NOON
    assert abs(clock.now() - datetime.now(UTC)) < timedelta(seconds=5)
    with pytest.raises(ValueError, match="time zone"), clock.fixed(datetime(2026, 1, 1)):  # noqa: DTZ001
        pass


def test_identifiers_rise_and_carry_version_and_time() -> None:
    made = [ids.uuid7() for _ in range(5_000)]
    assert made == sorted(made)
    assert len(set(made)) == len(made)
    assert {one.version for one in made} == {7}
    assert {one.variant for one in made} == {"specified in RFC 4122"}
    assert abs((made[0].int >> 80) / 1000 - datetime.now(UTC).timestamp()) < 60


@given(st.text(max_size=80))
def test_a_correlation_id_can_forge_no_log_line(offered: str) -> None:
    accepted = correlation.accept(offered)
    assert 1 <= len(accepted) <= 64
    assert accepted.isascii()
    assert all(letter.isalnum() or letter in "._:-" for letter in accepted)


def test_the_middleware_takes_a_fit_id_and_replaces_an_unfit_one() -> None:
    seen = []

    def view(request: HttpRequest) -> HttpResponse:
        seen.append(correlation.get())
        return HttpResponse()

    middleware = correlation.CorrelationMiddleware(view)
    request = HttpRequest()
    request.META["HTTP_X_CORRELATION_ID"] = "abc-1"
    assert middleware(request).headers["X-Correlation-ID"] == "abc-1"  # type: ignore[union-attr]
    request = HttpRequest()
    request.META["HTTP_X_CORRELATION_ID"] = "x\r\nforged"
    answer = middleware(request)
    assert answer.headers["X-Correlation-ID"] == seen[1] != "x\r\nforged"  # type: ignore[union-attr]
    assert correlation.get() == ""


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (Conflict("No.", code="state"), 409, "state"),
        (Http404(), 404, "not_found"),
        (drf.ParseError(), 400, "malformed"),
        (drf.NotAuthenticated(), 401, "unauthenticated"),
        (drf.MethodNotAllowed("PUT"), 405, "method_not_allowed"),
        (drf.UnsupportedMediaType("text/plain"), 415, "unsupported_media_type"),
        (drf.Throttled(wait=7), 429, "too_many"),
        (drf.ValidationError({"a": ["wrong"]}), 422, "invalid"),
        (RequestDataTooBig(), 413, "too_large"),
        (RuntimeError("secret inside"), 500, "unexpected"),
    ],
)
def test_every_error_becomes_a_problem_document(error: Exception, status: int, code: str) -> None:
    request = HttpRequest()
    request.path = "/x"
    response = problems.response_for(request, error)
    assert (response.status_code, response["Content-Type"]) == (status, "application/problem+json")
    document = problems.document(problems.translate(error), instance="/x")
    assert document["code"] == code
    assert document["cure"] or status == 409
    assert set(document) >= {"type", "title", "status", "detail", "instance", "correlation_id"}
    assert b"secret inside" not in response.content


def test_field_errors_are_listed_flat() -> None:
    problem = problems.translate(drf.ValidationError({"a": {"b": ["wrong"]}, "c": ["odd", "long"]}))
    assert problem.extra["errors"] == [
        {"field": "a.b", "message": "wrong"},
        {"field": "c", "message": "odd"},
        {"field": "c", "message": "long"},
    ]


def test_a_task_is_keyword_only_in_a_known_queue_with_a_limit() -> None:
    with pytest.raises(ValueError, match="queue"):
        task(name="t.a", queue="elsewhere", time_limit=1)
    with pytest.raises(ValueError, match="time limit"):
        task(name="t.a", queue="default", time_limit=0)

    def positional(first: int) -> None: ...

    with pytest.raises(TypeError, match=r"\*"):
        task(name="t.a", queue="default", time_limit=5)(positional)

    @task(name="t.ids", queue="default", time_limit=5)
    def body(*, value: int) -> tuple[int, str]:
        return value, correlation.get()

    assert body.apply(kwargs={"value": 3, "correlation_id": "abc"}).get() == (3, "abc")
    assert (body.acks_late, body.time_limit, body.queue) == (True, 5, "default")


def test_a_failing_check_says_so_without_its_inside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "_checks", {})

    def broken() -> str:
        raise RuntimeError("password in here")

    def unfit() -> str:
        raise DomainError("No model serves.", cure="Sign for one.")

    health.register("good", lambda: "Fine.", critical=True)
    health.register("side", broken, critical=False)
    healthy, outcomes = health.run()
    assert healthy
    assert [(row.name, row.healthy) for row in outcomes] == [("good", True), ("side", False)]
    assert "password" not in outcomes[1].message
    health.register("model", unfit, critical=True, parts=("api",))
    assert health.run(part="api")[0] is False
    assert health.run(part="web")[0] is True
