"""A rollback: the version that served before serves again, at once, by one person's decision with a reason."""

from __future__ import annotations

import io
import time
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, transaction
from django.test import Client
from django.urls import reverse

from apps.accounts.models import User
from apps.audit.models import AuditEvent
from apps.core.errors import Conflict, Forbidden, Invalid
from apps.patients.models import Trial
from apps.registry import effects, selectors, services
from apps.registry.models import Approval, ModelVersion
from tests.integration.test_registry import release
from tests.support import people

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def told(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, str]]:
    said: list[dict[str, str]] = []
    monkeypatch.setattr(effects, "announce", lambda **one: said.append(one))
    return said


@pytest.fixture
def trial() -> Trial:
    return people.trial("DEMO")


@pytest.fixture
def approvers(trial: Trial) -> tuple[User, User]:
    return people.person("first", "model_approver"), people.person("second", "model_approver")


@pytest.fixture
def two(trial: Trial, approvers: tuple[User, User]) -> tuple[ModelVersion, ModelVersion]:
    """The first version retired by the second, which serves."""
    one = release(people.model(trial), *approvers)
    return one, release(people.model(trial), *approvers)


def fresh(version: ModelVersion) -> ModelVersion:
    return ModelVersion.objects.get(pk=version.pk)


def test_the_previous_version_serves_again_over_its_own_signatures(
    trial: Trial, approvers: tuple[User, User], two: tuple[ModelVersion, ModelVersion], told: list[dict[str, str]]
) -> None:
    told.clear()
    signatures = Approval.objects.count()
    back = services.roll_back(by=approvers[0], trial=trial, reason="Too many alerts at site 3.")
    assert (back.pk, back.state, fresh(two[1]).state) == (two[0].pk, "production", "retired")
    assert selectors.serving(trial).version == two[0]  # type: ignore[union-attr]
    assert [one["state"] for one in told] == ["retired", "production"]
    assert Approval.objects.count() == signatures, "nothing is signed anew, and nothing needs to be"
    assert [row.action for row in selectors.history(two[0])] == ["register", "stage", "release", "retire", "restore"]
    assert selectors.history(two[1])[-1].action == "roll_back"
    events = AuditEvent.objects.filter(action__in=["registry.model_rolled_back", "registry.model_restored"])
    assert {(one.object_id, one.reason, one.actor) for one in events} == {
        (str(one.pk), "Too many alerts at site 3.", "first") for one in two
    }


def test_a_silent_predecessor_comes_back_silent(trial: Trial, approvers: tuple[User, User]) -> None:
    one = release(people.model(trial, metrics=people.BELOW), *approvers, as_silent=True)
    release(people.model(trial), *approvers)
    assert services.roll_back(by=approvers[0], trial=trial, reason="Recalled.").state == "silent"
    assert selectors.serving(trial).silent  # type: ignore[union-attr]
    assert fresh(one).state == "silent"


def test_further_back_and_no_further(
    trial: Trial, approvers: tuple[User, User], two: tuple[ModelVersion, ModelVersion]
) -> None:
    release(people.model(trial), *approvers)
    assert services.roll_back(by=approvers[0], trial=trial, reason="One.").pk == two[1].pk
    assert services.roll_back(by=approvers[0], trial=trial, reason="Two.").pk == two[0].pk
    with pytest.raises(Conflict, match="followed no other version"):
        services.roll_back(by=approvers[0], trial=trial, reason="Three.")


def test_what_a_person_withdrew_does_not_come_back(trial: Trial, approvers: tuple[User, User]) -> None:
    one = release(people.model(trial), *approvers)
    services.retire(by=approvers[0], version=one, reason="It was trained on wrong labels.")
    release(people.model(trial), *approvers)
    with pytest.raises(Conflict, match="followed no other version"):
        services.roll_back(by=approvers[0], trial=trial, reason="Back.")


