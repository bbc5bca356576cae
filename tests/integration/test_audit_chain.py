"""The chain under attack and under accident: what the database's owner does, what a crash leaves, what a backup brings back."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps as registry
from django.core.management import CommandError, call_command
from django.db import connection, transaction

from apps.accounts.courses import REQUIRED
from apps.accounts.models import RoleGrant, User
from apps.audit import checkpoints, sequencer, services, signer, tasks, tree, verification
from apps.audit.actors import Actor
from apps.audit.models import AuditCheckpoint, AuditEvent, AuditNode, AuditSequence
from apps.audit.standing import standing
from apps.core import clock
from apps.core.ids import earliest
from apps.core.lake import lake as the_lake
from ml.profile import StudyProfile
from tests.support import people
from tests.support.audit_export import fresh_lake, note, unpacked, verdict

BY = Actor.process("test")
COUNT = 12
PLACES = [0, 6, COUNT - 1]


@pytest.fixture(autouse=True)
def _lake(lake: str, settings: Any, tmp_path: Path) -> Iterator[None]:
    fresh_lake(settings, lake)
    yield
    the_lake.cache_clear()


@pytest.fixture
def folder(settings: Any) -> Path:
    return Path(settings.LAKE_URL.removeprefix("file://"))


def events(count: int, start: int = 0) -> None:
    for number in range(start, start + count):
        note(number)


@contextmanager
def superuser() -> Iterator[Any]:
    """The database's owner, whom no trigger stops."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("SET session_replication_role = replica")
        yield cursor
        cursor.execute("SET session_replication_role = origin")


def roll_back_to(size: int) -> None:
    """An older backup: what was sealed at ``size`` and later is gone, with its checkpoints."""
    with superuser() as cursor:
        cursor.execute(
            "DELETE FROM audit_auditevent WHERE id NOT IN (SELECT event_id FROM audit_auditsequence WHERE seq < %s)",
            [size],
        )
        cursor.execute("DELETE FROM audit_auditsequence WHERE seq >= %s", [size])
        cursor.execute("DELETE FROM audit_auditcheckpoint WHERE size > %s", [size])


# --- sealing and signing --------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_each_pass_signs_what_it_sealed_and_remembers_it_outside() -> None:
    assert checkpoints.seal() is None, "of nothing nothing is signed"
    events(5)
    first = checkpoints.seal()
    assert first is not None
    assert checkpoints.seal() == first, "nothing new, nothing signed"
    events(4, 5)
    second = checkpoints.seal()
    assert second is not None
    leaves = list(sequencer.leaves())
    assert (first.size, bytes(first.root)) == (5, tree.root(leaves[:5]))
    assert (second.size, bytes(second.root)) == (9, tree.root(leaves))
    remembered = signer.memory()
    assert remembered is not None
    assert (remembered.checkpoint.size, remembered.note) == (9, second.note)
    proof = tree.consistency_proof(5, 9, checkpoints.roots(second.origin))
    assert tree.verify_consistency(5, 9, proof, bytes(first.root), bytes(second.root))


