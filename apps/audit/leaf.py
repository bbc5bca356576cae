"""What of an audit event is hashed, and the hash."""

from __future__ import annotations

from typing import Any

from apps.audit import canonical, tree
from apps.audit.models import AuditEvent

LEAF_FORMAT = "1"
"""Version of the leaf's layout, inside the hashed text, so that a later layout cannot be mistaken for this one."""


def content(event: AuditEvent) -> dict[str, Any]:
    """What of an event is hashed, as plain values."""
    return {
        "format": LEAF_FORMAT,
        "id": event.id,
        "at": event.at,
        "actor": event.actor,
        "actor_type": event.actor_type,
        "action": event.action,
        "object_type": event.object_type,
        "object_id": event.object_id,
        "trial": event.trial,
        "before": event.before,
        "after": event.after,
        "reason": event.reason,
        "correlation_id": event.correlation_id,
    }


def leaf_of(event: AuditEvent) -> bytes:
    """The leaf hash of an event, computed from its columns (32 bytes)."""
    return tree.leaf_hash(canonical.encode(content(event)))
