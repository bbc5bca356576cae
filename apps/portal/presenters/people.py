"""People in words: their roles, training and state, as a list, as a page, and as a table to take along."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from apps.accounts.courses import COURSES, REQUIRED
from apps.accounts.models import RoleGrant, TrainingRecord, User
from apps.accounts.roles import ROLES
from apps.accounts.selectors import OpenSession
from apps.accounts.training import Standing
from apps.core import clock, spreadsheet
from apps.portal.presenters import words
from apps.portal.presenters.runs import StateLook

LOOKS = {
    "current": StateLook("good", "tick", "Current"),
    "ending": StateLook("open", "half", "Ends soon"),
    "lapsed": StateLook("bad", "cross", "Lapsed"),
    "missing": StateLook("quiet", "ring", "Not recorded"),
    "active": StateLook("good", "tick", "Active"),
    "deactivated": StateLook("quiet", "cross", "Deactivated"),
}


@dataclass(frozen=True, slots=True)
class GrantRow:
    id: str
    role: str
    where: str
    since: str
    until: str
    by: str
    ended: str


@dataclass(frozen=True, slots=True)
class CourseRow:
    """How a person stands with a course; ``asked_by``: their roles that ask for it."""

    title: str
    doc: str
    look: StateLook
    text: str
    asked_by: str
    missing: bool


@dataclass(frozen=True, slots=True)
class RecordRow:
    id: str
    course: str
    course_name: str
    completed: str
    expires: str
    evidence: str
    by: str
    note: str


@dataclass(frozen=True, slots=True)
class PersonRow:
    """One person as listed."""

    pk: int
    name: str
    username: str
    roles: list[str]
    training: StateLook
    training_text: str
    last_seen: str
    state: StateLook
    notes: list[str]


@dataclass(frozen=True, slots=True)
class SessionRow:
    handle: str
    began: str
    seen: str
    ends: str
    this: bool


def where_words(grant: RoleGrant) -> str:
    """``every trial``, ``DEMO``, ``DEMO, site 701 Ghent``."""
    if grant.trial_id is None:
        return "every trial"
    if grant.site is None:
        return str(grant.trial_id)
    name = f" {grant.site.name}" if grant.site.name else ""
    return f"{grant.trial_id}, site {grant.site.site_id}{name}"


def grant_row(grant: RoleGrant, where: words.ZoneInfo) -> GrantRow:
    """A grant as listed on a person's page."""
    over = grant.revoked_at or (grant.ends_at if grant.ends_at and grant.ends_at <= clock.now() else None)
    return GrantRow(
        str(grant.pk),
        ROLES[grant.role].label,
        where_words(grant),
        words.day(grant.created_at, where, year=True),
        words.day(grant.ends_at, where, year=True) if grant.ends_at else "",
        grant.granted_by,
        words.day(over, where, year=True) if over else "",
    )


def course_rows(standing: Mapping[str, Standing], roles: Iterable[str]) -> list[CourseRow]:
    """Courses that the roles ask for, and those there is a record of, in the table's order."""
    held = [role for role in ROLES if role in set(roles)]
    rows = []
    for name, course in COURSES.items():
        asking = [ROLES[role].label for role in held if name in REQUIRED[role]]
        one = standing[name]
        if asking or one.record is not None:
            rows.append(
                CourseRow(
                    course.title, course.doc, LOOKS[one.state], _standing_words(one), ", ".join(asking),
                    bool(asking) and not one.counts,
                )
            )  # fmt: skip
    return rows


def _standing_words(one: Standing) -> str:
    if one.record is None:
        return ""
    if one.days is None:
        return f"completed {words.day(one.record.completed_on, year=True)}"
    ends = words.day(one.record.expires_on, year=True)
    if one.state == "lapsed":
        return f"since {ends}"
    return f"until {ends}, in {words.plural(one.days, 'day')}" if one.state == "ending" else f"until {ends}"


def record_row(row: TrainingRecord) -> RecordRow:
    """A training record as listed."""
    note = "corrected" if hasattr(row, "corrected_by") else "void" if row.void else ""
    return RecordRow(
        str(row.pk), COURSES[row.course].title if row.course in COURSES else row.course, row.course,
        words.day(row.completed_on, year=True), words.day(row.expires_on, year=True) if row.expires_on else "for ever",
        row.evidence, row.recorded_by, note,
    )  # fmt: skip


def training_look(standing: Mapping[str, Standing], roles: Iterable[str]) -> tuple[StateLook, str]:
    """The worst of what the person's roles ask for, and which course it is."""
    asked = [standing[name] for name in COURSES if any(name in REQUIRED[role] for role in roles)]
    if not asked:
        return StateLook("quiet", "ring", "None asked for"), ""
    for state in ("missing", "lapsed", "ending"):
        hit = [one.course.title for one in asked if one.state == state]
        if hit:
            look = StateLook("bad", "cross", "Missing") if state == "missing" else LOOKS[state]
            return look, ", ".join(hit)
    return LOOKS["current"], ""


def person_rows(
    people: Sequence[User],
    grants: Iterable[RoleGrant],
    standing: Mapping[int, Mapping[str, Standing]],
    dormant: set[int],
    where: words.ZoneInfo,
) -> list[PersonRow]:
    """The people as listed."""
    held: dict[int, list[RoleGrant]] = defaultdict(list)
    for grant in grants:
        held[grant.user_id].append(grant)
    return [_person_row(one, held[one.pk], standing[one.pk], one.pk in dormant, where) for one in people]


def _person_row(
    user: User, grants: Sequence[RoleGrant], standing: Mapping[str, Standing], dormant: bool, where: words.ZoneInfo
) -> PersonRow:
    roles = [f"{ROLES[one.role].label}: {where_words(one)}{until(one, where)}" for one in grants]
    look, text = training_look(standing, {one.role for one in grants})
    notes = [
        note
        for note, holds in (
            ("not seen for 90 days", dormant),
            ("identity not verified", user.identity_verified_at is None),
            ("has not chosen a password yet", user.must_change_password),
            ("demonstration", user.demo),
        )
        if holds
    ]
    return PersonRow(
        user.pk, str(user), user.username, sorted(roles), look, text,
        words.when(user.last_login, where, year=True) if user.last_login else "never",
        LOOKS["active" if user.is_active else "deactivated"], notes,
    )  # fmt: skip


def until(grant: RoleGrant, where: words.ZoneInfo) -> str:
    """``, until 3 Dec 2026`` or nothing."""
    return f", until {words.day(grant.ends_at, where, year=True)}" if grant.ends_at else ""


def session_rows(sessions: Iterable[OpenSession], this: str, where: words.ZoneInfo) -> list[SessionRow]:
    """A person's sessions; ``this`` is the key of the one that asks."""

    def told(moment: datetime | None) -> str:
        return words.when(moment, where, year=True)

    return [
        SessionRow(one.handle, told(one.began), told(one.seen), told(one.ends), one.key == this) for one in sessions
    ]


def as_csv(rows: Iterable[PersonRow], zone: str) -> str:
    """The list as CSV."""
    header = ("name", "sign-in name", "roles", "training", "courses", f"last sign-in ({zone})", "state", "notes")
    cells = (
        (row.name, row.username, "; ".join(row.roles), row.training.word, row.training_text, row.last_seen, row.state.word,
         "; ".join(row.notes))
        for row in rows
    )  # fmt: skip
    return "".join(spreadsheet.lines(header, cells))
