"""How long a session lasts: idle and in all; what counts as a person's doing; and the store that writes it down.

Sessions live in the database alone. With a cache before it a session deleted there would live on in the cache; the end of
one, however it came, must hold from the next request on. The end by time stands in its row (``expire_date``), so that
whatever looks there, the watch over open sockets too, sees it. A page left open refreshes its parts; that is nobody's
doing and keeps no session alive.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.contrib.auth.signals import user_logged_in
from django.contrib.sessions.backends.db import SessionStore as DatabaseStore
from django.db import transaction
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponse
from django.utils.deprecation import MiddlewareMixin

from apps.accounts.models import User
from apps.audit.actors import Actor
from apps.audit.services import record

#: What ends a session by time, in seconds (OWASP ASVS 5.0 7.3.1, 7.3.2; 21 CFR 11.200(a)(1): one continuous session).
LIMITS: dict[str, int] = {"idle": 30 * 60, "in all": 12 * 3600}
#: ``seen`` is written at most this often, so that a click is seldom a write; idle time is measured this exactly.
NOTED_EVERY = 60
BEGAN, SEEN = "_began", "_seen"
#: A request of a page's script that a person's own click or key caused says so; see static/js/page.js.
BY_HAND = "X-By-Hand"
GATE = Actor.process("session-limits")


class SessionStore(DatabaseStore):
    """Sessions that end when the first of the LIMITS is reached."""

    def get_expiry_age(self, **_: Any) -> int:
        """Seconds until it ends; the whole idle time for a session that nobody has signed in to."""
        now = time.time()
        held = getattr(self, "_session_cache", {})  # while a session is being made, nothing may be loaded again
        ends = min(float(held.get(SEEN, now)) + LIMITS["idle"], float(held.get(BEGAN, now)) + LIMITS["in all"])
        return max(0, int(ends - now))

    def get_expiry_date(self, **_: Any) -> datetime:
        """When it ends, UTC."""
        return datetime.now(UTC) + timedelta(seconds=self.get_expiry_age())


@receiver(user_logged_in, dispatch_uid="session_began")
def began(*, request: HttpRequest | None, **_: Any) -> None:
    """The clock of a session starts when somebody signs in to it, under a new key (Django's ``cycle_key``)."""
    if request is not None and hasattr(request, "session"):
        request.session[BEGAN] = request.session[SEEN] = int(time.time())


def by_a_person(request: HttpRequest) -> bool:
    """Whether somebody did something: opened a page, sent a form, clicked. A page that fetches its parts anew is no one."""
    return request.method == "POST" or "HX-Request" not in request.headers or BY_HAND in request.headers


class SessionLimitsMiddleware(MiddlewareMixin):
    """Ends a session that has reached a limit, and notes when its person was last seen."""

    def process_view(self, request: HttpRequest, view: Any, args: Any, kwargs: Any) -> HttpResponse | None:  # noqa: ARG002
        user = request.user
        if not isinstance(user, User):
            return None
        now, session = int(time.time()), request.session
        start, seen = int(session.get(BEGAN, now)), int(session.get(SEEN, now))
        over = next((name for name, since in (("idle", seen), ("in all", start)) if now - since >= LIMITS[name]), None)
        if over is not None:
            reason = f"{over}: {LIMITS[over] // 60} minutes"
            with transaction.atomic():
                record(by=GATE, action="accounts.session_ended", obj=user, reason=reason)
            session.flush()
            request.user = AnonymousUser()
        elif BEGAN not in session or (now - seen >= NOTED_EVERY and by_a_person(request)):
            session[BEGAN], session[SEEN] = start, now
        return None
