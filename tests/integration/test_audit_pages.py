"""The rooms of the audit trail: who enters, what a blinded reader is given, and that exports from the page verify."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import transaction
from django.test import Client
from django.urls import reverse

from apps.audit import checkpoints, signer
from apps.audit.actors import Actor
from apps.audit.models import AuditEvent, AuditSequence
from apps.audit.services import record
from apps.core import clock
from apps.core.lake import lake as the_lake
from apps.patients.models import Patient, Trial
from apps.pipelines.models import JobRun
from tests.support import people
from tests.support.audit_export import fresh_lake, note, verdict

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _lake(lake: str, settings: Any, valkey: Any, tmp_path: Path) -> Iterator[None]:
    fresh_lake(settings, lake)
    settings.VAR_DIR = tmp_path
    yield
    the_lake.cache_clear()


@pytest.fixture
def trial() -> Trial:
    made = people.trial("DEMO")
    for number in range(8):
        note(number)
    note(8, trial="OTHER", reason="about another trial")
    return made


def signed_in(name: str, *roles: str, at: Any, site: Any = None) -> Client:
    client = Client()
    client.force_login(people.person(name, *roles, at=at, site=site))
    return client


def page(client: Client, address: str, status: int = 200, **headers: str) -> str:
    answer = client.get(address, headers=headers)
    body = b"".join(answer.streaming_content) if answer.streaming else answer.content
    assert answer.status_code == status, body.decode()[:2000]
    return body.decode()


def test_only_auditors_and_administrators_read_the_trail(trial: Trial) -> None:
    address = "/trials/DEMO/audit/"
    for role, status in {
        "auditor": 200,
        "administrator": 200,
        "coordinator": 403,
        "ml_engineer": 403,
        "model_approver": 403,
    }.items():
        page(signed_in(role, role, at=trial), address, status)


def test_filters_narrow_and_pages_go_on_by_key(trial: Trial) -> None:
    ana = signed_in("ana", "auditor", at=trial)
    for number in range(60):
        note(100 + number, reason=f"reason {number}")
    first = page(ana, "/trials/DEMO/audit/?action=job.started")
    assert first.count("<tr><td") == 50
    assert "about another trial" not in first
    older = first.partition('rel="next"')[0].rpartition('href="')[2].partition('"')[0].replace("&amp;", "&")
    second = page(ana, f"/trials/DEMO/audit/{older}")
    assert second.count("<tr><td") == 18
    newer = second.partition('rel="prev"')[0].rpartition('href="')[2].partition('"')[0].replace("&amp;", "&")
    assert page(ana, f"/trials/DEMO/audit/{newer}").count("<tr><td") == 50
    for query, count in {
        "reason=reason+59": 1, "object=run+15": 10, "actor=nobody": 0, "type=pipelines.JobRun&object=run+3": 1, "since=2999-01-01T00:00": 0,
        "until=2000-01-01T00:00": 0, "correlation=none": 0,
    }.items():  # fmt: skip
        assert page(ana, f"/trials/DEMO/audit/?{query}").count("<tr><td") == count, query
    assert "is not a time" in page(ana, "/trials/DEMO/audit/?since=yesterday", 422)
    page(ana, "/trials/DEMO/audit/?scope=all", 403)
    assert "about another trial" in page(
        signed_in("eve", "auditor", at=None), "/trials/DEMO/audit/?scope=all&reason=another"
    )


def test_the_page_says_how_the_chain_stands(trial: Trial, settings: Any) -> None:
    ana = signed_in("ana", "auditor", at=trial)
    assert "Nothing signed yet" in page(ana, "/trials/DEMO/audit/")
    checkpoints.seal()
    assert "Sealed and signed" in page(ana, "/trials/DEMO/audit/")
    note(50)
    with clock.fixed(clock.now() + timedelta(minutes=10)):
        assert "events wait to be sealed" in page(ana, "/trials/DEMO/audit/")
    checkpoints.seal()
    origin = checkpoints.newest().origin  # type: ignore[union-attr]
    later = signer.Checkpoint(origin, 999, bytes(32), "2026-01-01T00:00:00Z")
    the_lake().put(signer.MEMORY, signer.signing_key().sign(later.text).encode())
    said = page(ana, "/trials/DEMO/audit/")
    assert "it was rolled back" in said
    assert 'role="alert"' in said


def test_an_export_asked_for_on_the_page_verifies(
    trial: Trial, tmp_path: Path, capsys: Any, django_capture_on_commit_callbacks: Any
) -> None:
    ana = signed_in("ana", "auditor", at=trial)
    with django_capture_on_commit_callbacks(execute=True):
        answer = ana.post("/trials/DEMO/audit/export/")
    assert answer.status_code == 302
    run = JobRun.objects.get(job="audit_export")
    assert run.state == "succeeded", run.error
    told = AuditEvent.objects.get(action="audit.exported")
    assert (told.actor, told.trial, told.after["records"]) == ("ana", "DEMO", run.outcome["records"].__str__())
    address = reverse("portal:audit_export_file", args=["DEMO", run.outcome["export"]])
    assert address in page(ana, "/trials/DEMO/audit/")
    sent = ana.get(address)
    made = tmp_path / "sent.zip"
    made.write_bytes(b"".join(sent.streaming_content))
    status, said = verdict(made, capsys, "--key", page(Client(), "/audit/key/"))
    assert status == 0, said
    assert "records of trial DEMO" in said
    page(signed_in("cora", "coordinator", at=trial), address, 403)
    page(signed_in("adam", "administrator", at=trial), address, 403)
    assert ana.post("/trials/DEMO/audit/export/", {"scope": "all"}).status_code == 403, (
        "the whole needs a grant for every trial"
    )


def test_verify_now_runs_as_a_job_and_is_recorded(trial: Trial, django_capture_on_commit_callbacks: Any) -> None:
    ana = signed_in("ana", "auditor", at=trial)
    checkpoints.seal()
    with django_capture_on_commit_callbacks(execute=True):
        ana.post("/trials/DEMO/audit/verify/")
    run = JobRun.objects.get(job="audit_verify")
    assert run.state == "succeeded", run.error
    assert "all of it holds" in run.outcome["verified"]
    assert AuditEvent.objects.get(action="audit.verified").actor == "ana"


def test_a_table_of_what_the_filters_show_is_safe_to_open_and_recorded(trial: Trial) -> None:
    ana = signed_in("ana", "auditor", at=trial)
    rows = list(csv.DictReader(io.StringIO(page(ana, "/trials/DEMO/audit/events.csv?object=run+3"))))
    assert [row["object_id"] for row in rows] == ["run 3"]
    assert rows[0]["reason"] == "'=2+2"
    told = AuditEvent.objects.get(action="audit.exported")
    assert told.after == {"form": "csv", "filters": {"object": "run 3"}}


def test_an_event_has_a_page_and_a_receipt_that_verifies(trial: Trial, tmp_path: Path, capsys: Any) -> None:
    ana = signed_in("ana", "auditor", at=trial)
    event = AuditEvent.objects.filter(trial="DEMO", action="job.started").first()
    assert event is not None
    assert "Not sealed yet" in page(ana, f"/trials/DEMO/audit/events/{event.pk}/")
    page(ana, f"/trials/DEMO/audit/events/{event.pk}/receipt.json", 404)
    checkpoints.seal()
    assert bytes(event.leaf_hash).hex() in page(ana, f"/trials/DEMO/audit/events/{event.pk}/")
    made = tmp_path / "receipt.json"
    made.write_text(page(ana, f"/trials/DEMO/audit/events/{event.pk}/receipt.json"))
    assert verdict(made, capsys)[0] == 0
    other = AuditEvent.objects.get(trial="OTHER")
    page(ana, f"/trials/DEMO/audit/events/{other.pk}/", 404)


def test_key_and_newest_checkpoint_are_for_everybody(trial: Trial) -> None:
    assert page(Client(), "/audit/key/").strip() == signer.public_key().text
    page(Client(), "/audit/checkpoint/", 404)
    checkpoints.seal()
    assert (
        signer.Checkpoint.parse(signer.public_key().open(page(Client(), "/audit/checkpoint/"))).size
        == AuditSequence.objects.count()
    )


def test_a_review_is_signed_with_the_password_and_bound_to_the_log(trial: Trial) -> None:
    ana = signed_in("ana", "auditor", at=trial)
    checkpoints.seal()
    given = {
        "since": "2026-01-01T00:00",
        "until": clock.now().strftime("%Y-%m-%dT%H:%M"),
        "findings": "All in order.",
        "password": people.PASSWORD,
    }
    for change, status in (
        ({"password": "wrong"}, 403),
        ({"until": "2999-01-01T00:00"}, 422),
        ({"findings": " "}, 422),
        ({"since": ""}, 422),
    ):
        answer = ana.post("/trials/DEMO/audit/review/", given | change)
        assert answer.status_code == status
        assert b'role="alert"' in answer.content
    assert not AuditEvent.objects.filter(action="audit.reviewed").exists()
    assert ana.post("/trials/DEMO/audit/review/", given).status_code == 302
    told = AuditEvent.objects.get(action="audit.reviewed").after
    assert (told["printed_name"], told["findings"], told["log_root"]) == (
        "Ana",
        "All in order.",
        bytes(checkpoints.newest().root).hex(),
    )  # type: ignore[union-attr]
    assert "All in order." in page(ana, "/trials/DEMO/audit/")
    page(signed_in("adam", "administrator", at=trial), "/trials/DEMO/audit/review/", 403)


# --- the pop-up of one record ---------------------------------------------------------------------------------------


def changed(patient: Patient, before: Any, after: Any, reason: str) -> None:
    with transaction.atomic():
        record(
            by=Actor.person(people.User.objects.get(username="cora")),
            action="patients.patient_changed",
            obj=patient,
            before=before,
            after=after,
            reason=reason,
        )


def test_a_coordinator_sees_old_and_new_who_when_and_why_of_their_patients(trial: Trial) -> None:
    here, there = people.site(trial, "S1"), people.site(trial, "S2")
    cora = signed_in("cora", "coordinator", at=trial, site=here)
    patient = people.patient(trial, "P1", at=here)
    people.patient(trial, "P2", at=there)
    changed(patient, {"status": "enrolled"}, {"status": "withdrawn"}, "moved away")
    address = "/trials/DEMO/audit/of/patients.Patient/DEMO/P1/"
    part = page(cora, address, **{"HX-Request": "true"})
    assert "<html" not in part
    for words in ("status", "enrolled", "withdrawn", "cora", "UTC"):
        assert words in part
    whole = page(cora, address)
    assert "<html" in whole
    assert "withdrawn" in whole
    page(cora, "/trials/DEMO/audit/of/patients.Patient/DEMO/P2/", 404 if page_hides(cora) else 403)
    page(cora, "/trials/DEMO/audit/of/patients.Patient/DEMO/P9/", 404)
    page(cora, "/trials/DEMO/audit/of/pipelines.JobRun/run%201/", 403)
    page(cora, f"/trials/DEMO/audit/of/accounts.User/{people.User.objects.get(username='cora').pk}/", 403)


def page_hides(client: Client) -> bool:
    """Whether the patient page of another site says 404 or 403: the pop-up says the same."""
    return client.get("/trials/DEMO/patients/P2/").status_code == 404


def test_a_blinded_reader_gets_the_same_bytes_whichever_arm(trial: Trial) -> None:
    """Two copies of a patient's history that differ by arm alone, in value, in whether it changed, and in the reason."""
    cora = signed_in("cora", "coordinator", at=trial)
    ana = signed_in("ana", "auditor", at=trial)
    site = people.site(trial, "S1")
    patient = people.patient(trial, "P1", at=site)
    address = "/trials/DEMO/audit/of/patients.Patient/DEMO/P1/"
    seen, known = [], []
    common = {"status": "enrolled", "kind": "arm"}
    for arm, before, reason in (("XAN-H", "PBO", "wrongly written as placebo"), ("PBO", "PBO", "on placebo")):
        with transaction.atomic():
            with clock.fixed(clock.now().replace(year=2026, month=1, day=1, hour=0, minute=0, second=0, microsecond=0)):
                changed(
                    patient,
                    common | {"arm_code": before, "new_field": before},
                    common | {"arm_code": arm, "arm_name": arm, "new_field": arm},
                    reason,
                )
            seen.append(page(cora, address, **{"HX-Request": "true"}))
            known.append(page(ana, address, **{"HX-Request": "true"}))
            transaction.set_rollback(True)
    assert seen[0] == seen[1]
    assert "kept from your role" in seen[0]
    assert "XAN-H" in known[0]
    assert known[0] != known[1]


