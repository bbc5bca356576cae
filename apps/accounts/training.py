"""Training records: written once by somebody else than the trained, and read to say who may hold a role and sign."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Literal

from django.db import transaction

from apps.accounts.courses import COURSES, REQUIRED, Course
from apps.accounts.models import RoleGrant, TrainingRecord, User
from apps.accounts.permissions import check
from apps.accounts.roles import ROLES
from apps.audit.actors import Actor
from apps.audit.services import record, snapshot
from apps.core import clock
from apps.core.errors import Conflict, Forbidden, Invalid

#: So many days before a course lapses the person and the administrators are told.
WARN_DAYS = 30
FIELDS = ("course", "completed_on", "expires_on", "evidence", "void")
State = Literal["current", "ending", "lapsed", "missing"]


@dataclass(frozen=True, slots=True)
class Standing:
    """How a person stands with one course; ``days``: until (or, negative, since) its last day, None where there is none."""

    course: Course
    state: State
    record: TrainingRecord | None
    days: int | None

    @property
    def counts(self) -> bool:
        """Whether it lets them hold a role and sign today."""
        return self.state in ("current", "ending")


def record_training(
    *,
    by: User | Actor,
    user: User,
    course: str,
    completed_on: date,
    evidence: str,
    trial: Any = None,
    corrects: TrainingRecord | None = None,
    void: bool = False,
    reason: str = "",
) -> TrainingRecord:
    """Record that the person completed a course; how long it counts is the course's. ``trial``: for which of their
    trials the recorder acts. With ``corrects`` an earlier record no longer counts (``void``: and this one neither).

    Raises Forbidden (also for one's own training), Invalid for an unknown course, a day to come or no evidence, Conflict
    where the earlier record has been corrected already.
    """
    known = COURSES.get(course)
    if known is None:
        raise Invalid(f"There is no course {course}.", cure=f"Choose among {', '.join(COURSES)}.", code="course")
    actor = _recorder(by, user, trial)
    if completed_on > clock.now().date():
        raise Invalid(
            "A course is recorded once it is completed.", cure="Enter a day not after today.", code="completed_on"
        )
    if not evidence.strip():
        raise Invalid(
            "Say where the evidence lies.", cure="For instance: certificate 4711 in the site file.", code="evidence"
        )
    expires = None if known.valid_days is None else completed_on + timedelta(days=known.valid_days)
    row = TrainingRecord(
        user=user, course=course, completed_on=completed_on, expires_on=expires, evidence=evidence.strip(),
        recorded_by=actor.name, corrects=corrects, void=void,
    )  # fmt: skip
    with transaction.atomic():
        before = None
        if corrects is not None:
            before = _correctable(corrects, user)
        action = "accounts.training_recorded" if corrects is None else "accounts.training_corrected"
        after = {"user": user.username, **snapshot(row, fields=FIELDS)}
        record(by=actor, action=action, obj=row, trial=_key(trial), before=before, after=after, reason=reason)
        row.save(force_insert=True)
    return row


def standings(users: Iterable[User]) -> Mapping[int, dict[str, Standing]]:
    """By person and course how they stand, every course of the table, in one query."""
    people = [user.pk for user in users]
    best: dict[tuple[int, str], TrainingRecord] = {}
    rows = TrainingRecord.objects.filter(user_id__in=people, void=False, corrected_by__isnull=True)
    for row in rows.order_by("completed_on", "id"):
        held = best.get((row.user_id, row.course))
        if held is None or _last(row) >= _last(held):
            best[row.user_id, row.course] = row
    today = clock.now().date()
    found: dict[int, dict[str, Standing]] = defaultdict(dict)
    for person in people:
        for name, course in COURSES.items():
            found[person][name] = _standing(course, best.get((person, name)), today)
    return found


def standing_of(user: User) -> dict[str, Standing]:
    """How one person stands, by course."""
    return standings([user])[user.pk]


def required_of(user: User) -> tuple[str, ...]:
    """The courses that the roles a person holds now ask for, in the table's order."""
    held = set(RoleGrant.objects.in_force().filter(user=user).values_list("role", flat=True))
    wanted = {course for role in held if role in REQUIRED for course in REQUIRED[role]}
    return tuple(name for name in COURSES if name in wanted)


def lacking(user: User, role: str) -> list[Course]:
    """The courses the role asks for of which the person has no current record."""
    standing = standing_of(user)
    return [COURSES[name] for name in REQUIRED[role] if not standing[name].counts]


def check_for_role(user: User, role: str) -> None:
    """Raise Conflict unless the person's training for the role is current (21 CFR 11.10(i))."""
    missing = lacking(user, role)
    if missing:
        raise Conflict(
            f"{user} has no current training record for the role {ROLES[role].label}: "
            + ", ".join(course.title for course in missing) + ".",
            cure="Record the training first.",
            code="training_missing",
        )  # fmt: skip


def check_for_signing(user: User) -> None:
    """Raise Forbidden where a course that one of the person's roles asks for has lapsed or was never recorded."""
    standing = standing_of(user)
    missing = [standing[name] for name in required_of(user) if not standing[name].counts]
    if missing:
        raise Forbidden(
            f"{user} cannot sign: training is not current ({', '.join(one.course.title for one in missing)}).",
            cure="Renew it and have an administrator record it.",
            code="training_lapsed",
        )


def _standing(course: Course, row: TrainingRecord | None, today: date) -> Standing:
    if row is None:
        return Standing(course, "missing", None, None)
    if row.expires_on is None:
        return Standing(course, "current", row, None)
    days = (row.expires_on - today).days
    state: State = "lapsed" if days < 0 else "ending" if days <= WARN_DAYS else "current"
    return Standing(course, state, row, days)


def _last(row: TrainingRecord) -> date:
    return row.expires_on or date.max


def _correctable(corrects: TrainingRecord, user: User) -> dict[str, Any]:
    old = TrainingRecord.objects.select_for_update().get(pk=corrects.pk)
    if old.user_id != user.pk:
        raise Invalid("That record is another person's.", code="corrects")
    if TrainingRecord.objects.filter(corrects=old).exists():
        raise Conflict("This record has been corrected already.", cure="Correct the newer one.", code="corrected")
    return {"id": old.pk, **snapshot(old, fields=FIELDS)}


def _recorder(by: User | Actor, user: User, trial: Any) -> Actor:
    if isinstance(by, Actor):
        if by.type != "process":
            raise Forbidden("Only a person or a system process may do this.", code="not_permitted")
        return by
    check(by, "record_training", trial=trial)
    if by.pk == user.pk:
        raise Forbidden("Nobody records their own training.", cure="Ask another administrator.", code="own_training")
    return Actor.person(by)


def _key(trial: Any) -> str:
    return "" if trial is None else str(getattr(trial, "pk", trial))
