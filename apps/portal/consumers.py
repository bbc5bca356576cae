"""Live connections: a notice that there is something new, never the thing itself.

The page fetches what changed as an ordinary request, so that rights and blinding are applied in one place, for this
person, at that moment.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncJsonWebsocketConsumer
from django.contrib.auth import HASH_SESSION_KEY

from apps.accounts import permissions
from apps.core import clock
from apps.patients import selectors as patients
from apps.patients.models import Patient
from apps.portal import selectors
from apps.portal.access_watch import NO_ACCESS, SIGNED_OUT, verdicts, watch
from apps.portal.presenters.status import late_after
from apps.predictions.push import trial_group

CLOSE_CODES = {SIGNED_OUT: 4401, NO_ACCESS: 4403}
SECONDS_BETWEEN_NOTICES = 1.0


class TrialConsumer(AsyncJsonWebsocketConsumer):
    """``/ws/trials/<trial>/``: hello, then at most one notice a second, and a beat every ten.

    Sends {type: "hello" | "changed", now, newest, late_after, patients}: times in seconds since 1970, ``patients`` how
    many were scored since the last notice (a number, since who they are depends on who asks). A beat is {type, now}.
    """

    action = "view_board"
    joined: str = ""
    site_key: str = ""
    flush_task: asyncio.Task[None] | None = None

    async def connect(self) -> None:
        await self.accept()  # a refusal before acceptance reaches the page as a nameless error; the code says which
        self.trial_id: str = self.scope["url_route"]["kwargs"]["trial"]
        user, session = self.scope.get("user"), self.scope.get("session")
        if user is None or not user.is_authenticated or session is None or not session.session_key:
            await self.close(code=CLOSE_CODES[SIGNED_OUT])
            return
        self.user_id, self.session_key = user.pk, session.session_key
        self.auth_hash = session.get(HASH_SESSION_KEY, "")
        self.waiting, self.last_notice = 0, 0.0
        if not await self._allowed():
            await self.close(code=CLOSE_CODES[NO_ACCESS])
            return
        self.joined = trial_group(self.trial_id)
        await self.channel_layer.group_add(self.joined, self.channel_name)
        watch.add(self)
        await self.send_json({"type": "hello", **await self._fresh()})

    async def disconnect(self, code: int) -> None:  # noqa: ARG002 - the framework hands it
        watch.remove(self)
        if self.flush_task is not None:
            self.flush_task.cancel()
        if self.joined:
            await self.channel_layer.group_discard(self.joined, self.channel_name)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None, **kwargs: Any) -> None:
        """A page has nothing to say here; what it sends is ignored, unread."""

    async def scored(self, event: dict[str, Any]) -> None:
        """Predictions were committed: ``patients`` lists their keys."""
        self.waiting += len(event.get("patients") or [None])
        if self.flush_task is None or self.flush_task.done():
            self.flush_task = asyncio.create_task(self._flush())

    async def close_for(self, reason: str) -> None:
        """The person may not stay."""
        await self.close(code=CLOSE_CODES[reason])

    async def beat(self) -> None:
        """Says that the connection stands, so that silence means something."""
        await self.send_json({"type": "beat", "now": clock.now().timestamp()})

    async def _flush(self) -> None:
        await asyncio.sleep(max(0.0, SECONDS_BETWEEN_NOTICES - (time.monotonic() - self.last_notice)))
        refused = await verdicts([self])
        if refused:
            await self.close_for(refused[0][1])
            return
        self.last_notice, count, self.waiting = time.monotonic(), self.waiting, 0
        await self.send_json({"type": "changed", "patients": count, **await self._fresh()})

    @database_sync_to_async
    def _allowed(self) -> bool:
        return permissions.may(self.scope["user"], self.action, trial=self.trial_id)

    @database_sync_to_async
    def _fresh(self) -> dict[str, Any]:
        newest, gap = selectors.pace(self.trial_id)
        cadence = patients.profile(self.trial_id).cadence_seconds
        return {
            "now": clock.now().timestamp(),
            "newest": newest.timestamp() if newest else None,
            "late_after": late_after(cadence, gap),
        }


class PatientConsumer(TrialConsumer):
    """``/ws/trials/<trial>/patients/<patient>/``: the same, about one patient."""

    action = "view_patient"

    @database_sync_to_async
    def _allowed(self) -> bool:
        patient_id = self.scope["url_route"]["kwargs"]["patient"]
        found = Patient.objects.filter(trial_id=self.trial_id, patient_id=patient_id).first()
        self.patient_key = found.pk if found else ""
        site = found.site_id if found else None
        self.site_key = site or ""
        return found is not None and permissions.may(self.scope["user"], self.action, trial=self.trial_id, site=site)

    async def scored(self, event: dict[str, Any]) -> None:
        """Only what concerns this patient."""
        if self.patient_key in (event.get("patients") or ()):
            await super().scored({"patients": [self.patient_key]})
