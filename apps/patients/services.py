"""Writes about trials, profiles and sites. Patients and their records come as events: see ``projection``."""

from __future__ import annotations

import json
import re
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction

from apps.accounts.models import User
from apps.accounts.permissions import check, is_blinded
from apps.audit.actors import Actor
from apps.audit.services import record, snapshot
from apps.core import clock
from apps.core.errors import Conflict, Forbidden, Invalid
from apps.core.models import OutboxMessage
from apps.patients import selectors
from apps.patients.models import Arm, Patient, Site, StudyProfileVersion, Trial
from ml.contracts import Refused, validate
from ml.profile import StudyProfile

SITE_FIELDS = ("name", "timezone")
IDENTIFIER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}")
LONGEST_NAME, LONGEST_ARM_CODE = 200, 40


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


def create_study(*, by: User | Actor, name: str, profile: StudyProfile, reason: str) -> Trial:
    """Create a trial together with its first profile, so that it is never without one; both or neither."""
    with transaction.atomic():
        trial = create_trial(by=by, trial_id=profile.trial_id, name=name, simulated=profile.simulated)
        publish_profile(by=by, profile=profile, reason=reason)
    return trial


def change_trial(*, by: User | Actor, trial: Trial, name: str) -> Trial:
    """Change how a trial is called; its identifier stays. Raises Forbidden, Invalid for an empty name."""
    actor = _actor(by, "change_study", trial)
    if not 0 < len(name.strip()) <= LONGEST_NAME:
        raise Invalid("A trial's name has 1 to 200 characters.", cure="Enter one.", code="name")
    with transaction.atomic():
        trial = Trial.objects.select_for_update().get(pk=trial.pk)
        before, trial.name = {"name": trial.name}, name.strip()
        after = {"name": trial.name}
        record(by=actor, action="patients.trial_changed", obj=trial, trial=trial.pk, before=before, after=after)
        trial.save(update_fields=["name"])
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
    """Create a site, or return the one that a context event has made. Raises Forbidden, Invalid for an unknown zone or
    an identifier that no event could name."""
    actor = _actor(by, "manage_sites", trial)
    _zone(timezone)
    if not IDENTIFIER.fullmatch(site_id):
        raise Invalid(
            f"{site_id!r} cannot name a site.", cure="Use letters, digits and . _ : - , as the data do.", code="site_id"
        )
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


def close_site(*, by: User | Actor, site: Site, reason: str) -> Site:
    """Close a site: its patients and people stay, nobody new is given a role there. Conflict if it is closed."""
    return _open_or_close(by, site, "patients.site_closed", reason, closes=True)


def reopen_site(*, by: User | Actor, site: Site, reason: str) -> Site:
    """Open a closed site again. Conflict if it is open."""
    return _open_or_close(by, site, "patients.site_reopened", reason, closes=False)


def create_arm(*, by: User | Actor, trial: Trial, code: str, name: str) -> Arm:
    """Set up an arm under the code that context events use. Raises Forbidden (also for who is blinded in the trial),
    Invalid for an unfit code or name, Conflict if it is set up already."""
    actor = _arms(by, trial)
    code, name = code.strip(), name.strip()
    if not 0 < len(code) <= LONGEST_ARM_CODE:
        raise Invalid("An arm's code has 1 to 40 characters.", cure="Use the one the data use.", code="code")
    arm = Arm(trial=trial, code=code, name=_arm_name(name))
    try:
        with transaction.atomic():
            record(by=actor, action="patients.arm_created", obj=arm, after=snapshot(arm, fields=("code", "name")))
            arm.save(force_insert=True)
    except IntegrityError as error:
        raise Conflict(
            f"The arm {code} is set up already.", cure="Rename or reinstate that one.", code="arm"
        ) from error
    return arm


def change_arm(*, by: User | Actor, arm: Arm, name: str) -> Arm:
    """Change how an arm is called; its code stays. Raises Forbidden, Invalid."""
    actor = _arms(by, arm.trial)
    with transaction.atomic():
        arm = Arm.objects.select_for_update().get(pk=arm.pk)
        before, arm.name = snapshot(arm, fields=("code", "name")), _arm_name(name.strip())
        after = snapshot(arm, fields=("code", "name"))
        record(by=actor, action="patients.arm_changed", obj=arm, before=before, after=after)
        arm.save(update_fields=["name"])
    return arm


def withdraw_arm(*, by: User | Actor, arm: Arm, reason: str) -> Arm:
    """Take an arm back that was set up by mistake; events that name it are pointed out. Conflict if it is withdrawn."""
    return _withdraw(by, arm, "patients.arm_withdrawn", reason, withdraws=True)


def reinstate_arm(*, by: User | Actor, arm: Arm, reason: str) -> Arm:
    """Set a withdrawn arm up again. Conflict if it stands."""
    return _withdraw(by, arm, "patients.arm_reinstated", reason, withdraws=False)


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


def _open_or_close(by: User | Actor, site: Site, action: str, reason: str, *, closes: bool) -> Site:
    actor = _actor(by, "manage_sites", site.trial_id)
    with transaction.atomic():
        site = Site.objects.select_for_update().get(pk=site.pk)
        if (site.closed_at is not None) is closes:
            raise Conflict(f"Site {site.site_id} is {'closed' if closes else 'open'} already.", code="site_state")
        before, site.closed_at = {"closed_at": site.closed_at}, clock.now() if closes else None
        record(by=actor, action=action, obj=site, before=before, after={"closed_at": site.closed_at}, reason=reason)
        site.save(update_fields=["closed_at"])
    return site


def _withdraw(by: User | Actor, arm: Arm, action: str, reason: str, *, withdraws: bool) -> Arm:
    actor = _arms(by, arm.trial)
    with transaction.atomic():
        arm = Arm.objects.select_for_update().get(pk=arm.pk)
        if (arm.withdrawn_at is not None) is withdraws:
            raise Conflict(f"The arm {arm.code} {'is withdrawn' if withdraws else 'stands'} already.", code="arm_state")
        before, arm.withdrawn_at = {"withdrawn_at": arm.withdrawn_at}, clock.now() if withdraws else None
        after = {"withdrawn_at": arm.withdrawn_at}
        record(by=actor, action=action, obj=arm, before=before, after=after, reason=reason)
        arm.save(update_fields=["withdrawn_at"])
    return arm


def _arms(by: User | Actor, trial: Trial) -> Actor:
    """Who keeps arms sees them: not for who also holds a role that is blinded in this trial."""
    actor = _actor(by, "manage_arms", trial)
    if isinstance(by, User) and is_blinded(by, trial, blinded_study=selectors.profile(trial.pk).blinded):
        raise Forbidden("You are blinded in this trial.", cure="Ask an administrator who is not.", code="blinded")
    return actor


def _arm_name(name: str) -> str:
    if not 0 < len(name) <= LONGEST_NAME:
        raise Invalid("An arm's name has 1 to 200 characters.", cure="Enter one.", code="name")
    return name


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