def test_who_may_why_and_of_what(
    trial: Trial, approvers: tuple[User, User], two: tuple[ModelVersion, ModelVersion]
) -> None:
    for role in ("coordinator", "safety_reviewer", "ml_engineer", "auditor"):
        with pytest.raises(Forbidden, match="previous model serve again"):
            services.roll_back(by=people.person(role, role, at=trial), trial=trial, reason="No.")
    with pytest.raises(Invalid, match="Say why"):
        services.roll_back(by=approvers[0], trial=trial, reason="  ")
    with pytest.raises(Conflict, match="serves by now"):
        services.roll_back(by=approvers[0], trial=trial, reason="No.", expected=two[0])
    assert selectors.serving(trial).version == two[1]  # type: ignore[union-attr]
    administrator = people.person("root", "administrator")
    assert services.roll_back(by=administrator, trial=trial, reason="At night.", expected=two[1]) == two[0]
    with pytest.raises(Conflict, match="nothing to roll back"):
        services.roll_back(by=administrator, trial=people.trial("EMPTY"), reason="No.")


def test_without_signatures_the_database_lets_nothing_come_back(
    trial: Trial, two: tuple[ModelVersion, ModelVersion], approvers: tuple[User, User]
) -> None:
    services.retire(by=approvers[0], version=two[1], reason="Recalled.")
    silent = {"state": "silent"}  # the first version was signed for production, never for silent use
    with pytest.raises(DatabaseError), transaction.atomic():
        ModelVersion.objects.filter(pk=two[0].pk).update(**silent)


def ask(client: Client, trial: Trial, version: ModelVersion, **values: Any) -> Any:
    return client.post(reverse("portal:model_roll_back", args=[trial.pk, version.version]), values)


def test_the_button_asks_why_and_shows_to_whom(
    trial: Trial, approvers: tuple[User, User], two: tuple[ModelVersion, ModelVersion]
) -> None:
    client = Client()
    client.force_login(approvers[0])
    page = client.get(reverse("portal:model", args=[trial.pk])).content.decode()
    assert "Roll back" in page
    address = reverse("portal:model_roll_back", args=[trial.pk, two[1].version])
    assert address in page
    asked = client.get(address).content.decode()
    assert "serves again" in asked
    assert 'name="reason"' in asked
    refused = ask(client, trial, two[1], reason="")
    assert refused.status_code == 422
    assert "Say why" in refused.content.decode()
    assert ask(client, trial, two[1], reason="Recalled.").status_code == 302
    assert selectors.serving(trial).version == two[0]  # type: ignore[union-attr]
    other = Client()
    other.force_login(people.person("ml", "ml_engineer", at=trial))
    assert "Roll back" not in other.get(reverse("portal:model", args=[trial.pk])).content.decode()
    assert other.get(address).status_code == 403


def test_the_command_is_one_person_with_a_password(
    trial: Trial, two: tuple[ModelVersion, ModelVersion], monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = io.StringIO()
    words = ("rollback", "DEMO", "--as", "first", "--reason", "Recalled.")
    monkeypatch.setattr("getpass.getpass", lambda prompt: "wrong")
    with pytest.raises(CommandError, match="password is wrong"):
        call_command(*words, stdout=heard)
    assert selectors.serving(trial).version == two[1]  # type: ignore[union-attr]
    monkeypatch.setattr("getpass.getpass", lambda prompt: people.PASSWORD)
    call_command(*words, stdout=heard)
    assert selectors.serving(trial).version == two[0]  # type: ignore[union-attr]
    assert "v1 serves again" in heard.getvalue()


@pytest.mark.django_db(transaction=True)
def test_the_next_prediction_uses_it_within_a_second(monkeypatch: pytest.MonkeyPatch, valkey: Any) -> None:
    """A process that holds the rolled-back model answers with its predecessor less than a second later."""
    from apps.predictions import serving

    trial = people.trial("DEMO")
    approvers = people.person("first", "model_approver"), people.person("second", "model_approver")
    one = release(people.model(trial), *approvers)
    two = release(people.model(trial), *approvers)
    monkeypatch.setattr(serving, "load_bundle", lambda version: None)
    serving.forget()
    assert serving.current("DEMO").model_version == two.pk  # type: ignore[union-attr]
    services.roll_back(by=approvers[0], trial=trial, reason="Recalled.")
    began = time.monotonic()
    while serving.current("DEMO").model_version != one.pk:  # type: ignore[union-attr]
        assert time.monotonic() - began < 1.0
        time.sleep(0.02)
    serving.forget()
