"""The trail is inserted into and nothing else; what is not in it does not happen."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction

from apps.accounts.models import ApiKey, RoleGrant, User
from apps.audit import actions, sequencer, services
from apps.audit.actors import Actor
from apps.audit.models import AuditEvent, AuditSequence
from apps.audit.selectors import altered, of_object
from apps.audit.services import Entry, record, record_many
from apps.core import clock, correlation
from apps.core.errors import Conflict, Invalid, NotAudited
from apps.core.ids import earliest
from apps.core.problems import refused_by_trigger
from apps.ingestion.models import DeadLetter
from apps.patients.models import StudyProfileVersion, Trial
from apps.predictions.models import Prediction
from apps.registry.models import Approval, ModelTransition, ModelVersion
from tests.support import people
from tests.support.database import forget_audit, without_trigger

SYSTEM = Actor.process("test")


def note(**changes: Any) -> AuditEvent:
    values: dict[str, Any] = {
        "by": SYSTEM,
        "object_type": "pipelines.JobRun",
        "object_id": "7",
        "action": "job.started",
    }
    return record(**{**values, **changes})


def refused(write: Callable[[], Any], code: str) -> None:
    """The write fails in the database, with that of our codes."""
    with pytest.raises(DatabaseError) as caught, transaction.atomic():
        write()
    problem = refused_by_trigger(caught.value)
    assert problem is not None
    assert problem.code == code


@pytest.mark.django_db
def test_an_event_says_who_what_when_and_hashes_itself() -> None:
    with correlation.bound("from-kafka-1"):
        event = note(trial="DEMO", before={"n": 1}, after={"n": 2.5, "text": "µ\x00"}, reason="because")
    kept = AuditEvent.objects.get(pk=event.pk)
    assert (kept.actor, kept.actor_type, kept.trial, kept.correlation_id) == (
        "system:test",
        "process",
        "DEMO",
        "from-kafka-1",
    )
    assert (kept.before, kept.after) == ({"n": "1"}, {"n": "2.5", "text": "µ␀"})
    assert not altered(kept)
    for field, other in (("actor", "x"), ("after", {"n": "3"}), ("reason", ""), ("object_id", "8"), ("trial", "")):
        changed = AuditEvent.objects.get(pk=event.pk)
        setattr(changed, field, other)
        assert altered(changed), field
    assert of_object("pipelines.JobRun", 7) == [kept]


@pytest.mark.django_db(transaction=True)
def test_outside_a_transaction_nothing_is_recorded() -> None:
    with pytest.raises(NotAudited):
        note()


@pytest.mark.django_db
@pytest.mark.parametrize(
    "changes",
    [
        {"action": "job.danced"},
        {"object_type": "patients.Site"},
        {"object_id": ""},
        {"object_id": "x" * 201},
        {"action": "accounts.signed_in", "object_type": "accounts.User"},
        {"action": "accounts.role_revoked", "object_type": "accounts.RoleGrant", "reason": "  "},
        {"after": {"x": float("nan")}},
    ],
)
def test_an_event_outside_the_table_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        note(**changes)
    assert not AuditEvent.objects.exists()


@pytest.mark.django_db
def test_many_events_are_one_insert(django_assert_num_queries: Any) -> None:
    entries = [
        Entry(by=SYSTEM, action="job.started", object_type="pipelines.JobRun", object_id=str(n)) for n in range(50)
    ]
    with transaction.atomic(), django_assert_num_queries(1):
        events = record_many(entries=entries)
    assert [event.object_id for event in events] == [str(n) for n in range(50)]


@pytest.mark.django_db
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_auditevent SET reason = 'other'",
        "DELETE FROM audit_auditevent",
        "TRUNCATE audit_auditevent CASCADE",
        "UPDATE audit_auditsequence SET seq = 9",
        "DELETE FROM audit_auditsequence",
        "TRUNCATE audit_auditsequence",
    ],
)
def test_the_trail_cannot_be_changed_by_sql_and_only_the_trigger_prevents_it(statement: str) -> None:
    note()
    assert sequencer.sequence() == 1

    def write() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            cursor.execute(statement)

    refused(write, "insert_only")
    table = "audit_auditevent" if "auditevent" in statement else "audit_auditsequence"
    with without_trigger(table, "insert_only", also=("audit_auditsequence",)):
        if statement.startswith("DELETE FROM audit_auditevent"):
            AuditSequence.objects.all()._raw_delete("default")
        write()


@pytest.mark.django_db
def test_the_models_say_the_same() -> None:
    event = note()
    with pytest.raises(Conflict):
        event.save()
    with pytest.raises(Conflict):
        event.delete()


def write_profile() -> None:
    StudyProfileVersion.objects.create(trial_id="DEMO", version=9, body={}, digest="", created_by="x")


def write_dead_letter() -> None:
    DeadLetter.objects.create(topic="t", topic_id="t", partition=0, offset=1, reasons=[], raw=b"")


def write_grant() -> None:
    RoleGrant.objects.create(user=User.objects.get(), role="auditor", granted_by="x")


def write_key() -> None:
    ApiKey.objects.create(
        name="k",
        prefix="p",
        secret_sha256="",
        scopes=[],
        trial_id="DEMO",
        owner=User.objects.get(),
        expires_at=clock.now(),
    )


def change_account() -> None:
    User.objects.update(is_active=False)


def change_password_hash() -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE accounts_user SET password = 'another'")


def write_model() -> None:
    ModelVersion.objects.create(
        name="m", version=1, trial_id="DEMO", gates_passed=False, data_version="", bundle_path="", registered_by="x"
    )


def change_model() -> None:
    ModelVersion.objects.update(state="rejected")


def write_transition() -> None:
    ModelTransition.objects.create(version=ModelVersion.objects.get(), to_state="x", by="x", audit_event=uuid.uuid4())


def write_approval() -> None:
    Approval.objects.create(version=ModelVersion.objects.get(), user=User.objects.get(), signed_text="", signed_hash="")


def write_prediction() -> None:
    row = Prediction(
        trial_id="DEMO",
        patient_id="DEMO/P1",
        as_of=clock.now(),
        level="LOW",
        probability=0.05,
        model_version=ModelVersion.objects.get(),
        silent=False,
        features=b"",
        watermark={},
        profile_version=StudyProfileVersion.objects.get(),
        source="api",
    )
    Prediction.objects.bulk_create([row])


#: Table, write, and the action and type of object that vouch for it.
REGULATED = [
    ("patients_studyprofileversion", write_profile, "patients.profile_published", "patients.StudyProfileVersion"),
    ("ingestion_deadletter", write_dead_letter, "ingestion.dead_letters_kept", "ingestion.DeadLetter"),
    ("accounts_rolegrant", write_grant, "accounts.role_granted", "accounts.RoleGrant"),
    ("accounts_apikey", write_key, "accounts.key_issued", "accounts.ApiKey"),
    ("accounts_user", change_account, "accounts.user_changed", "accounts.User"),
    ("accounts_user", change_password_hash, "accounts.user_changed", "accounts.User"),
    ("registry_modelversion", write_model, "registry.model_registered", "registry.ModelVersion"),
    ("registry_modelversion", change_model, "registry.model_registered", "registry.ModelVersion"),
    ("registry_modeltransition", write_transition, "registry.model_registered", "registry.ModelVersion"),
    ("registry_approval", write_approval, "registry.model_registered", "registry.ModelVersion"),
    ("predictions_prediction", write_prediction, "predictions.predicted", "predictions.Prediction"),
]


@pytest.mark.django_db
@pytest.mark.parametrize(("table", "write", "action", "object_type"), REGULATED)
def test_a_write_without_its_audit_event_is_refused_and_only_the_trigger_prevents_it(
    table: str, write: Callable[[], None], action: str, object_type: str
) -> None:
    people.patient(people.trial("DEMO"))
    people.model(Trial.objects.get())
    people.person("ana")
    forget_audit()
    refused(write, "not_audited")
    note()  # about something else: not enough
    refused(write, "not_audited")
    with without_trigger(table, "audited"):
        write()
    record(by=SYSTEM, action=action, object_type=object_type, object_id="1")
    write()


@pytest.mark.django_db
def test_an_event_that_was_rolled_back_vouches_for_nothing() -> None:
    people.trial("DEMO")
    forget_audit()
    with transaction.atomic():
        record(
            by=SYSTEM, action="patients.profile_published", object_type="patients.StudyProfileVersion", object_id="1"
        )
        transaction.set_rollback(True)
    refused(write_profile, "not_audited")


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("table", "statement"),
    [
        ("patients_studyprofileversion", "UPDATE patients_studyprofileversion SET digest = ''"),
        ("patients_studyprofileversion", "DELETE FROM patients_studyprofileversion"),
        ("ingestion_deadletter", "DELETE FROM ingestion_deadletter"),
        ("accounts_rolegrant", "DELETE FROM accounts_rolegrant"),
        ("accounts_apikey", "DELETE FROM accounts_apikey"),
        ("accounts_user", "DELETE FROM accounts_user"),
        ("registry_modelversion", "DELETE FROM registry_modelversion"),
        ("registry_modeltransition", "UPDATE registry_modeltransition SET reason = 'x'"),
        ("registry_approval", "UPDATE registry_approval SET meaning = 'x'"),
        ("registry_approval", "DELETE FROM registry_approval"),
        ("predictions_prediction", "UPDATE predictions_prediction SET probability = 0.1"),
        ("predictions_prediction", "DELETE FROM predictions_prediction"),
        ("predictions_notreplayable", "DELETE FROM predictions_notreplayable"),
    ],
)
def test_what_is_kept_cannot_be_changed_or_deleted_even_where_audited(table: str, statement: str) -> None:
    for action in actions.ACTIONS.values():
        if "process" in action.by:
            record(by=SYSTEM, action=action.name, object_type=action.object_type, object_id="1", reason="test")

    def write() -> None:
        with connection.cursor() as cursor:
            cursor.execute(statement)

    refused(write, "insert_only")
    keeper = (
        "never_deleted"
        if table in {"ingestion_deadletter", "registry_modelversion"} or "accounts" in table
        else "insert_only"
    )
    with without_trigger(table, keeper):
        write()


@pytest.mark.django_db(transaction=True)
def test_a_failed_audit_keeps_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    from apps.accounts import services

    def fail(**_: Any) -> None:
        raise NotAudited("The trail does not answer.")

    monkeypatch.setattr(services, "record", fail)
    with pytest.raises(NotAudited):
        services.create_user(by=SYSTEM, username="ana", printed_name="Ana", password="a-long-first-password-1")
    assert not User.objects.exists()
    assert not RoleGrant.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_places_have_no_gap_and_the_root_is_that_of_the_leaves_in_order() -> None:
    def write(count: int) -> None:
        for number in range(count):
            with transaction.atomic():
                note(object_id=number)
                if number % 5 == 4:
                    transaction.set_rollback(True)
        connection.close()

    def seal() -> None:
        for _ in range(20):
            sequencer.sequence()
        connection.close()

    threads = [threading.Thread(target=write, args=(25,)) for _ in range(3)]
    threads += [threading.Thread(target=seal) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    while sequencer.sequence():
        pass
    assert list(AuditSequence.objects.values_list("seq", flat=True)) == list(range(60))
    assert AuditEvent.objects.count() == 60
    size, root = sequencer.root()
    assert size == 60
    from apps.audit import tree

    assert root == tree.root([bytes(row.event.leaf_hash) for row in AuditSequence.objects.select_related("event")])


@pytest.mark.django_db
def test_an_event_that_committed_very_late_is_found_by_the_full_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    note()
    assert sequencer.sequence() == 1
    monkeypatch.setattr(services, "uuid7", lambda: earliest(clock.now() - timedelta(days=2)))
    note()
    assert sequencer.sequence() == 0
    assert sequencer.sequence(everything=True) == 1
