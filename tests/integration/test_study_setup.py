"""Setting up a study: trial, arms, sites and profile through the pages, with what the services refuse said on them."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any

import pytest
from django.db import DatabaseError, connection, connections, transaction
from django.test import Client

from apps.accounts import services as accounts
from apps.audit.models import AuditEvent
from apps.core import clock
from apps.core.errors import Conflict, Forbidden, Invalid
from apps.patients import services
from apps.patients.models import Arm, Patient, Site, StudyProfileVersion, Trial
from apps.patients.projection import project
from apps.patients.starts import STARTS, first_profile
from apps.portal import study_selectors
from apps.portal.presenters.profile_words import FIELDS, differences
from apps.portal.profile_forms import ProfileForm, filled
from apps.portal.viewer import viewer_of
from apps.predictions.models import Prediction
from ml.profile import StudyProfile
from tests.support import clinic, people
from tests.support.database import forget_audit, without_trigger
from tests.support.silver import context, rows

NOW = datetime(2026, 10, 13, 12, 34, 56, tzinfo=UTC)
STUDY = "/trials/DEMO/study/"


@pytest.fixture(autouse=True)
def _now(request: pytest.FixtureRequest, valkey: Any) -> Iterator[None]:
    with clock.fixed(NOW):
        yield


def signed_in(username: str, *roles: str, at: Any = None) -> Client:
    client = Client()
    client.force_login(people.person(username, *roles, at=at))
    return client


def text(answer: Any) -> str:
    return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode())))


def form_data(profile: StudyProfile, base: int, **changes: Any) -> dict[str, Any]:
    """What a browser sends of the form as it stands, with some fields changed (None = left out)."""
    form: ProfileForm = filled(profile, base)
    data: dict[str, Any] = {name: form[name].value() for name in form.fields}
    data |= {f"gate-{name}": form.gates.management_form[name].value() for name in ("TOTAL_FORMS", "INITIAL_FORMS")}
    for gate in form.gates:
        data |= {gate.add_prefix(name): gate[name].value() for name in gate.fields}
    data |= changes
    return {name: value for name, value in data.items() if value is not None and value is not False}


# ------------------------------------------------------------------ trials
@pytest.mark.django_db
def test_a_trial_is_created_with_its_first_profile_or_not_at_all() -> None:
    ada = signed_in("ada", "administrator")
    assert ada.get("/").headers["Location"] == "/new-trial/", "with no trial at all there is one thing to do"
    wrong = ada.post("/new-trial/", {"trial_id": "A/B", "name": "x", "start": "ward"})
    assert wrong.status_code == 422
    assert "cannot name a trial" in text(wrong)
    assert ada.post("/new-trial/", {"trial_id": "T1", "name": "One", "start": "fastest"}).status_code == 422
    assert not Trial.objects.exists()
    made = ada.post("/new-trial/", {"trial_id": "T1", "name": "One", "start": "outpatient", "blinded": "on"})
    assert made.headers["Location"] == "/trials/T1/study/"
    trial = Trial.objects.get()
    profile = StudyProfile.from_json(trial.profiles.get().body)
    assert (trial.simulated, profile) == (False, first_profile("T1", "outpatient"))
    assert profile.label_maturity_days == 60
    again = ada.post("/new-trial/", {"trial_id": "T1", "name": "Two", "start": "ward"})
    assert "exists already" in text(again)
    assert StudyProfileVersion.objects.count() == 1
    actions = list(AuditEvent.objects.filter(actor="ada", trial="T1").order_by("id").values_list("action", flat=True))
    assert actions == ["patients.trial_created", "patients.profile_published"]


@pytest.mark.django_db
def test_whoever_may_not_set_up_a_study_is_refused() -> None:
    trial = people.trial("DEMO")
    local, auditor = signed_in("local", "administrator", at=trial), signed_in("audrey", "auditor")
    cora = signed_in("cora", "coordinator", at=trial)
    assert local.get("/new-trial/").status_code == 403, "an administrator of one trial creates no other"
    assert local.get(STUDY).status_code == auditor.get(STUDY).status_code == 200
    assert cora.get(STUDY).status_code == 403
    for address in ("name/", "sites/add/", "arms/add/", "profile/next/"):
        assert auditor.post(STUDY + address, {"name": "x"}).status_code == 403, address
    assert local.post(STUDY + "name/", {"name": "Renamed"}).status_code == 302
    assert Trial.objects.get().name == "Renamed"


@pytest.mark.django_db
def test_the_overview_says_what_is_missing(settings: Any) -> None:
    ada = signed_in("ada", "administrator")
    ada.post("/new-trial/", {"trial_id": "T1", "name": "One", "start": "ward", "blinded": "on"})
    page = text(ada.get("/trials/T1/study/"))
    for words in ("8 of 9 things are missing", "In set-up", "0 of the 2 whose signatures", "Fewer than two arms"):
        assert words in page, words
    clinic.ward(NOW, patients=6, days=2)
    page = text(ada.get(STUDY))
    assert "Running" in page
    assert "No coordinator at 701, 704, 708" in page
    people.person("cora", "coordinator", at=Trial.objects.get(pk="DEMO"), site=Site.objects.get(site_id="701"))
    assert "No coordinator at 704, 708" in text(ada.get(STUDY))


# ------------------------------------------------------------------ sites
@pytest.mark.django_db
def test_sites_are_added_renamed_closed_and_opened_again() -> None:
    trial = people.trial("DEMO")
    ada = signed_in("ada", "administrator")
    added = {"site_id": "701", "name": "Ghent", "timezone": "Europe/Brussels"}
    assert ada.post(STUDY + "sites/add/", added).status_code == 302
    assert "there already" in text(ada.post(STUDY + "sites/add/", added))
    assert "cannot name a site" in text(ada.post(STUDY + "sites/add/", added | {"site_id": "a/b"}))
    assert ada.post(STUDY + "sites/add/", added | {"site_id": "702", "timezone": "Mars"}).status_code == 422
    one = STUDY + "sites/at/701/"
    assert ada.post(one, {"act": "change", "name": "Gent", "timezone": "Europe/Paris"}).status_code == 302
    assert ada.post(one, {"act": "close", "reason": " "}).status_code == 422
    assert ada.post(one, {"act": "close", "reason": "Recruited enough."}).status_code == 302
    site = Site.objects.get()
    assert (site.name, site.timezone, site.closed_at) == ("Gent", "Europe/Paris", NOW)
    cora = people.trained(people.person("cora"), "coordinator")
    with pytest.raises(Conflict, match="closed"):
        accounts.grant_role(by=people.SYSTEM, user=cora, role="coordinator", trial=trial, site=site)
    Patient.objects.create(key="DEMO/P1", trial=trial, patient_id="P1", site=site, enrolled_at=NOW + timedelta(days=1))
    assert "1 patient enrolled after it was closed" in text(ada.get(STUDY + "sites/"))
    assert "closed already" in text(ada.post(one, {"act": "close", "reason": "Again."}))
    assert ada.post(one, {"act": "reopen", "reason": "A mistake."}).status_code == 302
    assert Site.objects.get().closed_at is None
    with pytest.raises(Invalid, match="name a site"):
        services.create_site(by=people.SYSTEM, trial=trial, site_id="")


@pytest.mark.django_db
def test_a_site_a_trial_and_an_arm_are_changed_with_their_audit_event_and_never_deleted() -> None:
    trial = people.trial("DEMO")
    people.site(trial)
    services.create_arm(by=people.SYSTEM, trial=trial, code="A", name="Active")
    for table, rows_ in (("patients_site", Site), ("patients_trial", Trial), ("patients_arm", Arm)):
        forget_audit()
        objects: Any = rows_._default_manager
        with pytest.raises(DatabaseError, match="refused"), transaction.atomic():
            objects.update(name="x")
        with pytest.raises(DatabaseError, match="never deleted"), transaction.atomic():
            objects.all()._raw_delete("default")
        with without_trigger(table, "audited"):
            objects.update(name="x")
            assert set(objects.values_list("name", flat=True)) == {"x"}


# ------------------------------------------------------------------ arms
@pytest.mark.django_db
def test_arms_are_a_table_and_a_code_that_is_not_in_it_is_pointed_out_not_refused() -> None:
    trial = people.trial("DEMO")
    ada = signed_in("ada", "administrator")
    assert ada.post(STUDY + "arms/add/", {"code": "A", "name": "Active 80 mg"}).status_code == 302
    assert "set up already" in text(ada.post(STUDY + "arms/add/", {"code": "A", "name": "Other"}))
    told = [
        context(f"P{number}", kind="arm", arm_code=code, arm_name=name, offset=number)
        for number, (code, name) in enumerate((("A", "Active 80 mg"), ("B", "Placebo"), ("B", "Placebo")))
    ]
    assert project("patient-context", rows("patient-context", *told)).written == 3
    page = text(ada.get(STUDY + "arms/"))
    assert "Named by events, not set up" in page
    stray = study_selectors.stray_arms(trial)
    assert [(one.code, one.name, one.patients) for one in stray] == [("B", "Placebo", 2)]
    assert "1 arm not set up" in text(ada.get(STUDY))
    prefilled = ada.get(STUDY + "arms/?code=B&name=Placebo").content.decode()
    assert 'value="Placebo"' in prefilled
    ada.post(STUDY + "arms/add/", {"code": "B", "name": "Placebo"})
    assert study_selectors.stray_arms(trial) == []
    arm = Arm.objects.get(code="B")
    one = f"{STUDY}arms/{arm.pk}/"
    assert ada.post(one, {"act": "change", "name": "Placebo twice daily"}).status_code == 302
    assert ada.post(one, {"act": "withdraw", "reason": "Not in the protocol."}).status_code == 302
    assert [one.code for one in study_selectors.stray_arms(trial)] == ["B"]
    assert ada.post(one, {"act": "reinstate", "reason": "It is."}).status_code == 302
    arm.refresh_from_db()
    assert (arm.name, arm.withdrawn_at) == ("Placebo twice daily", None)


@pytest.mark.django_db
def test_a_blinded_reader_gets_the_same_bytes_whatever_the_arms_are() -> None:
    def pages(arms: tuple[str, str]) -> list[str]:
        with transaction.atomic():
            ward = clinic.ward(NOW, patients=6, days=2, arms=arms)
            for code, name in zip(("CODE-0", "CODE-1"), arms, strict=True):
                services.create_arm(by=people.SYSTEM, trial=ward.trial, code=code, name=name)
            told = [
                context(one.patient_id, kind="arm", arm_code=f"CODE-{n % 2 + 7}", arm_name=arms[n % 2], offset=n)
                for n, one in enumerate(ward.patients)
            ]
            project("patient-context", rows("patient-context", *told))
            client = signed_in("one", "model_approver", at=ward.trial)
            both = signed_in("both", "administrator", "coordinator", at=ward.trial)
            shown = []
            for who in (client, both):
                for address in ("", "arms/", "sites/", "profile/"):
                    body = who.get(STUDY + address).content.decode()
                    shown.append(
                        re.sub(r'name="csrfmiddlewaretoken" value="\w+"|X-CSRFToken": "\w+"|#people/\d+', "", body)
                    )
            refused = both.post(STUDY + "arms/add/", {"code": "X", "name": "Placebo"})
            assert "You are blinded in this trial" in text(refused)
            assert both.get(f"{STUDY}arms/{Arm.objects.filter(code='CODE-0').get().pk}/").status_code == 404
            transaction.set_rollback(True)
        return shown

    one, other = pages(("Placebo", "Active 80 mg")), pages(("Active 80 mg", "Placebo"))
    assert [page for page in one if "Placebo" in page or "80 mg" in page or "CODE-" in page] == []
    assert [len(page) for page in one] == [len(page) for page in other]
    assert one == other


@pytest.mark.django_db
def test_who_is_blinded_sets_up_no_arm() -> None:
    trial = people.trial("DEMO")
    both = people.person("both", "administrator", "coordinator", at=trial)
    with pytest.raises(Forbidden, match="blinded"):
        services.create_arm(by=both, trial=trial, code="A", name="Active")


# ------------------------------------------------------------------ the profile
def test_every_field_of_the_profile_is_said_in_words_and_asked_for() -> None:
    from dataclasses import fields

    names = {field.name for field in fields(StudyProfile)} - {"trial_id", "version"}
    assert set(FIELDS) == names
    asked = set(ProfileForm.base_fields) - {"base", "band_moderate", "band_high", "band_critical"}
    assert asked | {"bands", "gates", "simulated"} == names


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.django_db
def test_the_form_left_alone_makes_the_profile_it_was_filled_with(start: str) -> None:
    from django.http import QueryDict

    from apps.portal.profile_forms import sent

    profile = replace(first_profile("T1", start), replay_date="2015-03-05T00:00:00Z", study_treatments=("A B", "C"))
    data = QueryDict(mutable=True)
    for name, value in form_data(profile, 1).items():
        data.setlist(name, value if isinstance(value, list) else [value])
    form = sent(data, profile)
    assert form.is_valid(), form.errors
    assert form.profile() == replace(profile, version=2)
    assert differences(profile, form.profile()) == []


@pytest.mark.django_db
def test_what_cannot_be_is_said_beside_its_field() -> None:
    trial = people.trial("DEMO")
    ada = signed_in("ada", "administrator")
    profile = StudyProfile.from_json(trial.profiles.get().body)
    for changes, field, sentence in (
        ({"band_high": "5"}, "band_high", "moderate begins at 10 %"),
        ({"band_critical": "100"}, "band_high", "must rise between 0 and 1"),
        ({"label_maturity_days": "-1"}, "label_maturity_days", "greater than or equal to 0"),
        ({"second_horizon_hours": "12"}, "second_horizon_hours", "ends no earlier than the first, after 24 hours"),
        ({"replay_date": "2015-03-05"}, "replay_date", "no time with its zone"),
        ({"vitals_stale_hours": "soon"}, "vitals_stale_hours", "Enter a number"),
    ):
        answer = ada.post(STUDY + "profile/next/", form_data(profile, 1, step="preview", **changes))
        assert answer.status_code == 422, changes
        body = answer.content.decode()
        fault = re.search(rf'id="id_{field}_error"[^>]*>(.*?)</ul>', body, re.DOTALL)
        assert fault is not None, (field, changes)
        assert sentence in unescape(fault[1])
        assert re.search(rf'<input[^>]*name="{field}"[^>]*aria-describedby="[^"]*id_{field}_error', body), field
    gate = {"gate-TOTAL_FORMS": "8", "gate-7-name": "odd", "gate-7-measure": "test_auroc", "gate-7-threshold": "80"}
    answer = ada.post(STUDY + "profile/next/", form_data(profile, 1, step="preview", **gate))
    assert answer.status_code == 422
    assert "lies between -1 and 1" in text(answer)
    assert "Needed for a gate" in text(answer)
    twice = form_data(profile, 1, step="preview") | {"gate-1-name": profile.gates[0].name}
    assert "Each gate has its own name" in text(ada.post(STUDY + "profile/next/", twice))
    assert StudyProfileVersion.objects.count() == 1


@pytest.mark.django_db
def test_the_preview_counts_patients_labels_and_what_the_model_was_trained_under() -> None:
    ward = clinic.ward(NOW, patients=14, days=2)
    ada = signed_in("ada", "administrator")
    profile = StudyProfile.from_json(ward.profile_version.body)
    data = form_data(profile, 1, step="preview", band_critical="40", label_maturity_days="10", horizon_hours="12")
    answer = ada.post(STUDY + "profile/next/", data)
    assert answer.status_code == 200
    newest = [Prediction.objects.filter(patient=one).order_by("-as_of")[0] for one in ward.patients]
    scored = [one.probability for one in newest if one.probability is not None]
    then = answer.context["then"]
    critical = next(row for row in then.levels if row.level == "critical")
    viewer = viewer_of(people.person("x", "administrator"), "DEMO")
    assert critical.before == sum(chance >= 0.75 for chance in scored)
    assert critical.after == sum(chance >= 0.4 for chance in scored)
    assert critical.after == critical.before + 1 == 2
    assert "1 from high to critical" in then.moved
    days = study_selectors.ripe_days(viewer, profile, replace(profile, label_maturity_days=10, horizon_hours=12))
    assert all(f"{count:,} patient-days" in text(answer) or f"{count:,}, " in text(answer) for count in days)
    assert days[0] > days[1] > 0
    page = text(answer)
    assert "Maturity of labels" in page
    assert [one.name for one in answer.context["changed"]] == ["horizon_hours", "bands", "label_maturity_days"]
    assert "Its training names a profile that is none of this trial's versions" in page
    assert StudyProfileVersion.objects.count() == 1, "a preview publishes nothing"


@pytest.mark.django_db
def test_the_preview_uses_the_scorers_own_rules_for_stale_data() -> None:
    import numpy as np

    from ml.features import NAMES

    profile = StudyProfile("DEMO", vitals_stale_hours=24.0)
    vectors = np.ones((3, len(NAMES)))
    vectors[1, NAMES.index("heart_rate_mean_6h")] = np.nan
    vectors[2, NAMES.index("heart_rate_latest")] = np.nan
    newest = study_selectors.Newest(np.array([0.2, 0.2, np.nan]), vectors, 3)
    assert study_selectors.stored_levels(newest, profile) == ["MODERATE", "MODERATE", "INDETERMINATE"]
    levels = study_selectors.levels_under
    assert levels(newest, profile, replace(profile, bands=(0.3, 0.4, 0.5))) == ["LOW", "LOW", "INDETERMINATE"]
    stricter = replace(profile, vitals_stale_hours=6.0)
    assert levels(newest, profile, stricter) == ["MODERATE", "INDETERMINATE", "INDETERMINATE"]
    looser = replace(profile, signs_required=())
    assert levels(newest, profile, looser) == ["MODERATE", "MODERATE", "UNKNOWN"]


def test_patient_days_ripen_as_labels_do() -> None:
    """The counted days are those that ``ml.labels`` lets count, for a patient who stays and one who leaves."""
    import numpy as np

    from apps.portal.study_selectors import _ripe
    from ml.labels import label
    from tests.unit.features.histories import facts_from

    begin = datetime(2026, 3, 3, 9, 30, tzinfo=UTC)
    profile = StudyProfile("DEMO", horizon_hours=30, label_maturity_days=4)
    now = begin + timedelta(days=40)
    for end in (None, *(begin + timedelta(days=20, hours=hours) for hours in range(0, 24, 5))):
        told = [("enrolment", begin), *([("disposition", end)] if end else [])]
        facts = facts_from(
            [
                {"patient": 0, "signal": signal, "key": key, "event_time": at, "known_time": at, "value": 1}
                for key, (signal, at) in enumerate((signal, int(moment.timestamp())) for signal, moment in told)
            ],
            1,
        )
        midnights = [datetime(2026, 3, 1, tzinfo=UTC) + timedelta(days=day) for day in range(50)]
        as_of = np.array([int(moment.timestamp()) for moment in midnights], np.int64)
        found = label(facts, np.zeros(50, np.int64), as_of, profile, known_by=int(now.timestamp()))
        assert _ripe(begin, end, profile, now) == int(found.counts.sum())


@pytest.mark.django_db
def test_a_version_is_published_with_its_reason_and_an_old_one_taken_up_again() -> None:
    trial = people.trial("DEMO")
    ada = signed_in("ada", "administrator")
    first = StudyProfile.from_json(trial.profiles.get().body)
    data = form_data(first, 1, band_critical="60", step="publish")
    assert ada.post(STUDY + "profile/next/", data | {"reason": ""}).status_code == 422
    assert ada.post(STUDY + "profile/next/", data | {"reason": "Fewer surprises."}).status_code == 302
    second = trial.profiles.order_by("-version")[0]
    assert (second.version, second.created_by, second.reason) == (2, "ada", "Fewer surprises.")
    assert StudyProfile.from_json(second.body) == replace(first, version=2, bands=(0.1, 0.3, 0.6))
    nothing = ada.post(
        STUDY + "profile/next/", form_data(StudyProfile.from_json(second.body), 2, step="publish", reason="x")
    )
    assert nothing.status_code == 422
    assert "Nothing differs" in text(nothing)
    page = ada.get(STUDY + "profile/next/?from=1").content.decode()
    assert 'name="base" value="2"' in page
    assert "You begin from version 1" in page
    assert ada.post(STUDY + "profile/next/", form_data(first, 2, step="publish", reason="Back.")).status_code == 302
    assert StudyProfile.from_json(trial.profiles.order_by("-version")[0].body) == replace(first, version=3)
    page = text(ada.get(STUDY + "profile/3/?against=2"))
    assert "How Version 3 differs" in page.replace("version 3", "Version 3")
    assert "10 %, 30 %, 60 %" in page
    assert ada.get(STUDY + "profile/9/").status_code == 404
    assert ada.get(STUDY + "profile/2/?against=9").status_code == 404


@pytest.mark.django_db
def test_of_two_who_publish_one_wins_and_the_other_is_told_what_came_between() -> None:
    trial = people.trial("DEMO")
    ada, bea = signed_in("ada", "administrator"), signed_in("bea", "administrator")
    first = StudyProfile.from_json(trial.profiles.get().body)
    hers = form_data(first, 1, band_critical="60", step="publish", reason="Hers.")
    mine = form_data(first, 1, horizon_hours="12", step="publish", reason="Mine.")
    assert ada.post(STUDY + "profile/next/", hers).status_code == 302
    late = bea.post(STUDY + "profile/next/", mine)
    assert late.status_code == 409
    page = text(late)
    for words in (
        "Version 2 was published by ada while you were at it",
        "Hers.",
        "What they changed",
        "Yours was not published",
    ):
        assert words in page, words
    assert "The next profile of" not in page, "said once, in words for the person"
    assert [one.name for one in late.context["between"]] == ["bands"]
    assert {one.name for one in late.context["changed"]} == {"bands", "horizon_hours"}
    assert trial.profiles.count() == 2
    again = dict(late.context["sent"]) | {"step": "publish", "reason": "After hers."}
    assert again["base"] == "2"
    signs = {"signs_required": list(first.signs_required)}
    assert bea.post(STUDY + "profile/next/", again | signs).status_code == 302
    assert trial.profiles.count() == 3


@pytest.mark.django_db(transaction=True)
def test_at_the_same_moment_one_version_is_published() -> None:
    from tests.support.database import let_tests_empty_the_tables

    let_tests_empty_the_tables()
    trial = people.trial("DEMO")
    ada = people.person("ada", "administrator")
    profile = StudyProfile.from_json(trial.profiles.get().body)
    barrier, told = threading.Barrier(2), []

    def publish(horizon: int) -> None:
        try:
            barrier.wait()
            told.append(
                services.publish_profile(by=ada, profile=replace(profile, version=2, horizon_hours=horizon), reason="x")
            )
        except Conflict as error:
            told.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=publish, args=(hours,)) for hours in (12, 36)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert sorted(type(one).__name__ for one in told) == ["Conflict", "StudyProfileVersion"]
    assert trial.profiles.count() == 2


@pytest.mark.django_db
def test_the_pages_cost_a_fixed_number_of_queries() -> None:
    from django.test.utils import CaptureQueriesContext

    def count(patients: int, address: str) -> int:
        with transaction.atomic():
            clinic.ward(NOW, patients=patients, days=2)
            ada = signed_in(f"ada{patients}", "administrator")
            ada.get(STUDY)
            with CaptureQueriesContext(connection) as queries:
                assert ada.get(STUDY + address).status_code == 200
            transaction.set_rollback(True)
        return len(queries)

    for address in ("", "sites/", "arms/", "profile/"):
        assert count(3, address) == count(24, address), address
