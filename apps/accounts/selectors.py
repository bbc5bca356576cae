"""Reading people: who is seen by whom, who has not come for long, and the sessions a person has open."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.models import Session
from django.db.models import Q, QuerySet
from django.db.models.functions import Coalesce

from apps.accounts import permissions
from apps.accounts.models import RoleGrant, User
from apps.accounts.sessions import BEGAN, SEEN
from apps.core import clock

#: An account that nobody has used, or reviewed, for so long is put before an administrator.
DORMANT = timedelta(days=90)


def people_seen(user: User, trial: Any) -> QuerySet[User]:
    """The people that this person may see from this trial: for whoever may see them everywhere all; else those who hold
    or held a role in it, or hold one for every trial."""
    if permissions.may(user, "view_people", trial=None):
        return User.objects.all()
    trial_id = str(getattr(trial, "pk", trial))
    with_role = RoleGrant.objects.filter(Q(trial_id=trial_id) | Q(trial__isnull=True)).values("user_id")
    return User.objects.filter(pk__in=with_role)


def dormant(people: QuerySet[User]) -> QuerySet[User]:
    """Active accounts without a sign-in, or a review, in ninety days (counted from their creation where nobody came)."""
    since = clock.now() - DORMANT
    rows = people.filter(is_active=True).annotate(last_seen=Coalesce("last_login", "date_joined"))
    return rows.filter(last_seen__lt=since).exclude(reviewed_at__gte=since)


def grants_seen(user: User, people: Sequence[User], *, ended: bool = False) -> list[RoleGrant]:
    """The grants of these people in the trials that ``user`` sees, newest first; ended ones where asked."""
    rows = RoleGrant.objects.filter(user__in=[one.pk for one in people]).select_related("trial", "site")
    seen = Q(trial__in=permissions.visible_trials(user)) | Q(trial__isnull=True)
    rows = (
        rows.filter(seen) if ended else RoleGrant.objects.in_force().filter(seen, user__in=[one.pk for one in people])
    )
    return list(rows.select_related("trial", "site").order_by("-created_at"))


@dataclass(frozen=True, slots=True)
class OpenSession:
    """One session of a person; ``handle`` names it on a page, where its key must never stand."""

    handle: str
    key: str
    began: datetime | None
    seen: datetime | None
    ends: datetime


def open_sessions(user: User) -> list[OpenSession]:
    """The sessions in which the person is signed in, newest first. Reads every session there is: there are as many as
    people at work."""
    found = []
    for row in Session.objects.filter(expire_date__gt=clock.now()):
        held = row.get_decoded()
        if str(held.get(SESSION_KEY, "")) == str(user.pk):
            handle = hashlib.sha256(row.session_key.encode()).hexdigest()[:16]
            found.append(
                OpenSession(handle, row.session_key, _moment(held, BEGAN), _moment(held, SEEN), row.expire_date)
            )
    return sorted(found, key=lambda one: one.ends, reverse=True)


def _moment(held: dict[str, Any], name: str) -> datetime | None:
    return datetime.fromtimestamp(held[name], UTC) if name in held else None
