"""A place with two trials, everybody who may come to it, and for each address something that is really there.

A new address needs at most one row: where its pattern has a field that is no trial, patient, site or model version, name in
``OBJECTS`` what it stands for; where a POST must hold something to be understood, give it in ``BODIES``.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.contrib import admin
from django.db import connection, transaction
from django.test import Client
from django.urls import NoReverseMatch, reverse

from apps.accounts.keys import issue_key
from apps.accounts.models import ApiKey, RoleGrant, User
from apps.accounts.roles import ROLES
from apps.audit import checkpoints
from apps.audit.models import AuditEvent
from apps.audit.services import record
from apps.core import clock
from apps.core.ids import uuid7
from apps.ingestion.models import DeadLetter, ImportRun, Quarantined
from apps.patients.models import Arm, Patient, Site, Trial
from apps.pipelines.models import JobRun
from apps.predictions.models import Prediction
from apps.registry.models import ModelVersion
from clinical_portal.access.routes import Route
from clinical_portal.access.visitors import ELSEWHERE, EVERY, HERE, VISITORS, Held, Visitor
from tests.support import clinic, people
from tests.support.people import PASSWORD, SYSTEM

SIGN_IN_NAME = "walker"
ROLE_NAMES = frozenset(ROLES)


@dataclass
class Place:
    """One trial and something of every kind in it. ``sites`` are two, ``patients`` one at each."""

    trial: Trial
    sites: list[Site]
    patients: list[Patient]
    version: ModelVersion
    grant: RoleGrant
    key: ApiKey

    @property
    def run(self) -> JobRun:
        return JobRun.objects.filter(trial=self.trial, state="succeeded").first() or JobRun.objects.filter(
            trial=self.trial
        ).latest("created_at")

    @property
    def prediction(self) -> Prediction:
        return Prediction.objects.filter(patient=self.patients[0]).latest("as_of")

    @property
    def imported(self) -> ImportRun:
        return ImportRun.objects.filter(trial=self.trial).latest("created_at")

    @property
    def event(self) -> AuditEvent:
        return AuditEvent.objects.filter(trial=self.trial.pk).exclude(action="audit.exported").latest("at")

    @property
    def letter(self) -> DeadLetter:
        return DeadLetter.objects.get(key=f"{self.trial.pk}/{self.patients[0].patient_id}".encode())

    @property
    def exported(self) -> str:
        return AuditEvent.objects.filter(trial=self.trial.pk, action="audit.exported").latest("at").object_id


#: What a field stands for, by the beginning of the address's name; the longest beginning counts.
OBJECTS: dict[str, Callable[[Place], Any]] = {
    "portal:run": lambda place: place.run.pk,
    "portal:import": lambda place: place.imported.pk,
    "portal:new_import": lambda _: ImportRun.objects.get(trial__isnull=True).pk,
    "portal:lineage": lambda place: place.prediction.pk,
    "portal:letter": lambda place: place.letter.pk,
    "portal:aside": lambda place: Quarantined.objects.get(trial_id=place.trial.pk).pk,
    "portal:audit_event": lambda place: place.event.pk,
    "portal:audit_receipt": lambda place: place.event.pk,
    "portal:audit_export_file": lambda place: UUID(place.exported),
    "portal:audit_of": lambda place: place.patients[0].pk,
    "portal:arm": lambda place: Arm.objects.get(trial=place.trial).pk,
    "portal:person": lambda place: place.grant.user_id,
    "portal:profile": lambda place: place.trial.profiles.get().version,
    "api-retrain-run": lambda place: JobRun.objects.filter(trial=place.trial, job="train").latest("created_at").pk,
}
#: The same for fields that mean one thing everywhere; they come second.
FIELDS: dict[str, Callable[[Place], Any]] = {
    "trial": lambda place: place.trial.pk,
    "patient": lambda place: place.patients[0].patient_id,
    "site": lambda place: place.sites[0].site_id,
    "version": lambda place: place.version.version,
    "prediction": lambda place: place.prediction.pk,
    "object_type": lambda _: "patients.Patient",
}
#: Fields whose value is the same in every trial, and leads to something of the trial in the address.
ALIKE = frozenset({"trial", "version", "object_type"})
#: Rows of the admin's models.
ROWS: dict[str, Callable[[Place], Any]] = {
    "user": lambda place: place.grant.user_id,
    "rolegrant": lambda place: place.grant.pk,
    "apikey": lambda place: place.key.pk,
    "trial": lambda place: place.trial.pk,
    "site": lambda place: place.sites[0].pk,
    "studyprofileversion": lambda place: place.trial.profiles.get().pk,
    "modelversion": lambda place: place.version.pk,
    "auditevent": lambda place: place.event.pk,
}
#: Addresses that have nothing to show in this world, and say so with 404: with the words that tell it from a refusal.
EMPTY: dict[str, str] = {"portal:monitoring_drift_csv": "No drift has been measured"}
#: What a POST needs to be understood: the fields of a form, or of a JSON object.
BODIES: dict[str, Callable[[Place], Any]] = {
    "portal:person_account": lambda _: {"act": "keep"},
    "portal:sign_in": lambda _: {"username": SIGN_IN_NAME, "password": PASSWORD},
    "api-predict": lambda place: {"patient_id": place.patients[0].patient_id},
}


def values(route: Route, place: Place) -> dict[str, Any]:
    """What stands in the address's fields. KeyError with what to add for a field that nobody explained."""
    found = {}
    beginning = max((one for one in OBJECTS if route.name.startswith(one)), key=len, default="")
    for name in route.fields:
        if route.door == "admin":
            found[name] = _row(route, place)
        elif beginning and name not in ("trial", "object_type"):
            found[name] = OBJECTS[beginning](place)
        elif name in FIELDS:
            found[name] = FIELDS[name](place)
        else:
            raise KeyError(f"{route.name}: say in OBJECTS of tests/support/doors.py what <{name}> stands for.")
    return found


