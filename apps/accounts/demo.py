"""The people of the demonstration. Their passwords are drawn when they are made and kept in a file under ``var/`` that
only its owner may read; nothing here is a secret, and nothing here is for production."""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.conf import settings

from apps.accounts import keys, services, training
from apps.accounts.models import ApiKey, RoleGrant, User
from apps.accounts.roles import (
    ADMINISTRATOR,
    AUDITOR,
    COORDINATOR,
    ML_ENGINEER,
    MODEL_APPROVER,
    ROLES,
    SAFETY_REVIEWER,
)
from apps.audit.actors import Actor
from apps.core import clock
from apps.core.errors import Forbidden

KEY_DAYS = 90


@dataclass(frozen=True, slots=True)
class Person:
    """One demo person; ``site`` limits their role to that site of the demo trial."""

    username: str
    printed_name: str
    role: str
    site: str = ""


PEOPLE: tuple[Person, ...] = (
    Person("coordinator", "Ana Ruiz (demo)", COORDINATOR),
    Person("coordinator-01", "Jonas Berg (demo)", COORDINATOR, site="01"),
    Person("reviewer", "Mei Tanaka (demo)", SAFETY_REVIEWER),
    Person("engineer", "Tom Okafor (demo)", ML_ENGINEER),
    Person("approver-one", "Clara Weiss (demo)", MODEL_APPROVER),
    Person("approver-two", "David Novak (demo)", MODEL_APPROVER),
    Person("auditor", "Irene Costa (demo)", AUDITOR),
    Person("administrator", "Paul Martin (demo)", ADMINISTRATOR),
)
APPROVERS = tuple(person.username for person in PEOPLE if person.role == MODEL_APPROVER)


class Secrets:
    """The file of the demo's passwords and key: {"passwords": {name: password}, "api_key": text}."""

    def __init__(self) -> None:
        self.path = Path(settings.VAR_DIR) / "demo-secrets.json"

    def read(self) -> dict[str, Any]:
        """What is in it; empty where it is not there."""
        try:
            body: dict[str, Any] = json.loads(self.path.read_text())
        except FileNotFoundError:
            body = {}
        return {"passwords": {}, "fits": {}, "api_key": "", **body}

    def write(self, body: dict[str, Any]) -> None:
        """Replace it; readable by its owner only from the first byte on."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        draft = self.path.with_suffix(f".{os.getpid()}")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump(body, file, indent=1)
        draft.replace(self.path)


def refuse_production() -> None:
    """Raise Forbidden unless the settings are those of a demonstration or a test."""
    if not settings.DEMO_ALLOWED:
        raise Forbidden("The demonstration is not made in production.", cure="Create people one by one.", code="demo")


def seed_people(*, by: Actor, trial: Any, sites: dict[str, Any]) -> list[User]:
    """Create the demo's people, once, with roles in ``trial`` (``sites`` by bare identifier). Repeating it changes
    nothing; a password that was lost is drawn anew."""
    refuse_production()
    file = Secrets()
    kept = file.read()
    made = []
    for person in PEOPLE:
        user = User.objects.filter(username_key=person.username).first()
        password = kept["passwords"].get(person.username, "")
        # hashing takes a third of a second a person: the hash that was once found to fit is remembered
        fits = user is not None and kept["fits"].get(person.username) == user.password
        if user is None or not password or not (fits or user.check_password(password)):
            password = secrets.token_urlsafe(12)
            user = _with_password(by, user, person, password)
            kept["passwords"][person.username] = password
            fits = False
        if not fits:
            user.refresh_from_db(fields=["password"])  # a check may have hashed it anew
            kept["fits"][person.username] = user.password
            file.write(kept)
        join(by=by, user=user, person=person, trial=trial, sites=sites)
        made.append(user)
    return made


def join(*, by: Actor, user: User, person: Person, trial: Any, sites: dict[str, Any]) -> None:
    """Give a demo person their role: for every trial where the role allows it, else in this one."""
    everywhere = ROLES[person.role].every_trial
    site = sites.get(person.site)
    if person.site and site is None:
        return
    for course in training.lacking(user, person.role):
        training.record_training(
            by=by, user=user, course=course.name, completed_on=clock.now().date(),
            evidence="A demonstration's record: nobody was trained.",
        )  # fmt: skip
    held = RoleGrant.objects.in_force().filter(user=user, role=person.role)
    held = held.filter(trial__isnull=True) if everywhere else held.filter(trial=trial, site=site)
    if not held.exists():
        services.grant_role(by=by, user=user, role=person.role, trial=None if everywhere else trial, site=site)


def seed_key(*, by: Actor, trial: Any) -> str:
    """The text of the demo's API key, issued anew where the old one is lost, ended or about to."""
    refuse_production()
    file = Secrets()
    kept = file.read()
    if kept["api_key"]:
        prefix = kept["api_key"].split("_")[1]
        soon = clock.now() + timedelta(days=1)
        if ApiKey.objects.filter(prefix=prefix, trial=trial, revoked_at__isnull=True, expires_at__gt=soon).exists():
            return str(kept["api_key"])
    _, text = keys.issue_key(
        by=by,
        owner=User.objects.get(username_key="engineer"),
        name="demo",
        trial=trial,
        scopes=("predict", "read"),
        expires_at=clock.now() + timedelta(days=KEY_DAYS),
    )
    kept["api_key"] = text
    file.write(kept)
    return text


def password_of(username: str) -> str:
    """A demo person's password. KeyError where there is none."""
    return str(Secrets().read()["passwords"][username])


def _with_password(by: Actor, user: User | None, person: Person, password: str) -> User:
    if user is None:
        return services.create_user(
            by=by,
            username=person.username,
            printed_name=person.printed_name,
            password=password,
            identity_verified=True,
            own_password=True,
            demo=True,
        )
    first = secrets.token_urlsafe(12)
    user = services.reset_password(by=by, user=user, password=first)
    return services.change_password(by=user, old=first, new=password)
