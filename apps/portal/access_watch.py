"""Watches who may keep a live connection: two looks a second for all connections of a process.

A person deactivated, signed out or stripped of their role loses the socket within a second, whichever way the
change was made, and whatever the number of open pages.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

from channels.db import database_sync_to_async
from django.contrib.sessions.models import Session

from apps.accounts import permissions
from apps.accounts.models import RoleGrant, User
from apps.core import clock

LOOK_EVERY_SECONDS = 0.5  # and the look itself: within a second, on a busy machine too
#: A page that hears nothing for three beats holds a dead connection (a sleeping laptop, a lost network) and says so.
LOOKS_BETWEEN_BEATS = 20


class Watched(Protocol):
    """A connection: who, in which trial, with which session. ``auth_hash`` changes with the password; ``site_key`` is
    the site of the patient it is about, "" for a whole trial."""

    user_id: int
    trial_id: str
    session_key: str
    auth_hash: str
    site_key: str

    async def close_for(self, reason: str) -> None: ...

    async def beat(self) -> None: ...


SIGNED_OUT, NO_ACCESS = "signed_out", "no_access"


@dataclass
class AccessWatch:
    """The connections of this process and the one task that looks after them."""

    connections: set[Any] = field(default_factory=set)
    task: asyncio.Task[None] | None = None

    def add(self, connection: Watched) -> None:
        """Watch a connection from now on."""
        self.connections.add(connection)
        if self.task is None or self.task.done() or self.task.get_loop() is not asyncio.get_running_loop():
            self.task = asyncio.get_running_loop().create_task(self._look())

    def remove(self, connection: Watched) -> None:
        """It is gone."""
        self.connections.discard(connection)

    async def _look(self) -> None:
        looks = 0
        while self.connections:
            await asyncio.sleep(LOOK_EVERY_SECONDS)
            looks += 1
            for connection, reason in await verdicts(list(self.connections)):
                self.connections.discard(connection)
                with suppress(OSError):  # one that went by itself meanwhile must not end the watch over the others
                    await connection.close_for(reason)
            if looks % LOOKS_BETWEEN_BEATS == 0:
                for connection in list(self.connections):
                    with suppress(OSError):
                        await connection.beat()


@database_sync_to_async
def verdicts(connections: list[Watched]) -> list[tuple[Watched, str]]:
    """The connections that may not stay, each with the reason. Three queries however many there are."""
    people = {connection.user_id for connection in connections}
    # by the password's hash as it is now: who changes theirs ends every other session of theirs
    active = {user.pk: user.get_session_auth_hash() for user in User.objects.filter(pk__in=people, is_active=True)}
    keys = {connection.session_key for connection in connections}
    sessions = set(Session.objects.filter(pk__in=keys, expire_date__gt=clock.now()).values_list("pk", flat=True))
    roles = permissions.PERMISSIONS["view_board"].roles
    granted = set(
        RoleGrant.objects.in_force()
        .filter(user_id__in=people, role__in=roles)
        .values_list("user_id", "trial_id", "site_id")
    )
    found = []
    for connection in connections:
        if connection.session_key not in sessions or active.get(connection.user_id) != connection.auth_hash:
            found.append((connection, SIGNED_OUT))
        elif not any(_covers(grant, connection) for grant in granted):
            found.append((connection, NO_ACCESS))
    return found


def _covers(grant: tuple[int, str | None, str | None], connection: Watched) -> bool:
    user_id, trial_id, site_id = grant
    return (
        user_id == connection.user_id
        and trial_id in (None, connection.trial_id)
        and (not connection.site_key or site_id in (None, connection.site_key))
    )


watch = AccessWatch()
