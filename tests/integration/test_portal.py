"""The pages against a real database: who sees what, in how many queries, and that the arm never shows."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from apps.accounts.permissions import PERMISSIONS
from apps.audit.models import AuditEvent
from apps.core import clock
from apps.patients.models import Patient
from apps.pipelines.models import JobRun
from apps.portal.views.base import PUBLIC, SIGNED_IN, PortalView
from ml.profile import StudyProfile
from tests.support import clinic, people

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 10, 13, 12, 34, 56, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _now(valkey: Any) -> Iterator[None]:
    with clock.fixed(NOW):
        yield


@pytest.fixture
def ward() -> clinic.Ward:
    return clinic.ward(NOW, patients=14, days=2)


def signed_in(username: str, *roles: str, at: Any, site: Any = None) -> Client:
    client = Client()
    client.force_login(people.person(username, *roles, at=at, site=site))
    return client


def views() -> list[Any]:
    found: list[Any] = []

    def walk(patterns: list[URLPattern | URLResolver], namespace: str) -> None:
        for one in patterns:
            if isinstance(one, URLResolver):
                walk(one.url_patterns, one.namespace or namespace)
            elif namespace == "portal":
                found.append(one.callback)

    walk(get_resolver().url_patterns, "")
    return found


def test_every_view_says_which_permission_it_needs() -> None:
    declared = {getattr(view, "view_class", None): getattr(view.view_class, "action", "") for view in views()}
    assert len(declared) >= 15
    assert {action for action in declared.values() if action}
    assert all(action in {PUBLIC, SIGNED_IN, *PERMISSIONS} for action in declared.values())
    public = {view.__name__ for view, action in declared.items() if action == PUBLIC}
    assert public == {"SignIn", "SignOut", "AuditKey", "AuditCheckpointNote"}


def test_a_view_without_a_permission_cannot_be_written() -> None:
    with pytest.raises(TypeError, match="must say which permission"):
        type("Forgotten", (PortalView,), {})


ADDRESSES = (
    ("board", ()), ("board_changes", ()), ("patient", ("701-1015",)), ("patient_now", ("701-1015",)), ("patient_panels", ("701-1015",)),
    ("model", ()), ("runs", ()), ("runs_part", ()), ("imports", ()),
)  # fmt: skip


def test_nobody_sees_a_page_without_signing_in_or_without_a_role(ward: clinic.Ward) -> None:
    stranger = signed_in("stranger", at=None)
    for name, rest in ADDRESSES:
        refuses(reverse(f"portal:{name}", args=["DEMO", *rest]), stranger)


def refuses(address: str, stranger: Client) -> None:
    answer = Client().get(address)
    assert answer.status_code == 302
    assert answer["Location"].startswith("/sign-in/?next=")
    refused = stranger.get(address)
    assert refused.status_code == 403
    assert b"Ask an administrator" in refused.content
    assert "no-store" in refused["Cache-Control"]


def test_an_engineer_sees_every_page_under_a_strict_policy(ward: clinic.Ward) -> None:
    meg = signed_in("meg", "ml_engineer", at=ward.trial)
    for name, rest in ADDRESSES:
        strict(meg.get(reverse(f"portal:{name}", args=["DEMO", *rest])))


def strict(answer: Any) -> None:
    assert answer.status_code == 200
    policy = answer["Content-Security-Policy"]
    assert "unsafe-inline" not in policy
    assert "unsafe-eval" not in policy
    page = answer.content.decode()
    assert not re.search(r"<[^>]+\sstyle=", page)
    assert not re.search(r"<script(?![^>]*\ssrc=)", page)
    assert not re.search(r"<[^>]+\son[a-z]+=", page)


def test_a_coordinator_sees_their_site_only(ward: clinic.Ward) -> None:
    client = signed_in("cora", "coordinator", at=ward.trial, site=ward.sites[0])
    page = client.get("/trials/DEMO/").content.decode()
    assert "701-1015" in page
    assert "704-1016" not in page
    assert client.get("/trials/DEMO/?site=704").content.decode().count("strip-item") == 0
    assert client.get("/trials/DEMO/patients/701-1015/").status_code == 200
    assert client.get("/trials/DEMO/patients/704-1016/").status_code == 404, "not even that there is one"
    assert client.get("/trials/DEMO/runs/").status_code == 403
    assert client.get("/trials/OTHER/").status_code == 403
    assert client.get("/trials/DEMO/patients/nobody/").status_code == 404


def test_the_board_costs_the_same_number_of_queries_however_many_patients() -> None:
    def count(patients: int) -> int:
        with transaction.atomic():
            made = clinic.ward(NOW, patients=patients, days=2)
            client = signed_in(f"cora{patients}", "coordinator", at=made.trial)
            client.get("/trials/DEMO/")
            with CaptureQueriesContext(
                connection,
            ) as queries:
                assert client.get("/trials/DEMO/").status_code == 200
            transaction.set_rollback(True)
        return len(queries)

    few, many = count(3), count(30)
    assert few == many
    assert many <= 22


def test_the_patient_page_costs_the_same_number_of_queries_however_long_the_record(ward: clinic.Ward) -> None:
    client = signed_in("cora", "coordinator", at=ward.trial)
    counts = []
    for patient, zoom in (("701-1015", "1d"), ("701-1015", "all"), ("708-1026", "5d")):
        with CaptureQueriesContext(connection) as queries:
            assert client.get(f"/trials/DEMO/patients/{patient}/?zoom={zoom}").status_code == 200
        counts.append(len(queries))
    assert max(counts) - min(counts) <= 2, counts
    assert max(counts) <= 36, counts


def test_filters_stand_in_the_address_and_the_lanes_keep_their_place(ward: clinic.Ward) -> None:
    client = signed_in("rev", "safety_reviewer", at=ward.trial)
    page = client.get("/trials/DEMO/?q=1015").content.decode()
    assert page.count('class="strip-item"') == 1
    assert "701-1015" in page
    assert [level for level in ("critical", "high", "moderate", "low", "indeterminate") if f'id="lane-{level}"' in page] == [
        "critical", "high", "moderate", "low", "indeterminate",
    ]  # fmt: skip
    nobody = client.get("/trials/DEMO/?q=zzz").content.decode()
    assert "Nobody matches." in nobody
    assert client.get("/trials/DEMO/?q=%25").content.decode().count('class="strip-item"') == 0, (
        "a wildcard is a letter like any other"
    )
    ordered = re.findall(r'id="row-(\S+?)"', client.get("/trials/DEMO/?sort=subject").content.decode())
    assert len(ordered) == 14


def test_changes_hold_only_what_was_scored_since(ward: clinic.Ward) -> None:
    client = signed_in("cora", "coordinator", at=ward.trial)
    profile = StudyProfile.from_json(ward.trial.profiles.get().body)
    low = ward.patients[12]
    with clock.fixed(NOW + timedelta(seconds=30)):
        since = (NOW + timedelta(seconds=6)).isoformat()
        quiet = client.get("/trials/DEMO/changes/", {"since": since}).content.decode()
        assert "strip-item" not in quiet
        new = clinic.prediction(ward, low, 0.81, NOW + timedelta(seconds=20), profile)
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL session_replication_role = replica")
        new.save(force_insert=True)
        news = client.get("/trials/DEMO/changes/", {"since": since}).content.decode()
    assert news.count('class="strip-item"') == 1
    assert 'data-lane="critical"' in news
    assert low.patient_id in news
    assert re.search(r'data-count-of="critical">2<', news)
    assert client.get("/trials/DEMO/changes/", {"since": "not a time"}).status_code == 200


def test_an_arm_never_shows_to_who_is_blinded() -> None:
    """Two worlds that differ only by who got what: a blinded person gets the same bytes."""

    def pages(arms: tuple[str, str]) -> dict[str, bytes]:
        with transaction.atomic():
            random.seed(7)
            made = clinic.ward(NOW, patients=7, arms=arms)
            with connection.cursor() as cursor:
                cursor.execute("SET LOCAL session_replication_role = replica")
                cursor.execute("UPDATE predictions_prediction SET id = md5(patient_id || as_of::text)::uuid")
            client = signed_in("cora", "coordinator", at=made.trial)
            found = {}
            for name, rest in ADDRESSES[:5]:
                address = reverse(f"portal:{name}", args=["DEMO", *rest])
                content = client.get(address).content
                found[name] = re.sub(rb'csrfmiddlewaretoken" value="[^"]+"|X-CSRFToken": "[^"]+"', b"token", content)
            transaction.set_rollback(True)
        return found

    one, other = pages(("Placebo", "Active 80 mg")), pages(("Active 80 mg", "Placebo"))
    for name, content in one.items():
        assert content == other[name], f"{name} differs between the arms"
        assert b"Placebo" not in content
        assert b"Active" not in content
        assert b"80 mg" not in content
        assert len(content) > 500


def test_who_is_unblinded_sees_the_arm(ward: clinic.Ward) -> None:
    client = signed_in("meg", "ml_engineer", at=ward.trial)
    page = client.get("/trials/DEMO/patients/701-1015/").content.decode()
    assert "Placebo" in page
    both = signed_in("both", "ml_engineer", "coordinator", at=ward.trial)
    assert "Placebo" not in both.get("/trials/DEMO/patients/701-1015/").content.decode()


def test_a_silent_model_is_labelled_and_a_finished_trial_says_so() -> None:
    made = clinic.ward(NOW, patients=3, silent=True)
    client = signed_in("cora", "coordinator", at=made.trial)
    for address in ("/trials/DEMO/", "/trials/DEMO/patients/701-1015/", "/trials/DEMO/model/"):
        assert "Research only" in client.get(address).content.decode(), address
    people.publish(made.trial, simulated=True, live=False, replay_date="2026-10-12T12:00:00+00:00")
    page = client.get("/trials/DEMO/").content.decode()
    assert "Finished trial" in page
    assert "12 Oct 2026 12:00" in page
    assert "data-socket" not in page


def test_a_finished_trial_counts_from_each_patients_own_end() -> None:
    """Two years after the last record nothing is "731 days old", and the pages show the record, not the empty present."""
    made = clinic.ward(NOW, patients=14, days=2)
    people.publish(made.trial, simulated=True, live=False, replay_date="2028-10-13T00:00:00+00:00")
    client = signed_in("cora", "coordinator", at=made.trial)
    board = client.get("/trials/DEMO/").content.decode()
    text = " ".join(re.sub(r"<[^>]+>", " ", board).split())

    assert "4 of 14 patients were high or critical at the last score" in text
    assert "2 patients could not be scored then." in text
    assert "Score 13 Oct 2026" in text
    assert "Own last 60 days" in text
    assert not re.search(r"7\d\d d", text)
    assert "Measure heart rate." not in text, "nobody can be measured any more"
    page = client.get("/trials/DEMO/patients/701-1015/").content.decode()
    text = " ".join(re.sub(r"<[^>]+>", " ", page).split())
    assert "Last study day" in text
    assert "the trial has ended" in text
    assert "The score before" in text
    assert not re.search(r"7\d\d d old", text)
    assert "No vital signs in this window" not in text
    news2 = re.search(r'aria-label="NEWS2[^"]*"', page)
    assert news2 is not None
    assert "nothing measured" not in news2[0]


def test_an_import_without_times_shows_no_times(ward: clinic.Ward) -> None:
    """The importer takes a bare date for noon; nobody wrote that noon down."""
    client = signed_in("rev", "safety_reviewer", at=ward.trial)
    noon = datetime(2026, 10, 12, 12, tzinfo=UTC)
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        for producer, day, said in (("sdtm-import", noon, False), ("edc", noon, True)):
            cursor.execute(
                "UPDATE patients_adverseevent SET producer = %s, event_time = %s, end_time = NULL WHERE patient_id = %s",
                [producer, day, ward.patients[0].pk],
            )
            page = client.get("/trials/DEMO/patients/701-1015/?zoom=all").content.decode()
            events = page[page.index('id="panel-events"') :]
            assert "12 Oct 2026" in events
            assert ("12 Oct 2026 14:00" in events) is said, producer


def test_doses_of_another_window_are_not_counted(ward: clinic.Ward) -> None:
    client = signed_in("cora", "coordinator", at=ward.trial)

    def taken(zoom: str) -> int:
        page = client.get(f"/trials/DEMO/patients/701-1015/?zoom={zoom}").content.decode()
        found = re.search(r"(\d+) study doses? taken", page)
        return int(found[1]) if found else 0

    assert taken("1d") <= 2
    assert taken("1d") <= taken("all")


def test_one_changes_ones_own_password_and_only_with_the_old_one(ward: clinic.Ward) -> None:
    user = people.person("cora", "coordinator", at=ward.trial, must_change_password=True)
    here, elsewhere = Client(), Client()
    elsewhere.force_login(user)
    answer = here.post("/sign-in/", {"username": "cora", "password": people.PASSWORD})
    assert answer["Location"] == "/password/", "a given password is changed first"
    assert "Choose your own password" in here.get("/password/").content.decode()
    new = "a quiet ward at night"
    for given, status, said in (
        ({"old": "wrong", "new": new, "again": new}, 403, "The old password is wrong."),
        ({"old": people.PASSWORD, "new": new, "again": new + "!"}, 422, "not the same"),
        ({"old": people.PASSWORD, "new": "short", "again": "short"}, 422, "12"),
        ({"old": people.PASSWORD}, 422, "Fill in all three fields."),
    ):
        answer = here.post("/password/", given)
        assert answer.status_code == status, said
        assert said in answer.content.decode()
        assert new not in answer.content.decode()
    assert here.post("/password/", {"old": people.PASSWORD, "new": new, "again": new}).status_code == 302
    assert here.get("/trials/DEMO/").status_code == 200, "this session goes on"
    assert elsewhere.get("/trials/DEMO/").status_code == 302, "every other has ended"
    user.refresh_from_db()
    assert user.check_password(new)
    assert not user.must_change_password
    assert AuditEvent.objects.filter(action="accounts.password_changed", actor="cora").count() == 1
    assert here.get("/admin/password_change/")["Location"] == "/password/", "there is one way, the audited one"


def test_the_trial_switch_opens_what_a_person_may_see(ward: clinic.Ward) -> None:
    approver = signed_in("ann", "model_approver", at=ward.trial)
    page = approver.get("/trials/DEMO/model/").content.decode()
    assert 'href="/trials/DEMO/"' not in page, "an approver sees no board"
    refused = approver.get("/trials/DEMO/").content.decode()
    assert 'href="/trials/DEMO/model/"' in refused, "a refusal keeps the way back into the trial"
    assert "ML engineer" in refused


def test_empty_pages_say_what_would_fill_them() -> None:
    trial = people.trial("NEW")
    client = signed_in("meg", "ml_engineer", at=trial)
    for address, words in (
        ("/trials/NEW/", "No patients yet."), ("/trials/NEW/model/", "Nothing has been trained"), ("/trials/NEW/runs/", "No run yet."),
        ("/trials/NEW/imports/", "Nothing has been imported"),
    ):  # fmt: skip
        answer = client.get(address)
        assert answer.status_code == 200
        assert words in answer.content.decode()
    Patient.objects.create(key="NEW/1", trial=trial, patient_id="1")
    assert "No score yet" in client.get("/trials/NEW/").content.decode()
    assert client.get("/trials/NEW/patients/1/").status_code == 200


def test_odd_addresses_are_answered(ward: clinic.Ward) -> None:
    meg = signed_in("meg", "ml_engineer", at=ward.trial)
    for address, status in (
        ("/trials/DEMO/patients/701-1015/?zoom=9z&to=999999999999999", 200),
        ("/trials/DEMO/?site=%00&all=none&sort=x", 400),
        ("/trials/DEMO/patients/%00/", 400),
        ("/trials/DEMO/?all=none&sort=x", 200),
        ("/trials/DEMO/runs/?page=999999999", 200),
        ("/trials/DEMO/patients/701-1015/?zoom=3d&to=1", 200),
        ("/trials/DEMO/patients/701-1015/?zoom=3d&to=²", 200),
    ):
        assert meg.get(address).status_code == status, address


def test_a_failed_run_is_run_again_by_who_may(
    ward: clinic.Ward, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any
) -> None:
    asked: list[str] = []
    monkeypatch.setattr("apps.portal.views.runs.tasks.run.delay", lambda *, run_id: asked.append(run_id))
    failed = JobRun.objects.get(state="failed")
    address = reverse("portal:run_again", args=["DEMO", failed.pk])
    auditor = signed_in("audrey", "auditor", at=ward.trial)
    assert "Run again" not in auditor.get(reverse("portal:run", args=["DEMO", failed.pk])).content.decode()
    assert auditor.post(address).status_code == 403
    meg = signed_in("meg", "ml_engineer", at=ward.trial)
    with django_capture_on_commit_callbacks(execute=True):
        answer = meg.post(address)
    again = JobRun.objects.get(retry_of=failed)
    assert answer.status_code == 302
    assert str(again.pk) in answer["Location"]
    assert asked == [str(again.pk)]
    assert meg.post(reverse("portal:run_again", args=["DEMO", again.pk])).status_code == 409


def test_five_wrong_passwords_lock_and_say_for_how_long(ward: clinic.Ward) -> None:
    people.person("cora", "coordinator", at=ward.trial)
    client = Client()
    for _ in range(4):
        answer = client.post("/sign-in/", {"username": "cora", "password": "wrong"})
        assert answer.status_code == 401
        assert "do not belong together" in answer.content.decode()
    locked = client.post("/sign-in/", {"username": "cora", "password": "wrong"})
    assert locked.status_code == 429
    assert "Locked for 15 minutes" in locked.content.decode()
    assert client.post("/sign-in/", {"username": "cora", "password": people.PASSWORD}).status_code == 429


def test_signing_in_goes_back_to_where_one_came_from_within_the_site_only(ward: clinic.Ward) -> None:
    people.person("Cora", "coordinator", at=ward.trial)
    client = Client()
    answer = client.post(
        "/sign-in/?next=/trials/DEMO/", {"username": "cORA", "password": people.PASSWORD, "next": "/trials/DEMO/"}
    )
    assert answer.status_code == 302
    assert answer["Location"] == "/trials/DEMO/"
    assert client.get("/")["Location"] == "/trials/DEMO/"
    assert client.get("/sign-out/").status_code == 405
    assert client.post("/sign-out/").status_code == 302
    assert client.get("/trials/DEMO/").status_code == 302
    elsewhere = client.post(
        "/sign-in/", {"username": "cora", "password": people.PASSWORD, "next": "https://elsewhere.example/"}
    )
    assert elsewhere["Location"] == "/"


def test_a_missing_page_and_a_failure_have_their_words(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = client.get("/no/such/page/")
    assert missing.status_code == 404
    assert "There is nothing at this address" in missing.content.decode()
    client.raise_request_exception = False
    monkeypatch.setattr("apps.portal.views.access.SignIn.get", lambda *args, **kwargs: 1 / 0)
    failed = client.get("/sign-in/")
    assert failed.status_code == 500
    assert "Something failed on our side" in failed.content.decode()