def address(route: Route, place: Place, **other: Any) -> str:
    """The address, with what is there in this place; ``other`` replaces fields."""
    if route.door == "files":
        return f"/{route.name}/css/tokens.css"
    given = {**values(route, place), **other}
    if route.name == "admin:app_list":
        return "/admin/accounts/"
    try:
        return reverse(route.name, kwargs=given)
    except NoReverseMatch:
        path = "/" + route.pattern.replace("(?P<url>.*)$", "nowhere")
        for name, value in given.items():
            for converter in ("path:", "str:", "int:", "uuid:", ""):
                path = path.replace(f"<{converter}{name}>", str(value))
        return path


def body(route: Route, place: Place) -> tuple[bytes, str]:
    """What a POST sends, and its content type."""
    found = next((one for one in BODIES if route.name.startswith(one)), None)
    data = BODIES[found](place) if found else {}
    if route.door == "api":
        return json.dumps(data).encode(), "application/json"
    return urlencode(data).encode(), "application/x-www-form-urlencoded"


def empty(route: Route, method: str, answer: Any) -> bool:
    """Whether a 404 says that there is nothing to show yet. A HEAD has no words; its GET has been asked before."""
    words = EMPTY.get(route.name)
    return words is not None and (method == "HEAD" or words in answer.content.decode())


def missing(route: Route, place: Place) -> dict[str, Any]:
    """What stands in the fields of an address that leads nowhere: of the same form, and nobody's."""
    made: dict[str, Any] = {}
    for name, value in values(route, place).items():
        if isinstance(value, UUID):
            made[name] = uuid7()
        else:
            made[name] = 987_654 if isinstance(value, int) else "nowhere"
    return made


def _row(route: Route, place: Place) -> Any:
    for model in admin.site._registry:
        name = model._meta.model_name
        if f"{model._meta.app_label}_{name}_" in route.name or f"/{name}/" in route.pattern:
            if name in ROWS:
                return ROWS[name](place)
            first = model._default_manager.first()
            return first.pk if first is not None else _made(model)
    return 1  # the admin's own pages: there is no such object


def _made(model: Any) -> Any:
    """Something of a package's own model."""
    if model._meta.model_name == "periodictask":
        from django_celery_beat.models import IntervalSchedule

        every = IntervalSchedule.objects.create(every=1, period="hours")
        return model.objects.create(name="hourly", task="pipelines.clean", interval=every).pk
    raise KeyError(f"{model._meta.label}: say in ROWS of tests/support/doors.py what an address of it leads to.")


@dataclass
class World:
    """Two places, and a client for everybody; ``keys`` are the texts of the keys."""

    here: Place
    other: Place
    clients: dict[str, Client] = field(default_factory=dict)
    users: dict[str, User] = field(default_factory=dict)

    def client(self, visitor: Visitor) -> Client:
        return self.clients[visitor.name]


def world(now: datetime) -> World:
    """Everything, in the open transaction."""
    ward = clinic.ward(now, patients=4, days=1)
    owner = people.person("owner")
    here = _here(ward, owner)
    made = World(here, _elsewhere(now, owner, here.prediction))
    for number, place in enumerate((made.here, made.other)):
        _things(place, number)
    new = ImportRun(trial_name="NEW", source="/data/new", state="failed", by="Operator", started_at=now)
    _quietly(new.save, force_insert=True)
    people.person(SIGN_IN_NAME)
    for visitor in VISITORS:
        made.clients[visitor.name] = _client(visitor, made, owner)
    checkpoints.seal(everything=True)
    return made


