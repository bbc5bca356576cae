"""A model goes live by two signatures and in no other way."""

from __future__ import annotations

import hashlib
import json
import re
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction

from apps.accounts.models import User
from apps.audit.actors import Actor
from apps.audit.models import AuditEvent
from apps.core.errors import Conflict, DomainError, Forbidden, Invalid
from apps.core.problems import refused_by_trigger
from apps.patients.models import Trial
from apps.pipelines import services as pipelines
from apps.registry import effects, gates, selectors, services, steps
from apps.registry.evidence import signed_hash, signed_text
from apps.registry.models import Approval, ModelTransition, ModelVersion
from apps.registry.states import ACTIONS, BY_MOVE, SERVING, STATES, TRANSITIONS
from ml.profile import StudyProfile
from tests.support import people
from tests.support.database import without_trigger

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, str]]:
    """What was announced, instead of a cache and a broker."""
    told: list[dict[str, str]] = []
    monkeypatch.setattr(effects, "announce", lambda **said: told.append(said))
    return told


@pytest.fixture
def trial() -> Trial:
    return people.trial("DEMO")


@pytest.fixture
def first() -> User:
    return people.person("first", "model_approver", printed_name="First Approver")


@pytest.fixture
def second() -> User:
    return people.person("second", "model_approver", printed_name="Second Approver")


def release(version: ModelVersion, first: User, second: User, *, as_silent: bool = False) -> ModelVersion:
    for person in (first, second):
        services.sign(by=person, password=people.PASSWORD, version=version, as_silent=as_silent)
    return ModelVersion.objects.get(pk=version.pk)


def force(version: ModelVersion, state: str) -> ModelVersion:
    """Put a version into any state, past every guard."""
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        cursor.execute("UPDATE registry_modelversion SET state = %s WHERE id = %s", [state, version.pk])
        cursor.execute("SET session_replication_role = origin")
    return ModelVersion.objects.get(pk=version.pk)


def test_gates_decide_where_a_registered_version_stands(trial: Trial) -> None:
    good, below = people.model(trial), people.model(trial, metrics=people.BELOW)
    assert (good.state, good.gates_passed, good.version) == ("staging", True, 1)
    assert (below.state, below.gates_passed, below.version) == ("candidate", False, 2)
    assert [(row.action, row.from_state, row.to_state) for row in selectors.history(good)] == [
        ("register", "", "candidate"),
        ("stage", "candidate", "staging"),
    ]
    assert [row["name"] for row in below.gates if row["holds_back"]] == ["auroc"]
    assert selectors.serving(trial) is None


@pytest.mark.parametrize("odd", [None, {}, {"value": None, "reason": "too few"}])
def test_a_figure_that_is_missing_holds_a_model_back(odd: Any) -> None:
    rows = gates.judge(StudyProfile(trial_id="DEMO"), {**people.GOOD, "figures": {"auroc": odd}})
    assert not gates.passed(rows)
    assert "AUROC on test patients" in gates.failures(rows)


def test_a_study_without_a_blocking_gate_lets_nothing_through() -> None:
    assert not gates.passed(gates.judge(StudyProfile(trial_id="DEMO", gates=()), people.GOOD))


def test_two_people_release_and_the_predecessor_retires(
    trial: Trial, first: User, second: User, quiet: list[Any]
) -> None:
    one = release(people.model(trial), first, second)
    assert one.state == "production"
    serving = selectors.serving("DEMO")
    assert serving is not None
    assert (serving.version, serving.silent, serving.bundle_path) == (one, False, "models/1")
    two = release(people.model(trial), first, second)
    assert selectors.serving(trial).version == two  # type: ignore[union-attr]
    assert [row.action for row in selectors.history(ModelVersion.objects.get(pk=one.pk))][-1] == "retire"
    assert [said["state"] for said in quiet] == ["production", "retired", "production"]
    actions = list(AuditEvent.objects.filter(object_id=two.pk).order_by("id").values_list("action", flat=True))
    assert actions == [
        "registry.model_registered",
        "registry.model_staged",
        "registry.model_signed",
        "registry.model_signed",
        "registry.model_released",
    ]


def test_one_signature_moves_nothing(trial: Trial, first: User) -> None:
    version = people.model(trial)
    approval = services.sign(by=first, password=people.PASSWORD, version=version)
    assert ModelVersion.objects.get(pk=version.pk).state == "staging"
    assert (approval.printed_name, approval.username) == ("First Approver", "first")
    with pytest.raises(Conflict, match="signed already"):
        services.sign(by=first, password=people.PASSWORD, version=version)
    assert selectors.serving(trial) is None


def test_signatures_for_different_things_do_not_add_up(trial: Trial, first: User, second: User) -> None:
    version = people.model(trial)
    services.sign(by=first, password=people.PASSWORD, version=version)
    services.sign(by=second, password=people.PASSWORD, version=version, as_silent=True)
    assert selectors.serving(trial) is None
    services.sign(by=first, password=people.PASSWORD, version=version, as_silent=True)
    assert selectors.serving(trial).silent  # type: ignore[union-attr]


