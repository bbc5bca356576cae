"""People in the portal: accounts, identity, roles, training, sessions; and what each administrator may not do."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from html import unescape
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.accounts import permissions, selectors, services, training
from apps.accounts.courses import COURSES, REQUIRED
from apps.accounts.models import RoleGrant, TrainingRecord, User
from apps.accounts.roles import ROLES
from apps.accounts.signatures import verify_password
from apps.audit.models import AuditEvent
from apps.core import clock
from apps.core.errors import Conflict, Forbidden, Invalid
from apps.patients.models import Trial
from tests.support import people
from tests.support.database import forget_audit, without_trigger

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 10, 13, 12, 34, 56, tzinfo=UTC)
PEOPLE = "/trials/DEMO/people/"


@pytest.fixture(autouse=True)
def _now(valkey: Any) -> Iterator[None]:
    with clock.fixed(NOW):
        yield


@pytest.fixture
def trial() -> Trial:
    return people.trial("DEMO")


def signed_in(username: str, *roles: str, at: Any = None, site: Any = None) -> Client:
    client = Client()
    client.force_login(people.person(username, *roles, at=at, site=site))
    return client


def text(answer: Any) -> str:
    return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode())))


# ------------------------------------------------------------------ training
def test_every_role_asks_for_courses_that_there_are() -> None:
    assert set(REQUIRED) == set(ROLES)
    assert {course for asked in REQUIRED.values() for course in asked} == set(COURSES)
    assert all(asked for asked in REQUIRED.values())


def test_a_role_is_refused_without_a_current_record_and_given_with_one(trial: Trial) -> None:
    ana = people.person("ana")
    for person in (people.SYSTEM, people.person("ada", "administrator")):
        with pytest.raises(Conflict, match="Good clinical practice, Reading risk scores, Keeping the blind"):
            services.grant_role(by=person, user=ana, role="coordinator", trial=trial)
    for course in REQUIRED["coordinator"]:
        training.record_training(
            by=people.SYSTEM, user=ana, course=course, completed_on=NOW.date(), evidence="Certificate 1"
        )
    ends = TrainingRecord.objects.get(user=ana, course="gcp").expires_on
    assert ends == NOW.date() + timedelta(days=3 * 365)
    with clock.fixed(NOW + timedelta(days=2 * 365)):
        assert services.grant_role(by=people.SYSTEM, user=ana, role="coordinator", trial=trial)
    with clock.fixed(NOW + timedelta(days=2 * 365 + 1)), pytest.raises(Conflict, match="Reading risk scores"):
        services.grant_role(by=people.SYSTEM, user=ana, role="coordinator", trial=people.trial("OTHER"))


def test_lapsed_training_bars_signing_and_is_told_before(trial: Trial) -> None:
    ana = people.person("ana", "model_approver")
    assert verify_password(ana, people.PASSWORD)
    last = min(TrainingRecord.objects.values_list("expires_on", flat=True))
    on_the_day = datetime(last.year, last.month, last.day, 23, 59, tzinfo=UTC)
    client = Client()
    for moment, state, may_sign in (
        (on_the_day - timedelta(days=31), "current", True),
        (on_the_day - timedelta(days=30), "ending", True),
        (on_the_day, "ending", True),
        (on_the_day + timedelta(minutes=1), "lapsed", False),
    ):
        with clock.fixed(moment):
            assert training.standing_of(ana)["models"].state == state
            if may_sign:
                assert verify_password(ana, people.PASSWORD)
            else:
                with pytest.raises(Forbidden, match="Models and their limits"):
                    verify_password(ana, people.PASSWORD)
            answer = client.post("/sign-in/", {"username": "ana", "password": people.PASSWORD}, follow=True)
            told = {
                "current": "",
                "ending": "after that you cannot sign",
                "lapsed": "you cannot sign until it is renewed",
            }[state]
            assert ("Your training" in text(answer)) is bool(told)
            assert told in text(answer)
            assert ("You cannot sign" in text(client.get("/account/"))) is (state == "lapsed")
            client.logout()


def test_a_training_record_is_written_once_by_somebody_else_with_evidence(trial: Trial) -> None:
    ana, ada = people.person("ana"), people.person("ada", "administrator")
    values: dict[str, Any] = {"by": ada, "user": ana, "course": "gcp", "completed_on": NOW.date(), "evidence": "C 1"}
    for wrong, error in (
        ({"user": ada}, Forbidden),
        ({"by": ana, "user": ada}, Forbidden),
        ({"course": "juggling"}, Invalid),
        ({"completed_on": NOW.date() + timedelta(days=1)}, Invalid),
        ({"evidence": " "}, Invalid),
    ):
        with pytest.raises(error):
            training.record_training(**{**values, **wrong})
    row = training.record_training(**values)
    assert AuditEvent.objects.get(object_id=row.pk).after["user"] == "ana"
    for change in ({"completed_on": date(2020, 1, 1)}, {"void": True}):
        with pytest.raises(DatabaseError, match="written once"), transaction.atomic():
            TrainingRecord.objects.filter(pk=row.pk).update(**change)
    with pytest.raises(DatabaseError, match="written once"), transaction.atomic():
        TrainingRecord.objects.all()._raw_delete("default")
    forget_audit()
    unaudited = {"user": ana, "course": "gcp", "completed_on": NOW.date(), "evidence": "x", "recorded_by": "x"}
    with pytest.raises(DatabaseError, match="no audit event"), transaction.atomic():
        TrainingRecord.objects.create(**unaudited)
    with without_trigger("accounts_trainingrecord", "audited"):
        TrainingRecord.objects.create(**unaudited)


def test_a_wrong_record_is_answered_by_another_and_counts_no_more(trial: Trial) -> None:
    ana, ada = people.person("ana"), people.person("ada", "administrator")
    values: dict[str, Any] = {"by": ada, "user": ana, "course": "gcp", "evidence": "C 1"}
    wrong = training.record_training(**values, completed_on=NOW.date())
    late = date(2023, 1, 1)
    with pytest.raises(Invalid, match="reason"):
        training.record_training(**values, completed_on=late, corrects=wrong)
    right = training.record_training(**values, completed_on=late, corrects=wrong, reason="Another year.")
    assert training.standing_of(ana)["gcp"].state == "lapsed"
    with pytest.raises(Conflict, match="corrected already"):
        training.record_training(**values, completed_on=late, corrects=wrong, reason="Again.")
    training.record_training(**values, completed_on=late, corrects=right, void=True, reason="Somebody else's.")
    assert training.standing_of(ana)["gcp"].state == "missing"
    assert TrainingRecord.objects.count() == 3 + len(REQUIRED["administrator"]) * 1


# ------------------------------------------------------------------ a person's way
def test_a_person_is_added_trained_and_given_one_site(trial: Trial) -> None:
    here, there = people.site(trial, "S1"), people.site(trial, "S2")
    people.patient(trial, "P1", at=here)
    people.patient(trial, "P2", at=there)
    ada = signed_in("ada", "administrator")
    assert "invisible characters" in text(ada.post(PEOPLE + "new/", {"username": "co\u200bra", "printed_name": "Cora"}))
    made = ada.post(PEOPLE + "new/", {"username": "cora", "printed_name": "Cora Ordinator", "email": "c@example.org"})
    assert "no-store" in made.headers["Cache-Control"]
    password = re.search(r'id="first-password">([^<]+)<', made.content.decode())
    assert password is not None
    cora = User.objects.get(username="cora")
    assert (cora.must_change_password, cora.check_password(unescape(password[1]))) == (True, True)
    assert password[1] not in str(list(AuditEvent.objects.values_list("after", flat=True)))
    page = f"{PEOPLE}{cora.pk}/"
    assert password[1] not in ada.get(page).content.decode()
    role = {"act": "grant", "role": "coordinator", "where": here.pk, "until": ""}
    refused = ada.post(page + "role/", role)
    assert refused.status_code == 422
    assert "no current training record" in text(refused)
    for course in REQUIRED["coordinator"]:
        sent = {"act": "record", "course": course, "completed_on": "2026-10-01", "evidence": "Certificate"}
        assert ada.post(page + "training/", sent).status_code == 302
    future = {"act": "record", "course": "gcp", "completed_on": "2026-10-14", "evidence": "x"}
    assert "not after today" in text(ada.post(page + "training/", future))
    assert "one trial" in text(ada.post(page + "role/", role | {"where": "*"}))
    assert "before it begins" in text(ada.post(page + "role/", role | {"until": "2026-10-12"}))
    assert ada.post(page + "role/", role | {"until": "2026-12-31"}).status_code == 302
    grant = RoleGrant.objects.get(user=cora)
    assert (grant.site, grant.ends_at) == (here, datetime(2027, 1, 1, tzinfo=UTC))
    assert ada.post(page + "account/", {"act": "verify"}).status_code == 302
    assert User.objects.get(username="cora").identity_verified_by == "ada"
    with clock.fixed(datetime(2026, 12, 31, 23, 59, tzinfo=UTC)):
        assert permissions.may(cora, "view_patient", trial=trial, site=here)
    with clock.fixed(datetime(2027, 1, 1, tzinfo=UTC)):
        assert not permissions.may(cora, "view_patient", trial=trial, site=here)
        assert services.grant_role(by=people.SYSTEM, user=cora, role="coordinator", trial=trial, site=here)
    coordinator = Client()
    answer = coordinator.post("/sign-in/", {"username": "cora", "password": unescape(password[1])})
    assert answer.headers["Location"] == "/password/"
    board = coordinator.get("/trials/DEMO/")
    assert "P1" in text(board)
    assert "P2" not in text(board)
    assert coordinator.get(PEOPLE).status_code == 403


def test_a_role_is_ended_with_a_reason_and_ones_own_never(trial: Trial) -> None:
    ada, cora = signed_in("ada", "administrator"), people.person("cora", "coordinator", at=trial)
    mine = User.objects.get(username="ada")
    grant = RoleGrant.objects.get(user=cora)
    page = f"{PEOPLE}{cora.pk}/"
    assert ada.post(page + "role/", {"act": "end", "grant": grant.pk, "reason": ""}).status_code == 422
    assert ada.post(page + "role/", {"act": "end", "grant": grant.pk, "reason": "Left."}).status_code == 302
    assert RoleGrant.objects.get(pk=grant.pk).revoked_by == "ada"
    own = f"{PEOPLE}{mine.pk}/"
    held = RoleGrant.objects.get(user=mine)
    assert "their own roles" in text(ada.post(own + "role/", {"act": "end", "grant": held.pk, "reason": "x"}))
    for act, words in (("deactivate", "deactivates themselves"), ("keep", "their own account")):
        assert words in text(ada.post(own + "account/", {"act": act, "reason": "x"})), act
    assert ada.post(own + "account/", {"act": "verify"}).status_code == 403
    assert "their own training" in text(
        ada.post(own + "training/", {"act": "record", "course": "gcp", "completed_on": "2026-10-01", "evidence": "x"})
    )
    assert "Give a role" not in text(ada.get(own))


def test_deactivating_and_a_first_password(trial: Trial) -> None:
    ada, cora = signed_in("ada", "administrator"), people.person("cora", "coordinator", at=trial)
    page = f"{PEOPLE}{cora.pk}/account/"
    open_page = Client()
    open_page.force_login(cora)
    assert open_page.get("/trials/DEMO/").status_code == 200
    assert ada.post(page, {"act": "deactivate", "reason": ""}).status_code == 422
    assert ada.post(page, {"act": "deactivate", "reason": "On leave."}).status_code == 302
    assert open_page.get("/trials/DEMO/").status_code == 302
    assert ada.post(page, {"act": "reactivate", "reason": "Back."}).status_code == 302
    given = ada.post(page, {"act": "password"})
    password = re.search(r'id="first-password">([^<]+)<', given.content.decode())
    assert password is not None
    cora.refresh_from_db()
    assert cora.check_password(unescape(password[1]))
    assert ada.post(page, {"act": "written", "printed_name": "Cora O.", "email": ""}).status_code == 302
    assert ada.post(page, {"act": "dance"}).status_code == 404


def test_accounts_nobody_uses_are_reviewed_and_kept_or_ended(trial: Trial) -> None:
    ada, cora = signed_in("ada", "administrator"), people.person("cora", "coordinator", at=trial)
    User.objects.update(date_joined=NOW - timedelta(days=91))
    User.objects.filter(username="ada").update(last_login=NOW)
    assert [one.username for one in selectors.dormant(User.objects.all())] == ["cora"]
    assert "1 account nobody has used for 90 days" in text(ada.get(PEOPLE))
    listed = text(ada.get(PEOPLE + "?state=dormant&every=on"))
    assert "not seen for 90 days" in listed
    assert "1 account" in listed
    assert ada.post(f"{PEOPLE}{cora.pk}/account/", {"act": "keep", "reason": "On parental leave."}).status_code == 302
    assert not selectors.dormant(User.objects.all()).exists()
    with clock.fixed(NOW + timedelta(days=91)):
        assert "cora" in {one.username for one in selectors.dormant(User.objects.all())}


def test_the_list_is_filtered_paged_and_exported_without_formulas(trial: Trial) -> None:
    site = people.site(trial, "S1")
    ada = signed_in("ada", "administrator")
    for number in range(30):
        people.person(f"p{number:02}", "coordinator", at=trial, site=site if number < 3 else None)
    people.person("evil", "auditor", at=trial, printed_name='=HYPERLINK("x")')
    people.person("else", "coordinator", at=people.trial("OTHER"), printed_name="Somebody Else")
    User.objects.filter(username="p05").update(is_active=False, identity_verified_at=None)
    page = text(ada.get(PEOPLE))
    assert "1 to 25 of 32 accounts" in page
    assert "Somebody Else" not in page

    def names(query: str) -> list[str]:
        table = csv.DictReader(io.StringIO(ada.get(f"{PEOPLE}export/?{query}").content.decode()))
        return [row["sign-in name"] for row in table]

    assert names("site=S1") == ["p00", "p01", "p02"]
    assert names("role=auditor") == ["evil"]
    assert names("state=deactivated") == ["p05"]
    assert names("q=p1") == [f"p{number}" for number in range(10, 20)]
    assert "else" in names("every=on")
    assert names("state=nonsense&role=king&page=x") == names("")
    with clock.fixed(NOW + timedelta(days=2 * 365 - 31)):
        assert len(names("state=training")) >= 31
    rows = list(csv.reader(io.StringIO(ada.get(f"{PEOPLE}export/?q=evil").content.decode())))
    assert rows[1][0] == '\'=HYPERLINK("x")'


def test_an_administrator_of_one_trial_sees_and_does_what_is_of_it(trial: Trial) -> None:
    other = people.trial("OTHER")
    local = signed_in("local", "administrator", at=trial)
    stranger = people.person("stranger", "coordinator", at=other, printed_name="Strange One")
    assert "Strange One" not in text(local.get(PEOPLE + "?every=on"))
    assert local.get(f"{PEOPLE}{stranger.pk}/").status_code == 404
    assert local.get("/trials/OTHER/people/").status_code == 403
    assert local.get(PEOPLE + "new/").status_code == 403
    assert local.post(f"{PEOPLE}{stranger.pk}/account/", {"act": "deactivate", "reason": "x"}).status_code == 403
    assert "Nobody has that sign-in name" in text(local.post(PEOPLE + "find/", {"username": "strang"}, follow=True))
    found = local.post(PEOPLE + "find/", {"username": "STRANGER"}, follow=True)
    assert "Strange One" in text(found)
    assert "OTHER" not in text(found)
    grant = RoleGrant.objects.get(user=stranger)
    assert (
        local.post(f"{PEOPLE}{stranger.pk}/role/", {"act": "end", "grant": grant.pk, "reason": "x"}).status_code == 422
    )
    assert RoleGrant.objects.get(pk=grant.pk).revoked_at is None
    role = {"act": "grant", "role": "coordinator", "where": "DEMO"}
    assert local.post(f"{PEOPLE}{stranger.pk}/role/", role | {"where": "*"}).status_code == 422
    assert local.post(f"{PEOPLE}{stranger.pk}/role/", role).status_code == 302
    assert "Strange One" in text(local.get(PEOPLE))
    auditor = signed_in("audrey", "auditor", at=trial)
    assert auditor.get(PEOPLE).status_code == 200
    assert "Give a role" not in text(auditor.get(f"{PEOPLE}{stranger.pk}/"))
    for part in ("account/", "role/", "training/"):
        assert auditor.post(f"{PEOPLE}{stranger.pk}/{part}", {}).status_code == 403


def test_the_list_costs_the_same_however_many_people(trial: Trial) -> None:
    ada = signed_in("ada", "administrator")

    def count() -> int:
        with CaptureQueriesContext(connection) as queries:
            assert ada.get(PEOPLE).status_code == 200
        return len(queries)

    count()
    few = count()
    for number in range(12):
        people.person(f"p{number}", "coordinator", at=trial)
    assert count() == few


# ------------------------------------------------------------------ my account
def test_my_account_shows_roles_training_and_sessions_and_ends_the_others(trial: Trial) -> None:
    ana = people.person("ana", "coordinator", at=trial)
    here, there, bystander = Client(), Client(), Client()
    for client in (here, there):
        assert client.post("/sign-in/", {"username": "ana", "password": people.PASSWORD}).status_code == 302
    bystander.force_login(people.person("bo", "auditor"))
    page = here.get("/account/")
    for words in ("Clinical coordinator", "DEMO", "Keeping the blind", "this one", "End all others"):
        assert words in text(page), words
    keys = {client.cookies["sessionid"].value for client in (here, there)}
    assert not any(key in page.content.decode() for key in keys)
    assert len(page.context["sessions"]) == 2
    assert here.post("/account/sessions/end/", {"handle": "0" * 16}, follow=True).status_code == 200
    assert there.get("/account/").status_code == 200
    assert here.post("/account/sessions/end/", {}).status_code == 302
    assert there.get("/account/").status_code == 302, "ended from the next request on"
    assert here.get("/account/").status_code == 200
    assert bystander.get("/account/").status_code == 200
    event = AuditEvent.objects.get(action="accounts.session_closed")
    assert (event.actor, event.object_id) == ("ana", str(ana.pk))
    with pytest.raises(Forbidden):
        services.close_sessions(by=ana, user=User.objects.get(username="bo"), handles=["x"])
