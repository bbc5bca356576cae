"""Writes about trials, profiles and sites. Patients and their records come as events: see ``projection``."""

from __future__ import annotations

import json
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction

from apps.accounts.models import User
from apps.accounts.permissions import check
from apps.audit.actors import Actor
from apps.audit.services import record, snapshot
from apps.core import clock
from apps.core.errors import Conflict, Forbidden, Invalid
from apps.core.models import OutboxMessage
from apps.patients.models import Patient, Site, StudyProfileVersion, Trial
from ml.contracts import Refused, validate
from ml.profile import StudyProfile

SITE_FIELDS = ("name", "timezone")


def create_trial(*, by: User | Actor, trial_id: str, name: str, simulated: bool = False) -> Trial:
    """Create a trial. Raises Forbidden, Conflict if it exists, Invalid for an unfit identifier."""
    actor = _actor(by, "manage_trials", None)
    trial = Trial(trial_id=trial_id, name=name.strip() or trial_id, simulated=simulated)
    try:
        trial.full_clean(validate_unique=False)
    except ValidationError as error:
        raise Invalid(
            f"{trial_id!r} cannot name a trial.", cure="Use letters, digits and . _ : - , no slash.", code="trial_id"
        ) from error
    try:
        with transaction.atomic():
            trial.save(force_insert=True)
            after = snapshot(trial, fields=("name", "simulated"))
            record(by=actor, action="patients.trial_created", obj=trial, trial=trial.pk, after=after)
    except IntegrityError as error:
        raise Conflict(f"The trial {trial_id} exists already.", code="trial_exists") from error
    return trial


def publish_profile(*, by: User | Actor, profile: StudyProfile, reason: str = "") -> StudyProfileVersion:
    """Publish the next version of a trial's profile; a version is never changed. The number in ``profile`` must be the
    next one. Publishing again what is newest already changes nothing. Raises Forbidden, Conflict for another number."""
    trial_id = profile.trial_id
    actor = _actor(by, "publish_profile", trial_id)
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(hashtext('profile'), hashtext(%s))", [trial_id])
        newest = StudyProfileVersion.objects.filter(trial_id=trial_id).order_by("-version").first()
        if newest is not None and newest.digest == profile.digest:
            return newest
        following = 1 if newest is None else newest.version + 1
        if profile.version != following:
            raise Conflict(
                f"The next profile of {trial_id} is version {following}, not {profile.version}.",
                cure=f"Publish it as version {following}.",
                code="profile_version",
            )
        version = StudyProfileVersion(
            trial_id=trial_id,
            version=profile.version,
            body=profile.to_json(),
            digest=profile.digest,
            created_by=actor.name,
            reason=reason,
        )
        record(
            by=actor,
            action="patients.profile_published",
            obj=version,
            before=None if newest is None else newest.body,
            after=version.body,
            reason=reason,
        )
        version.save(force_insert=True)
    return version


def create_site(*, by: User | Actor, trial: Trial, site_id: str, name: str = "", timezone: str = "UTC") -> Site:
    """Create a site, or return the one that a context event has made. Raises Forbidden, Invalid for an unknown zone."""
    actor = _actor(by, "manage_sites", trial)
    _zone(timezone)
    with transaction.atomic():
        site, made = Site.objects.get_or_create(
            key=f"{trial.pk}/{site_id}",
            defaults={"trial": trial, "site_id": site_id, "name": name.strip(), "timezone": timezone},
        )
        if made:
            record(by=actor, action="patients.site_created", obj=site, after=snapshot(site, fields=SITE_FIELDS))
    return site


def change_site(*, by: User | Actor, site: Site, name: str, timezone: str) -> Site:
    """Change a site's name and time zone. Raises Forbidden, Invalid for an unknown zone."""
    actor = _actor(by, "manage_sites", site.trial_id)
    _zone(timezone)
    with transaction.atomic():
        site = Site.objects.select_for_update().get(pk=site.pk)
        before = snapshot(site, fields=SITE_FIELDS)
        site.name, site.timezone = name.strip(), timezone
        after = snapshot(site, fields=SITE_FIELDS)
        record(by=actor, action="patients.site_changed", obj=site, before=before, after=after)
        site.save(update_fields=list(SITE_FIELDS))
    return site


def send_context(*, by: User, patient: Patient, reason: str, **values: Any) -> OutboxMessage:
    """Send a change of a patient's context as an event, through the outbox; the tables change when it comes back.

    ``values`` are columns of ``patient-context`` (kind and what belongs to it). Raises Forbidden, Invalid where the
    message would break its contract or a reason is missing.
    """
    check(by, "change_patient", trial=patient.trial_id, site=patient.site)
    actor = Actor.person(by)
    body = {
        "trial_id": patient.trial_id,
        "patient_id": patient.patient_id,
        "timestamp": clock.now().isoformat().replace("+00:00", "Z"),
        **({"trial_site_id": patient.site.site_id} if patient.site else {}),
        **values,
    }
    verdict = validate("patient-context", json.dumps(body).encode())
    if isinstance(verdict, Refused):
        raise Invalid(
            "This change breaks the contract of patient context.", cure="Correct the values.", code="contract"
        )
    with transaction.atomic():
        message = OutboxMessage.objects.create(
            topic="patient-context", key=patient.key, value=body, headers={"producer": "portal"}
        )
        record(by=actor, action="patients.patient_changed", obj=patient, after=body, reason=reason)
    return message


def _zone(name: str) -> None:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise Invalid(f"{name} is no time zone.", cure="Use a name such as Europe/Madrid.", code="timezone") from error


def _actor(by: User | Actor, permission: str, trial: Trial | str | None) -> Actor:
    if isinstance(by, Actor):
        if by.type != "process":
            raise Forbidden("Only a person or a system process may do this.", code="not_permitted")
        return by
    check(by, permission, trial=trial)
    return Actor.person(by)