def test_below_its_gates_a_version_runs_silent_or_not_at_all(trial: Trial, first: User, second: User) -> None:
    version = people.model(trial, metrics=people.BELOW)
    with pytest.raises(Conflict, match=r"0\.640 is not >= 0\.8.*silent"):
        services.sign(by=first, password=people.PASSWORD, version=version)
    assert not Approval.objects.exists()
    assert release(version, first, second, as_silent=True).state == "silent"
    assert selectors.serving(trial).silent  # type: ignore[union-attr]


def test_a_wrong_password_signs_nothing_and_leaves_a_trace(trial: Trial, first: User) -> None:
    version = people.model(trial)
    with pytest.raises(Forbidden, match="password is wrong"):
        services.sign(by=first, password="wrong", version=version)
    assert not Approval.objects.exists()
    assert AuditEvent.objects.filter(action="accounts.signature_refused", actor="first").count() == 1


@pytest.mark.parametrize("role", ["coordinator", "safety_reviewer", "ml_engineer", "auditor", "administrator"])
def test_only_model_approvers_sign(trial: Trial, role: str) -> None:
    person = people.person("someone", role, at=trial)
    with pytest.raises(Forbidden, match="You may not sign"):
        services.sign(by=person, password=people.PASSWORD, version=people.model(trial))


def test_who_trained_or_registered_does_not_sign(trial: Trial, first: User) -> None:
    with pytest.raises(Forbidden, match="trained or registered"):
        services.sign(by=first, password=people.PASSWORD, version=people.model(trial, trained_by=first))
    people.grant(first, "ml_engineer")
    own = services.register(
        by=first, trial=trial, name="m", metrics=people.GOOD, digests={"a": "0" * 64}, data_version="d", bundle_path="p"
    )
    with pytest.raises(Forbidden, match="trained or registered"):
        services.sign(by=first, password=people.PASSWORD, version=own)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"identity_verified_at": None}, "identity"),
        ({"must_change_password": True}, "chosen by somebody else"),
        ({"is_active": False}, "may not"),
    ],
)
def test_who_cannot_sign_at_all(trial: Trial, first: User, change: dict[str, Any], words: str) -> None:
    people.alter(first, **change)
    with pytest.raises(Forbidden, match=words):
        services.sign(by=User.objects.get(pk=first.pk), password=people.PASSWORD, version=people.model(trial))


def test_a_signature_binds_exactly_what_was_shown(trial: Trial, first: User) -> None:
    version = people.model(trial)
    shown = signed_text(version, as_silent=False)
    with pytest.raises(Conflict, match="not what would be signed"):
        services.sign(by=first, password=people.PASSWORD, version=version, expected_hash=signed_hash(shown + " "))
    approval = services.sign(by=first, password=people.PASSWORD, version=version, expected_hash=signed_hash(shown))
    body = json.loads(approval.signed_text)
    assert approval.signed_hash == hashlib.sha256(shown.encode()).hexdigest()
    assert set(body) >= {"metrics", "gates", "digests", "git_commit", "release_plan", "as_silent", "id", "data_version"}
    assert body["release_plan"] == {"kind": "immediate"}
    assert body["metrics"]["figures"]["auroc"]["value"] == "0.86"
    assert signed_text(version, as_silent=True) != shown
    people.alter(first, printed_name="Married Name")
    assert Approval.objects.get(pk=approval.pk).printed_name == "First Approver"


def test_reject_and_retire_say_why(trial: Trial, first: User, second: User) -> None:
    version = people.model(trial)
    with pytest.raises(Invalid, match="Say why"):
        services.reject(by=first, version=version, reason=" ")
    assert services.reject(by=first, version=version, reason="Drifted test data.").state == "rejected"
    serving = release(people.model(trial), first, second)
    assert services.retire(by=first, version=serving, reason="Recalled.").state == "retired"
    assert selectors.serving(trial) is None
    assert ModelTransition.objects.filter(version=serving).last().reason == "Recalled."  # type: ignore[union-attr]


def once_released(version: ModelVersion, first: User, second: User, *, as_silent: bool) -> ModelVersion:
    """The same retired version with the signatures it once served over."""
    before = force(version, "staging" if version.gates_passed else "candidate")
    release(before, first, second, as_silent=as_silent or not version.gates_passed)
    return force(version, "retired")


def attempt(action: str, version: ModelVersion, first: User, second: User) -> None:
    if action == "stage":
        with transaction.atomic():
            services._move(version, "stage", by=people.SYSTEM, reason="")
    elif action in {"roll_back", "restore", "restore_silent"}:
        if version.state == "retired":
            version = once_released(version, first, second, as_silent=action == "restore_silent")
        with transaction.atomic():
            services._move(version, action, by=Actor.person(first), reason="Because.")
    elif action.startswith("release"):
        release(version, first, second, as_silent=action == "release_silent")
    else:
        {"retire": services.retire, "reject": services.reject}[action](by=first, version=version, reason="Because.")


