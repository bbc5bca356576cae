"""Telling open pages that something new is there."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

import structlog
from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer

log = structlog.get_logger(__name__)
_PLAIN = re.compile(r"^[A-Za-z0-9._-]{1,80}$")
_AT_ONCE = 500


def trial_group(trial_id: str) -> str:
    """The channel group of all pages of a trial. A group's name may hold few characters; other ids stand as hashes."""
    plain = trial_id if _PLAIN.match(trial_id) else hashlib.sha256(trial_id.encode()).hexdigest()
    return f"trial.{plain}"


def scored(trial_id: str, patients: Sequence[str]) -> None:
    """Say that predictions of these patients ("trial/patient") were committed. A failure is logged: pages also poll."""
    layer = get_channel_layer()
    for start in range(0, len(patients), _AT_ONCE):
        message = {"type": "scored", "patients": list(patients[start : start + _AT_ONCE])}
        try:
            async_to_sync(layer.group_send)(trial_group(trial_id), message)
        except Exception as error:  # noqa: BLE001 - whatever the layer's client raises, the prediction stands
            log.warning("push_failed", trial=trial_id, error=str(error))