def test_an_auditor_who_is_also_blinded_gets_no_values_and_no_export(trial: Trial) -> None:
    both = signed_in("both", "auditor", "coordinator", at=trial)
    said = page(both, "/trials/DEMO/audit/?object=run+3")
    assert "kept from your role" in said
    assert "=2+2" not in said
    page(both, "/trials/DEMO/audit/?reason=2", 403)
    page(both, "/trials/DEMO/audit/events.csv", 403)
    assert both.post("/trials/DEMO/audit/export/").status_code == 403
    checkpoints.seal()
    event = AuditEvent.objects.filter(trial="DEMO").first()
    assert event is not None
    page(both, f"/trials/DEMO/audit/events/{event.pk}/receipt.json", 403)


@pytest.mark.parametrize("role", ["ml_engineer", "model_approver", "auditor"])
def test_runs_and_models_have_their_history(trial: Trial, role: str) -> None:
    client = signed_in("who", role, at=trial)
    version = people.model(trial)
    said = page(client, f"/trials/DEMO/audit/of/registry.ModelVersion/{version.pk}/", **{"HX-Request": "true"})
    assert "registered the model version" in said
    assert "kept from your role" not in said
    assert reverse("portal:audit_of", args=["DEMO", "registry.ModelVersion", version.pk]) in page(
        client, "/trials/DEMO/model/"
    )