def _here(ward: clinic.Ward, owner: User) -> Place:
    grant = people.grant(owner, "coordinator", at=ward.trial, site=ward.sites[0])
    version = people.model(ward.trial)
    return Place(ward.trial, ward.sites[:2], ward.patients[:2], version, grant, _key(owner, ward.trial)[0])


def _elsewhere(now: datetime, owner: User, like: Prediction) -> Place:
    trial = people.trial("OTHER")
    sites = [people.site(trial, name) for name in ("801", "804")]
    patients = [people.patient(trial, f"{site.site_id}-1", at=site) for site in sites]
    version = people.model(trial)
    like.pk, like._state.adding = uuid7(), True
    like.trial, like.patient, like.model_version, like.profile_version = (
        trial,
        patients[0],
        version,
        trial.profiles.get(),
    )
    _quietly(like.save, force_insert=True)
    for job in ("clean", "train"):
        JobRun.objects.create(job=job, trial=trial, state="succeeded", by="beat", created_at=now, finished_at=now)
    run = ImportRun(
        trial=trial, trial_name=trial.pk, source="/data/x", state="succeeded", by="Operator", started_at=now
    )
    _quietly(run.save, force_insert=True)
    their_own = people.grant(people.person("stranger"), "coordinator", at=trial)
    return Place(trial, sites, patients, version, their_own, _key(owner, trial)[0])


def _things(place: Place, number: int) -> None:
    """One of everything that neither the ward nor the other trial has: set aside, refused, exported, an arm."""
    where = {"topic": "patient-vitals", "topic_id": "t", "partition": number, "offset": 1}
    key = f"{place.trial.pk}/{place.patients[0].patient_id}"
    letter = DeadLetter(**where, key=key.encode(), raw=b"{", reasons=[{"rule": "json", "message": "No JSON."}])
    aside = Quarantined(
        **where, trial_id=place.trial.pk, patient=key, rule="impossible_value", message="No such pulse."
    )
    for thing in (letter, aside, Arm(trial=place.trial, code="0", name="Placebo")):
        _quietly(thing.save, force_insert=True)
    with transaction.atomic():
        record(
            by=SYSTEM,
            action="audit.exported",
            object_type="audit.AuditEvent",
            object_id=str(uuid7()),
            trial=place.trial.pk,
            after={"form": "zip", "parts": 0},
        )


def _client(visitor: Visitor, made: World, owner: User) -> Client:
    if visitor.key:
        trial = (made.here if visitor.key_trial == HERE else made.other).trial
        site = made.here.sites[1].site_id if visitor.key_site == ELSEWHERE else ""
        key, text = _key(owner, trial, *visitor.scopes, sites=[site] if site else [])
        if visitor.revoked:
            _quietly(ApiKey.objects.filter(pk=key.pk).update, revoked_at=clock.now())
        return Client(raise_request_exception=False, headers={"Authorization": f"Api-Key {text}"})
    client = Client(raise_request_exception=False)
    if visitor.name == "anonymous":
        return client
    user = people.person(visitor.name.replace("_", "-"))
    for held in visitor.roles:
        _give(user, held, made)
    made.users[visitor.name] = user
    staff = any(ROLES[held.role].staff for held in visitor.roles)
    _quietly(User.objects.filter(pk=user.pk).update, is_staff=staff)
    client.force_login(User.objects.get(pk=user.pk), backend="apps.accounts.backends.HouseBackend")
    if not visitor.signed_in:
        _quietly(User.objects.filter(pk=user.pk).update, is_active=False)
    return client


def _give(user: User, held: Held, made: World) -> None:
    trial = {HERE: made.here.trial, ELSEWHERE: made.other.trial, EVERY: None}[held.trial]
    people.grant(user, held.role, at=trial, site=made.here.sites[1] if held.site == ELSEWHERE else None)


def _key(owner: User, trial: Trial, *scopes: str, sites: list[str] | None = None) -> tuple[ApiKey, str]:
    return issue_key(
        by=SYSTEM,
        owner=owner,
        name="door",
        trial=trial,
        scopes=scopes or ("read",),
        sites=sites or (),
        expires_at=clock.now() + timedelta(days=30),
    )


def _quietly(write: Callable[..., Any], **values: Any) -> None:
    """A write for the preparation, past the triggers that ask for its audit event."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        write(**values)
        cursor.execute("SET LOCAL session_replication_role = origin")