#: Below its gates a version is never in staging or production: the database says so, see below.
CASES = [(people.GOOD, state) for state in STATES]
CASES += [(people.BELOW, state) for state in STATES if state not in {"staging", "production"}]


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize(("metrics", "state"), CASES)
def test_every_action_in_every_state(
    trial: Trial, first: User, second: User, state: str, action: str, metrics: dict[str, float]
) -> None:
    version = force(people.model(trial, metrics=metrics), state)
    move = BY_MOVE.get((action, state))
    if move is not None and (move.gates is None or move.gates == version.gates_passed):
        attempt(action, version, first, second)
        assert ModelVersion.objects.get(pk=version.pk).state == move.target
    else:
        with pytest.raises(DomainError):
            attempt(action, version, first, second)
        assert ModelVersion.objects.get(pk=version.pk).state == state


def update(version: ModelVersion, **values: Any) -> None:
    """A write that goes round the services, in a transaction that has recorded something about the version."""
    ModelVersion.objects.filter(pk=version.pk).update(**values)


def test_direct_updates_are_refused_and_only_the_trigger_prevents_them(trial: Trial, first: User) -> None:
    version = people.model(trial)
    services.sign(by=first, password=people.PASSWORD, version=version)
    for values in (
        {"state": "production"},
        {"state": "silent"},
        {"metrics": {}},
        {"state": "candidate"},
        {"trained_by": first},
    ):
        with pytest.raises(DatabaseError) as caught, transaction.atomic():
            update(version, **values)
        assert refused_by_trigger(caught.value) is not None
        with without_trigger("registry_modelversion", "guard_move"):
            update(version, **values)


def test_a_version_begins_as_a_candidate(trial: Trial) -> None:
    version = people.model(trial)
    with pytest.raises(DatabaseError), transaction.atomic():
        ModelVersion.objects.create(
            name="m",
            version=9,
            trial=trial,
            state="production",
            gates_passed=True,
            registered_by="x",
            bundle_path="",
            data_version="",
        )
    assert version.state == "staging"


def test_the_database_allows_exactly_the_moves_of_the_table() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT prosrc FROM pg_proc WHERE proname = 'registry_guard_move'")
        (source,) = cursor.fetchone()
    assert set(re.findall(r"'(\w+)>(\w+)'", source)) == {(row.source, row.target) for row in TRANSITIONS}


def test_at_most_one_model_serves_a_trial(trial: Trial, first: User, second: User) -> None:
    release(people.model(trial), first, second)
    other = people.model(trial)
    with pytest.raises(DatabaseError), transaction.atomic():
        force(other, "silent")
    assert ModelVersion.objects.filter(state__in=SERVING).count() == 1


def test_below_its_gates_the_database_keeps_it_out_of_production(trial: Trial) -> None:
    with pytest.raises(DatabaseError), transaction.atomic():
        force(people.model(trial, metrics=people.BELOW), "production")


@pytest.mark.parametrize(
    "changes", [{"metrics": {}}, {"digests": {}}, {"digests": {"a": "short"}}, {"trial": "NONE"}, {"by": None}]
)
def test_a_registration_that_lacks_something_is_refused(trial: Trial, changes: dict[str, Any]) -> None:
    values: dict[str, Any] = {
        "by": people.SYSTEM, "trial": trial, "name": "m", "metrics": people.GOOD, "digests": {"a": "0" * 64}, "data_version": "d",
        "bundle_path": "p",
    }  # fmt: skip
    if "by" in changes:
        changes = {"by": people.person("ana", "coordinator", at=trial)}
    with pytest.raises(DomainError):
        services.register(**{**values, **changes})
    assert not ModelVersion.objects.exists()


def test_who_asked_for_a_training_does_not_sign_for_it(
    trial: Trial, first: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = pipelines.request(by=Actor.person(first), job="train", trial_id=trial.pk)
    registered: dict[str, Any] = {}
    monkeypatch.setattr(
        steps.Bundle, "load_from_lake", lambda *_: SimpleNamespace(digests={}, digest="0", data_version="d")
    )
    monkeypatch.setattr(steps, "lake", lambda: SimpleNamespace(get=lambda _: b"{}"))
    version = people.model(trial)
    monkeypatch.setattr(steps.services, "register", lambda **given: registered.update(given) or version)
    context = {"bundle_path": "p", "trial": trial.pk, "model-name": "m"}
    steps.register(context | {"job_run": str(run.pk)}, lambda *_: None)
    assert registered["trained_by"] == first
    steps.register(context, lambda *_: None)
    assert registered["trained_by"] is None
