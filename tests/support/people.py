"""People, trials and models for tests, made through the services or straight into the tables where that is the point."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import Any

from django.db import transaction

from apps.accounts.courses import COURSES, REQUIRED
from apps.accounts.models import RoleGrant, TrainingRecord, User
from apps.audit.actors import Actor
from apps.audit.services import record
from apps.core import clock
from apps.patients.models import Patient, Site, StudyProfileVersion, Trial
from apps.registry import services as registry
from apps.registry.models import ModelVersion
from ml.profile import StudyProfile

SYSTEM = Actor.process("test")
PASSWORD = "a-long-test-password-1"


def evaluation(auroc: float = 0.86, **gaps: dict[str, float]) -> dict[str, Any]:
    """As much of an evaluation as gates read."""
    return {
        "figures": {
            "auroc": {"value": auroc, "low": auroc - 0.02, "high": auroc + 0.02},
            "ece": {"value": 0.02, "low": 0.01, "high": 0.03},
        },
        "comparisons": {
            name: {"auroc": {"value": auroc - 0.02}, "gain": {"value": 0.02, "low": 0.0, "high": 0.04}}
            for name in ("logistic", "day_arm_dose")
        },
        "gaps": {
            "age": {"value": 0.01, "low": 0.0, "high": 0.02},
            "sex": {"value": 0.01, "low": 0.0, "high": 0.02},
            **gaps,
        },
        "latency_ms_single": {"value": 3.0},
    }


GOOD = evaluation()
BELOW = evaluation(0.64)


def trial(trial_id: str = "DEMO", *, blinded: bool = True, **profile: Any) -> Trial:
    """A trial with a study profile."""
    made = Trial.objects.create(trial_id=trial_id, name=f"Trial {trial_id}", simulated=True)
    publish(made, blinded=blinded, **profile)
    return made


def publish(of: Trial, **values: Any) -> StudyProfileVersion:
    """The next version of its profile."""
    number = of.profiles.count() + 1
    body = StudyProfile(trial_id=of.pk, version=number, **values)
    version = StudyProfileVersion(
        trial=of, version=number, body=body.to_json(), digest=body.digest, created_by=SYSTEM.name
    )
    with transaction.atomic():
        record(by=SYSTEM, action="patients.profile_published", obj=version)
        version.save(force_insert=True)
    return version


def person(username: str, *roles: str, at: Trial | None = None, site: Site | None = None, **fields: Any) -> User:
    """A person with a verified identity, the test password and these roles (for every trial where ``at`` is None)."""
    user = User(
        username=username,
        printed_name=fields.pop("printed_name", username.title()),
        identity_verified_at=fields.pop("identity_verified_at", clock.now()),
        **fields,
    )
    user.set_password(PASSWORD)
    user.save()
    for role in roles:
        grant(user, role, at=at, site=site)
    return user


def alter(user: User, **values: Any) -> None:
    """Change columns of an account as an operator's script would: with the record that the database asks for."""
    with transaction.atomic():
        record(by=SYSTEM, action="accounts.user_changed", obj=user)
        User.objects.filter(pk=user.pk).update(**values)


def trained(user: User, role: str) -> User:
    """Current records of every course the role asks for."""
    day = clock.now().date() - timedelta(days=30)
    held = set(TrainingRecord.objects.filter(user=user).values_list("course", flat=True))
    for name in REQUIRED[role]:
        if name not in held:
            ends = day + timedelta(days=COURSES[name].valid_days or 0)
            row = TrainingRecord(
                user=user, course=name, completed_on=day, expires_on=ends, evidence="Test", recorded_by=SYSTEM.name
            )
            with transaction.atomic():
                record(by=SYSTEM, action="accounts.training_recorded", obj=row)
                row.save(force_insert=True)
    return user


def grant(user: User, role: str, *, at: Trial | None = None, site: Site | None = None) -> RoleGrant:
    """A grant, with its audit event, to somebody trained for it."""
    trained(user, role)
    made = RoleGrant(user=user, role=role, trial=at, site=site, granted_by=SYSTEM.name)
    with transaction.atomic():
        record(by=SYSTEM, action="accounts.role_granted", obj=made, trial="")
        made.save(force_insert=True)
    return made


def site(of: Trial, site_id: str = "S1") -> Site:
    """A site of the trial."""
    return Site.objects.create(key=f"{of.pk}/{site_id}", trial=of, site_id=site_id)


def patient(of: Trial, patient_id: str = "P1", *, at: Site | None = None) -> Patient:
    """A patient of the trial."""
    return Patient.objects.create(key=f"{of.pk}/{patient_id}", trial=of, patient_id=patient_id, site=at)


def model(of: Trial, *, metrics: dict[str, Any] | None = None, trained_by: User | None = None) -> ModelVersion:
    """A registered version; with GOOD metrics in staging, with BELOW a candidate."""
    return registry.register(
        by=SYSTEM,
        trial=of,
        name="adverse-event-predictor",
        metrics=metrics if metrics is not None else GOOD,
        digests={"model.safetensors": hashlib.sha256(b"weights").hexdigest()},
        data_version=hashlib.sha256(b"data").hexdigest(),
        bundle_path="models/1",
        git_commit="0" * 40,
        trained_by=trained_by,
    )