@pytest.mark.django_db
def test_a_checkpoint_goes_on_from_the_last_and_reads_only_new_leaves(
    django_assert_max_num_queries: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    events(6)
    checkpoints.seal()
    events(1, 6)
    asked: list[int] = []
    leaves = sequencer.leaves
    monkeypatch.setattr(sequencer, "leaves", lambda *, start=0: asked.append(start) or leaves(start=start))
    with django_assert_max_num_queries(25):
        checkpoints.seal()
    assert asked == [6]


@pytest.mark.django_db
def test_proofs_of_a_long_log_read_kept_nodes(django_assert_max_num_queries: Any) -> None:
    entries = [
        services.Entry(by=BY, action="job.started", object_type="pipelines.JobRun", object_id=str(number))
        for number in range(1500)
    ]
    with transaction.atomic():
        services.record_many(entries=entries[:700])
    checkpoints.seal()
    with transaction.atomic():
        services.record_many(entries=entries[700:])
    made = checkpoints.seal()
    assert made is not None
    assert set(AuditNode.objects.values_list("level", "place")) == {(8, place) for place in range(1500 // 256)}
    leaves = list(sequencer.leaves())
    for seq in (0, 255, 256, 777, 1499):
        with django_assert_max_num_queries(16):
            proof = checkpoints.proof_of(seq, made)
        assert proof == tree.inclusion_proof(seq, 1500, tree.roots_of(leaves))


@pytest.mark.django_db
def test_the_first_checkpoint_of_an_hour_is_an_anchor_that_is_never_replaced(folder: Path) -> None:
    now = clock.now().replace(minute=30)
    for minutes in (0, 10, 40, 45):
        with clock.fixed(now + timedelta(minutes=minutes)):
            events(1, minutes)
            checkpoints.seal()
    newest = checkpoints.newest()
    assert newest is not None
    assert [one.checkpoint.size for one in signer.anchors(newest.origin)] == [1, 3]
    assert verification.verify(by=BY).anchors == 2


@pytest.mark.django_db(transaction=True)
def test_two_sequencers_and_four_writers_make_one_log() -> None:
    def write(start: int) -> None:
        for number in range(15):
            with transaction.atomic():
                note(start + number)
                transaction.set_rollback(number % 5 == 4)
        connection.close()

    failed: list[BaseException] = []

    def seal() -> None:
        try:
            for _ in range(12):
                checkpoints.seal()
        except BaseException as error:  # noqa: BLE001 - told by the test's own thread
            failed.append(error)
        connection.close()

    threads = [threading.Thread(target=write, args=(100 * n,)) for n in range(4)] + [
        threading.Thread(target=seal) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    checkpoints.seal()
    assert failed == []
    assert list(AuditSequence.objects.values_list("seq", flat=True)) == list(range(48))
    assert not AuditEvent.objects.filter(action="audit.sealing_refused").exists()
    assert verification.verify(by=BY).problems == []


# --- accidents ------------------------------------------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.parametrize("place", ["after sequencing", "after the lake", "before the memory"])
def test_a_crash_between_any_two_steps_is_mended_by_the_next_pass(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    events(3)
    checkpoints.seal()
    events(2, 3)

    def crash(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        if place == "after sequencing":
            patch.setattr(signer, "sign", crash)
        elif place == "after the lake":
            patch.setattr(AuditCheckpoint.objects, "create", crash)
        else:
            patch.setattr(type(the_lake()), "put", crash)
        with pytest.raises(KeyboardInterrupt):
            checkpoints.seal()
    events(2, 5)
    made = checkpoints.seal()
    assert made is not None
    assert (made.size, bytes(made.root)) == (7, tree.root(sequencer.leaves()))
    assert verification.verify(by=BY).problems == []


@pytest.mark.django_db
def test_a_clock_set_back_loses_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Any) -> None:
    events(2)
    checkpoints.seal()
    monkeypatch.setattr(services, "uuid7", lambda: earliest(clock.now() - timedelta(hours=3)))
    with clock.fixed(clock.now() - timedelta(hours=3)):
        note(2)
    monkeypatch.undo()
    checkpoints.seal(everything=True)
    assert AuditSequence.objects.count() == 3
    found = verification.verify(by=BY).problems
    assert len(found) == 1
    assert "Record 2 " in found[0]
    assert "long before records sealed earlier" in found[0]
    status, said = verdict(unpacked(tmp_path), capsys)
    assert status == 0, "a clock is no forgery"
    assert "a clock set back?" in said


@pytest.mark.django_db
def test_what_was_rolled_back_left_no_event() -> None:
    with transaction.atomic():
        note(1)
        transaction.set_rollback(True)
    assert checkpoints.seal() is None
    assert not AuditEvent.objects.exists()


# --- attacks on the database ----------------------------------------------------------------------------------------

Attack = Callable[[Any, int], None]


def edit(cursor: Any, seq: int) -> None:
    cursor.execute(
        "UPDATE audit_auditevent SET actor = 'x' WHERE id = (SELECT event_id FROM audit_auditsequence WHERE seq = %s)",
        [seq],
    )


def edit_and_reseal(cursor: Any, seq: int) -> None:
    event = AuditSequence.objects.get(seq=seq).event
    event.actor = "x"
    leaf = services.leaf_of(event)
    edit(cursor, seq)
    cursor.execute("UPDATE audit_auditevent SET leaf_hash = %s WHERE id = %s", [leaf, event.pk])
    cursor.execute("UPDATE audit_auditsequence SET leaf_hash = %s WHERE seq = %s", [leaf, seq])


def delete(cursor: Any, seq: int) -> None:
    cursor.execute(
        "DELETE FROM audit_auditevent WHERE id = (SELECT event_id FROM audit_auditsequence WHERE seq = %s)", [seq]
    )
    cursor.execute("DELETE FROM audit_auditsequence WHERE seq = %s", [seq])


def delete_and_renumber(cursor: Any, seq: int) -> None:
    delete(cursor, seq)
    cursor.execute("UPDATE audit_auditsequence SET seq = -seq WHERE seq > %s", [seq])
    cursor.execute("UPDATE audit_auditsequence SET seq = -seq - 1 WHERE seq < 0")


def swap(cursor: Any, seq: int) -> None:
    other = seq + 1 if seq + 1 < COUNT else seq - 1
    for old, new in ((seq, -1), (other, seq), (-1, other)):
        cursor.execute("UPDATE audit_auditsequence SET seq = %s WHERE seq = %s", [new, old])


def cut(cursor: Any, seq: int) -> None:
    cursor.execute(
        "DELETE FROM audit_auditevent WHERE id IN (SELECT event_id FROM audit_auditsequence WHERE seq >= %s)", [seq]
    )
    cursor.execute("DELETE FROM audit_auditsequence WHERE seq >= %s", [seq])
    cursor.execute("DELETE FROM audit_auditcheckpoint WHERE size > %s", [seq])


#: The attack, and what the verification says; {seq} is the record.
ATTACKS: dict[str, tuple[Attack, str]] = {
    "edited": (edit, "Record {seq} ("),
    "edited and resealed": (edit_and_reseal, "are not those that were signed"),
    "deleted": (delete, "the records {seq} to {seq} are missing"),
    "deleted and renumbered": (delete_and_renumber, f"The records from {COUNT - 1} on are missing"),
    "swapped": (swap, "are not those that were signed"),
    "cut": (cut, "The records from {seq} on are missing"),
}


@pytest.mark.django_db
@pytest.mark.parametrize("seq", PLACES)
@pytest.mark.parametrize("attack", ATTACKS)
def test_whatever_the_databases_owner_does_is_found(attack: str, seq: int) -> None:
    events(COUNT)
    checkpoints.seal()
    assert verification.verify(by=BY).problems == []
    do, words = ATTACKS[attack]
    with superuser() as cursor:
        do(cursor, seq)
        cursor.execute("DELETE FROM audit_auditevent WHERE action = 'audit.verified'")
    found = verification.verify(by=BY).problems
    words = (
        words.format(seq=seq) if attack != "deleted" or seq < COUNT - 1 else f"The records from {seq} on are missing"
    )
    assert any(words in one for one in found), found
    assert AuditEvent.objects.filter(action="audit.damage_found").exists()
    assert standing().tone == "bad"


@pytest.mark.django_db
def test_an_event_slipped_in_unsealed_is_sealed_but_an_old_seal_cannot_be_slipped_in() -> None:
    events(4)
    checkpoints.seal()
    events(1, 4)
    with superuser() as cursor:
        cursor.execute("UPDATE audit_auditsequence SET seq = seq + 100 WHERE seq >= 2")
        cursor.execute("UPDATE audit_auditsequence SET seq = seq - 99 WHERE seq >= 100")
        cursor.execute(
            "INSERT INTO audit_auditsequence (seq, event_id, leaf_hash, sequenced_at) "
            "SELECT 2, id, leaf_hash, now() FROM audit_auditevent WHERE object_id = 'run 4'"
        )
    found = verification.verify(by=BY).problems
    assert any("are not those that were signed" in one for one in found), found


@pytest.mark.django_db
def test_a_checkpoint_forged_in_the_database_is_refused() -> None:
    events(4)
    made = checkpoints.seal()
    assert made is not None
    with superuser() as cursor:
        cursor.execute("UPDATE audit_auditcheckpoint SET root = %s", [bytes(32)])
    found = verification.verify(by=BY).problems
    assert any("says something else than its signed note" in one for one in found), found
    assert standing().tone == "bad"
    with superuser() as cursor:
        cursor.execute("UPDATE audit_auditcheckpoint SET note = replace(note, %s, %s)", ["\n4\n", "\n5\n"])
    assert any("is not signed by the key" in one for one in verification.verify(by=BY).problems)


@pytest.mark.django_db
def test_a_row_changed_behind_the_trails_back_is_found() -> None:
    from apps.accounts import services as accounts

    ana = accounts.create_user(by=BY, username="ana", printed_name="Ana", password="a-long-first-password-1")
    people.model(people.trial("DEMO"))
    checkpoints.seal()
    assert verification.verify(by=BY).problems == []
    with superuser() as cursor:
        cursor.execute("UPDATE accounts_user SET printed_name = 'Eva'")
        cursor.execute("UPDATE registry_modelversion SET state = 'production'")
    found = verification.verify(by=BY).problems
    assert len(found) == 2
    assert f"accounts.User {ana.pk}: printed_name is 'Eva'" in found[0]
    assert "state is 'production'" in found[1]
    assert User.objects.get().printed_name == "Eva"


def a_house() -> None:
    """A row of each model that verification compares, made by the services."""
    from apps.accounts import keys, training
    from apps.accounts import services as accounts
    from apps.patients import services as patients
    from apps.registry import services as versions

    made = patients.create_study(by=BY, name="Study", profile=StudyProfile(trial_id="DEMO", version=1), reason="first")
    names = {"username": "ana", "printed_name": "Ana", "password": people.PASSWORD, "identity_verified": True}
    ana = accounts.create_user(by=BY, **names)
    User.objects.update(must_change_password=False)
    for course in REQUIRED["model_approver"]:
        day = clock.now().date() - timedelta(days=3)
        training.record_training(by=BY, user=ana, course=course, completed_on=day, evidence="file 1")
    accounts.grant_role(by=BY, user=ana, role="model_approver", trial=made)
    patients.create_arm(by=BY, trial=made, code="A", name="Active")
    patients.create_site(by=BY, trial=made, site_id="S1", name="North")
    until = clock.now() + timedelta(days=30)
    keys.issue_key(by=BY, owner=ana, name="device", trial=made, scopes=["predict"], expires_at=until)
    version = people.model(made)
    versions.sign(by=User.objects.get(), password=people.PASSWORD, version=version)


#: Model, and what its owner changes behind the trail's back.
CHANGED = {
    "accounts.User": "email = 'eva@example.org'",
    "accounts.RoleGrant": "role = 'administrator'",
    "accounts.TrainingRecord": "expires_on = '2099-01-01'",
    "accounts.ApiKey": "expires_at = '2099-01-01T00:00:00Z'",
    "patients.Trial": "name = 'Another'",
    "patients.StudyProfileVersion": 'body = body || \'{"blinded": false, "minimum_auroc": 0.5}\'',
    "patients.Site": "timezone = 'Europe/Rome'",
    "patients.Arm": "name = 'Placebo'",
    "registry.ModelVersion": "metrics = '{}'",
    "registry.Approval": "printed_name = 'Eva'",
}


@pytest.mark.django_db
@pytest.mark.parametrize("model", verification.IMAGES)
def test_each_kind_of_row_is_held_against_the_trail(model: str) -> None:
    a_house()
    checkpoints.seal()
    assert verification.verify(by=BY).problems == []
    table = registry.get_model(model)._meta.db_table
    assert registry.get_model(model)._default_manager.count()
    with superuser() as cursor:
        cursor.execute(f"UPDATE {table} SET {CHANGED[model]}")
    found = verification.verify(by=BY).problems
    column = CHANGED[model].partition(" ")[0]
    assert found
    assert all(one.startswith(f"{model} ") and f": {column} is " in one for one in found), found


@pytest.mark.django_db
def test_a_row_that_nobody_made_is_found() -> None:
    """An account put into the table, with a role of its own: the trail tells of neither."""
    a_house()
    checkpoints.seal()
    with superuser() as cursor:
        ghost = people.person("ghost")
        RoleGrant.objects.create(user=ghost, role="auditor", granted_by="nobody")
        cursor.execute("SELECT 1")
    found = verification.verify(by=BY).problems
    assert sorted(one.partition(" ")[0] for one in found) == ["accounts.RoleGrant", "accounts.User"]
    assert all(one.endswith("the trail tells of no such row.") for one in found)


@pytest.mark.django_db
def test_the_command_says_what_holds_and_ends_badly_where_something_does_not(capsys: Any) -> None:
    events(3)
    checkpoints.seal()
    call_command("verify_audit")
    assert "all of it holds" in capsys.readouterr().out
    with superuser() as cursor:
        edit(cursor, 1)
    with pytest.raises(CommandError, match="1 problems"):
        call_command("verify_audit")
    assert "Record 1 (" in capsys.readouterr().out


# --- restored, rolled back, other keys ------------------------------------------------------------------------------


@pytest.mark.django_db
def test_an_older_backup_is_never_signed_again() -> None:
    """It is refused, recorded once and shown; new records are sealed meanwhile, and none of it is signed."""
    events(9)
    checkpoints.seal()
    roll_back_to(5)
    assert standing().tone == "bad"
    with pytest.raises(signer.Refused, match="it was rolled back"):
        checkpoints.seal()
    for _ in range(3):
        assert tasks.sequence() == 0
    assert AuditEvent.objects.filter(action="audit.sealing_refused").count() == 1
    events(9, 20)  # grown past what had been signed: still another history
    with pytest.raises(signer.Refused, match="are not those that were signed"):
        checkpoints.seal()
    assert [one.after["code"] for one in AuditEvent.objects.filter(action="audit.sealing_refused").order_by("id")] == [
        "rolled_back",
        "history_differs",
    ]
    assert signer.memory().checkpoint.size == 9  # type: ignore[union-attr]
    assert any("0 to 8 are not those" in one for one in verification.verify(by=BY).problems)


@pytest.mark.django_db
def test_after_an_inquiry_a_new_log_begins_and_says_what_was_before(tmp_path: Path, capsys: Any) -> None:
    events(9)
    old = checkpoints.seal()
    roll_back_to(5)
    with pytest.raises(CommandError):
        call_command("audit_resume", reason=" ")
    call_command("audit_resume", reason="backup of Sunday restored, J. Doe looked into it")
    new = checkpoints.newest()
    assert old is not None
    assert new is not None
    assert (new.origin[:-1], new.origin[-1], old.origin[-1]) == (old.origin[:-1], "2", "1")
    told = AuditEvent.objects.get(action="audit.resumed")
    assert (told.before, told.reason[:6]) == ({"origin": old.origin, "size": "9"}, "backup")
    events(3, 30)
    checkpoints.seal()
    assert verification.verify(by=BY).problems == []
    assert standing().tone == "good"
    kept = tmp_path / "old.note"
    kept.write_text(old.note)
    export = unpacked(tmp_path)
    assert verdict(export, capsys)[0] == 0
    assert "one was broken off" in verdict(export, capsys, "--checkpoint", str(kept))[1]


@pytest.mark.django_db
def test_a_signer_without_memory_signs_nothing(folder: Path) -> None:
    events(3)
    checkpoints.seal()
    (folder / signer.MEMORY).unlink()
    events(1, 3)
    assert checkpoints.seal() is not None, "the newest anchor is memory too"
    events(1, 4)
    shutil.rmtree(folder / "audit")
    with pytest.raises(signer.Refused, match="has forgotten"):
        checkpoints.seal()
    assert standing().tone == "bad"


@pytest.mark.django_db
def test_another_key_goes_on_only_as_a_new_log(settings: Any) -> None:
    events(3)
    checkpoints.seal()
    settings.AUDIT_SIGNING_KEY = "HyAdHhsaGRgXFhUUExIREA8ODQwLCgkIBwYFBAMCAQA="
    events(1, 3)
    with pytest.raises(signer.Refused, match="not signed by the key it has"):
        checkpoints.seal()
    call_command("audit_resume", reason="the key was renewed as planned")
    assert checkpoints.newest().origin.endswith("/2")  # type: ignore[union-attr]
    assert verification.verify(by=BY).problems == []


@pytest.mark.django_db
@pytest.mark.parametrize("table", ["audit_auditcheckpoint", "audit_auditnode"])
@pytest.mark.parametrize("statement", ["UPDATE {} SET origin = ''", "DELETE FROM {}", "TRUNCATE {}"])
def test_checkpoints_and_nodes_are_only_inserted(table: str, statement: str) -> None:
    from django.db import DatabaseError

    with (
        pytest.raises(DatabaseError, match="written once and kept"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement.format(table))


@pytest.mark.django_db
def test_a_refusal_is_recorded_again_after_a_new_log() -> None:
    events(2)
    checkpoints.seal()
    roll_back_to(1)
    for _ in range(2):
        with pytest.raises(signer.Refused):
            checkpoints.seal()
    checkpoints.resume(by=BY, reason="looked into")
    roll_back_to(1)
    with pytest.raises(signer.Refused):
        checkpoints.seal()


@pytest.mark.django_db
def test_a_checkpoint_forged_beyond_the_signers_memory_lends_it_no_history() -> None:
    """The owner rewrites a record and plants a checkpoint that already counts the next one: nothing is signed on it."""
    events(4)
    made = checkpoints.seal()
    assert made is not None
    events(1, 4)
    sequencer.sequence()
    with superuser() as cursor:
        edit_and_reseal(cursor, 1)
        forged = tree.CompactRange()
        for leaf in sequencer.leaves():
            forged.append(leaf)
        AuditCheckpoint.objects.create(
            origin=made.origin, size=5, root=forged.root(), frontier=b"".join(forged.hashes), at=made.at, note="x"
        )
    events(1, 5)
    with pytest.raises(signer.Refused, match="it was forged, or the lake was rolled back"):
        checkpoints.seal()
    remembered = signer.memory()
    assert remembered is not None
    assert remembered.checkpoint.size == 4
