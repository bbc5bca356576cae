"""Reading the trail: for one object, for a trial, and whether a row still is what was recorded."""

from __future__ import annotations

from apps.audit.leaf import leaf_of
from apps.audit.models import AuditEvent


def of_object(object_type: str, object_id: object) -> list[AuditEvent]:
    """Everything done to one object, oldest first."""
    return list(AuditEvent.objects.filter(object_type=object_type, object_id=str(object_id)).order_by("id"))


def altered(event: AuditEvent) -> bool:
    """Whether the row no longer gives the hash that was recorded with it."""
    return leaf_of(event) != bytes(event.leaf_hash)
