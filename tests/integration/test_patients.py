"""Trials, profiles, blinding, and the record as it was known."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps as installed
from django.db import transaction
from django.db.utils import IntegrityError

from apps.audit.models import AuditEvent
from apps.core.errors import Conflict, Forbidden, Invalid, NotFound
from apps.core.models import OutboxMessage
from apps.patients import blinding, selectors, services
from apps.patients.columns import MODELS
from apps.patients.models import AdverseEvent, Patient, Site, Trial
from apps.patients.projection import forget, project
from ml.contracts import EVENTS
from ml.profile import StudyProfile
from tests.support import people
from tests.support.people import SYSTEM
from tests.support.silver import START, context, rows

CLASSED_APPS = ("patients", "predictions", "audit")


def at(seconds: int) -> datetime:
    return datetime.fromtimestamp(START + seconds, UTC)


# ------------------------------------------------------------------ blinding
@pytest.mark.parametrize("model", [m for app in CLASSED_APPS for m in installed.get_app_config(app).get_models()])
def test_every_column_has_a_blinding_class(model: Any) -> None:
    label = f"{model._meta.app_label}.{model._meta.object_name}"
    assert set(blinding.CLASSES[label]) == {field.name for field in model._meta.concrete_fields}


@pytest.mark.parametrize("label", blinding.CLASSES)
def test_every_classed_column_exists(label: str) -> None:
    model = installed.get_model(label)
    assert set(blinding.CLASSES[label]) == {field.name for field in model._meta.concrete_fields}


@pytest.mark.parametrize("topic", list(MODELS))
def test_classes_are_never_weaker_than_the_contracts(topic: str) -> None:
    label = f"patients.{MODELS[topic].__name__}"
    for column in EVENTS[topic].columns:
        if column.name in blinding.CLASSES[label] and column.blinding != "open":
            assert blinding.class_of(label, column.name) == column.blinding, column.name


def test_masking_hides_the_arm_from_the_blinded_and_personal_data_from_strangers() -> None:
    values = {"arm_code": "A", "age": 70.0, "patient_id": "P1"}
    mask = blinding.mask
    assert mask("patients.Patient", values, blinded=False) == values
    assert mask("patients.Patient", values, blinded=True) == {**values, "arm_code": None}
    assert mask("patients.Patient", values, blinded=True, personal=False) == {
        "arm_code": None,
        "age": None,
        "patient_id": "P1",
    }
    assert "dosage" not in blinding.visible_fields("patients.Medication", blinded=True)
    assert "outcome" in blinding.visible_fields("patients.Medication", blinded=True)
    with pytest.raises(KeyError):
        mask("patients.Patient", {"new_column": 1}, blinded=True)


# ------------------------------------------------------------------ trials and profiles
@pytest.mark.django_db
@pytest.mark.parametrize("odd", ["", "a/b", " a", "ä", "x" * 65, "-a"])
def test_a_trials_identifier_has_no_slash(odd: str) -> None:
    with pytest.raises(Invalid):
        services.create_trial(by=SYSTEM, trial_id=odd, name="x")


@pytest.mark.django_db
def test_the_database_refuses_keys_that_are_not_made_of_their_parts() -> None:
    trial = people.trial("DEMO")
    for write in (
        lambda: Trial.objects.create(trial_id="a/b", name="x"),
        lambda: Patient.objects.create(key="DEMO/other", trial=trial, patient_id="P1"),
        lambda: Site.objects.create(key="S1", trial=trial, site_id="S1"),
    ):
        with pytest.raises(IntegrityError), transaction.atomic():
            write()


@pytest.mark.django_db
def test_profiles_follow_one_another_and_are_read_back() -> None:
    services.create_trial(by=SYSTEM, trial_id="T", name="T")
    first = StudyProfile(trial_id="T", study_treatments=("Alphamab",), bands=(0.2, 0.4, 0.8))
    with pytest.raises(NotFound):
        selectors.profile("T")
    made = services.publish_profile(by=SYSTEM, profile=first)
    assert services.publish_profile(by=SYSTEM, profile=first) == made
    with pytest.raises(Conflict, match="version 2, not 1"):
        services.publish_profile(by=SYSTEM, profile=StudyProfile(trial_id="T"))
    second = StudyProfile(trial_id="T", version=2, blinded=False)
    services.publish_profile(by=SYSTEM, profile=second, reason="Unblinded.")
    assert selectors.profile("T") == second
    assert selectors.profile("T", version=1) == first
    assert selectors.profiles() == {"T": second}
    assert selectors.profile_version("T").digest == second.digest
    trail = AuditEvent.objects.filter(action="patients.profile_published").order_by("id").last()
    assert trail is not None
    assert trail.before["bands"] == ["0.2", "0.4", "0.8"]


@pytest.mark.django_db
def test_writes_about_trials_need_their_permission() -> None:
    trial = people.trial("DEMO")
    site = people.site(trial)
    nobody = people.person("nobody", "coordinator", at=trial)
    for write in (
        lambda: services.create_trial(by=nobody, trial_id="X", name="X"),
        lambda: services.publish_profile(by=nobody, profile=StudyProfile(trial_id="DEMO", version=2)),
        lambda: services.create_site(by=nobody, trial=trial, site_id="S9"),
        lambda: services.change_site(by=nobody, site=site, name="x", timezone="UTC"),
    ):
        with pytest.raises(Forbidden):
            write()
    with pytest.raises(Invalid, match="time zone"):
        services.change_site(by=SYSTEM, site=site, name="x", timezone="Mars/Olympus")
    assert services.change_site(by=SYSTEM, site=site, name="Lyon", timezone="Europe/Paris").timezone == "Europe/Paris"


@pytest.mark.django_db
def test_a_change_in_the_portal_travels_as_an_event() -> None:
    trial = people.trial("DEMO")
    site = people.site(trial)
    patient = people.patient(trial, at=site)
    ana = people.person("ana", "coordinator", at=trial, site=site)
    with pytest.raises(Invalid, match="contract"):
        services.send_context(by=ana, patient=patient, reason="x", kind="weather")
    with pytest.raises(Invalid, match="reason"):
        services.send_context(by=ana, patient=patient, reason="", kind="disposition", status="withdrawn")
    assert not OutboxMessage.objects.exists()
    message = services.send_context(by=ana, patient=patient, reason="Asked to.", kind="disposition", status="withdrawn")
    assert (message.topic, message.key, message.headers) == ("patient-context", "DEMO/P1", {"producer": "portal"})
    assert message.value["trial_site_id"] == "S1"
    other = people.person("bo", "coordinator", at=trial, site=people.site(trial, "S2"))
    with pytest.raises(Forbidden):
        services.send_context(by=other, patient=patient, reason="x", kind="disposition", status="died")


# ------------------------------------------------------------------ the record as it was known
@pytest.mark.django_db
def test_the_record_as_known_equals_a_plain_reading_of_its_versions() -> None:
    people.trial("DEMO")
    project("patient-context", rows("patient-context", context()))
    draw = random.Random(5)
    versions: list[dict[str, Any]] = [
        {
            "record": f"ae{draw.randrange(6)}",
            "event_type": f"E{number}",
            "event_time": START + draw.randrange(50),
            "known_time": START + draw.randrange(100),
            "epoch": draw.randrange(2),
            "offset": number,
            "retracted": draw.random() < 0.2,
        }
        for number in range(60)
    ]
    project("adverse-events", rows("adverse-events", *versions))
    for moment in range(0, 101, 5):
        holding: dict[str, dict[str, Any]] = {}
        for version in versions:
            if max(version["event_time"], version["known_time"]) > START + moment:
                continue
            held = holding.get(version["record"])
            order = (version["known_time"], version["epoch"], version["offset"])
            if held is None or order > (held["known_time"], held["epoch"], held["offset"]):
                holding[version["record"]] = version
        wanted = sorted(version["event_type"] for version in holding.values() if not version["retracted"])
        known = selectors.as_known(AdverseEvent, "DEMO/P1", at(moment))
        assert sorted(row.event_type for row in known) == wanted
    now = AdverseEvent.objects.filter(superseded=False, retracted=False)
    assert sorted(row.event_type for row in now) == wanted


@pytest.mark.django_db
def test_vital_signs_as_known_add_up_sign_by_sign() -> None:
    people.trial("DEMO")
    project("patient-context", rows("patient-context", context()))
    given = (
        {
            "record": "v",
            "heart_rate": 70.0,
            "temperature": 36.6,
            "known_time": START + 1,
            "offset": 1,
            "event_time": START,
        },
        {"record": "v", "heart_rate": 80.0, "known_time": START + 2, "offset": 2, "event_time": START},
        {"record": "v", "retracted": True, "known_time": START + 3, "offset": 3, "event_time": START},
        {"record": "v", "spo2": 97.0, "known_time": START + 4, "offset": 4, "event_time": START},
    )
    project("patient-vitals", rows("patient-vitals", *given))

    def known(moment: int) -> list[Any]:
        return [one.signs for one in selectors.vitals_as_known("DEMO/P1", at(moment))]

    assert known(0) == []
    assert known(1) == [{"heart_rate": 70.0, "temperature": 36.6}]
    assert known(2) == [{"heart_rate": 80.0, "temperature": 36.6}]
    assert known(3) == []
    assert known(4) == [{"spo2": 97.0}]
    assert selectors.vitals_as_known("DEMO/P1", at(4), since=at(1)) == []


@pytest.mark.django_db
def test_first_doses_are_those_taken() -> None:
    people.trial("DEMO")
    project("patient-context", rows("patient-context", context(), context("P2", offset=1)))
    day = int(timedelta(days=1).total_seconds())
    doses = (
        {"drug_name": "A", "study_dose": True, "outcome": "missed", "event_time": START},
        {"drug_name": "A", "study_dose": True, "outcome": "taken", "event_time": START + day},
        {"drug_name": "A", "study_dose": True, "event_time": START + 2 * day},
        {"drug_name": "ASPIRIN", "study_dose": False, "event_time": START, "patient_id": "P2"},
    )
    project("medications", rows("medications", *doses))
    assert selectors.first_doses("DEMO") == {"DEMO/P1": at(day)}


@pytest.mark.django_db
def test_a_trials_record_can_be_forgotten_and_projected_again() -> None:
    people.trial("DEMO")
    given = rows("patient-context", context())
    project("patient-context", given)
    assert forget("DEMO") == 1
    assert project("patient-context", given).written == 1


# ------------------------------------------------------------------ the demonstration
@pytest.mark.django_db
def test_the_demonstration_is_seeded_once_and_signs(
    tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from apps.accounts import demo as demo_people
    from apps.accounts.keys import authenticate_key
    from apps.accounts.models import ApiKey, RoleGrant, User
    from apps.registry import demo, effects
    from apps.registry import selectors as registry

    monkeypatch.setattr(effects, "announce", lambda **_: None)
    settings.VAR_DIR = tmp_path
    trial = demo.seed(by=SYSTEM)
    counted = (User.objects.count(), RoleGrant.objects.count(), ApiKey.objects.count(), Site.objects.count())
    demo.seed(by=SYSTEM)
    assert counted == (User.objects.count(), RoleGrant.objects.count(), ApiKey.objects.count(), Site.objects.count())
    secrets = tmp_path / "demo-secrets.json"
    assert secrets.stat().st_mode & 0o777 == 0o600
    for person in demo_people.PEOPLE:
        assert User.objects.get(username=person.username).check_password(demo_people.password_of(person.username))
    words = demo.welcome(web_port=8000)
    key = demo_people.Secrets().read()["api_key"]
    assert key in words
    assert authenticate_key(key).trial == trial
    version = people.model(trial, metrics=people.BELOW)
    assert len(list(demo.sign_release(version=version, as_silent=True))) == 2
    assert list(demo.sign_release(version=version, as_silent=True)) == []
    assert registry.serving(trial).silent  # type: ignore[union-attr]
    assert {approval.demo for approval in version.approvals.all()} == {True}
    other = people.trial("OTHER")
    demo.join_trial(by=SYSTEM, trial=other)
    coordinator = User.objects.get(username="coordinator")
    assert selectors.is_blinded(coordinator, "OTHER")
    secrets.unlink()
    demo.seed(by=SYSTEM)
    assert len(list(demo.sign_release(version=people.model(trial)))) == 2
    assert registry.serving(trial).silent is False  # type: ignore[union-attr]


@pytest.mark.django_db
def test_production_has_no_demonstration(settings: Any) -> None:
    from apps.registry import demo

    settings.DEMO_ALLOWED = False
    with pytest.raises(Forbidden):
        demo.seed(by=SYSTEM)
    assert not people.User.objects.exists()
