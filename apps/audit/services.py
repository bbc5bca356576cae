"""Writing to the audit trail. Every write of the platform calls ``record`` in its own transaction.

An audit row and what it tells of stand or fall together: outside a transaction nothing is recorded, and the database's
triggers refuse a write to a regulated table in a transaction that has recorded nothing about it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models import Model

from apps.audit import canonical
from apps.audit.actions import ACTIONS, Action
from apps.audit.actors import Actor
from apps.audit.leaf import leaf_of
from apps.audit.models import AuditEvent
from apps.core import clock, correlation
from apps.core.copying import insert_many
from apps.core.errors import Invalid, NotAudited
from apps.core.ids import uuid7


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One event to be recorded by ``record_many``; ``before`` and ``after`` are plain values (see ``canonical``)."""

    by: Actor
    action: str
    object_type: str
    object_id: str
    trial: str = ""
    before: Any = None
    after: Any = None
    reason: str = ""
    correlation_id: str | None = None


def record(
    *,
    by: Actor,
    action: str,
    obj: Model | None = None,
    object_type: str | None = None,
    object_id: object = None,
    trial: str | None = None,
    before: Any = None,
    after: Any = None,
    reason: str = "",
    correlation_id: str | None = None,
) -> AuditEvent:
    """Record one action, in the caller's transaction.

    The object is ``obj``, or ``object_type`` ("app.Model") and ``object_id``. ``trial`` is the trial's identifier;
    where absent it is taken from ``obj``. Raises NotAudited outside a transaction, Invalid for an unknown action, an
    actor the action is not open to, an object of another type, or a reason that is missing.
    """
    if obj is not None:
        object_type = object_type or type_of(obj)
        object_id = obj.pk if object_id is None else object_id
        if trial is None:
            trial = str(getattr(obj, "trial_id", None) or "")
    entry = Entry(
        by=by,
        action=action,
        object_type=object_type or "",
        object_id="" if object_id is None else str(object_id),
        trial=trial or "",
        before=before,
        after=after,
        reason=reason,
        correlation_id=correlation_id,
    )
    return record_many(entries=[entry])[0]


def record_many(*, entries: Iterable[Entry]) -> list[AuditEvent]:
    """Record several actions at once; same rules and errors as ``record``."""
    if not connection.in_atomic_block:
        raise NotAudited(
            "An audit event belongs into the transaction of what it tells of.", cure="Call the service inside atomic()."
        )
    at = clock.now()
    current = correlation.get()
    events = [_event(entry, at, current) for entry in entries]
    insert_many(events)
    return events


def type_of(obj: Model | type[Model]) -> str:
    """The audit name of a model: "registry.ModelVersion"."""
    return f"{obj._meta.app_label}.{obj._meta.object_name}"


def snapshot(obj: Model, *, fields: Sequence[str]) -> dict[str, Any]:
    """The named fields of a model object as plain values, for ``before`` and ``after``."""
    return {name: obj.__dict__[obj._meta.get_field(name).attname] for name in fields}  # type: ignore[union-attr]


def _event(entry: Entry, at: datetime, current_correlation: str) -> AuditEvent:
    action = _known(entry)
    event = AuditEvent(
        id=uuid7(),
        at=at,
        actor=_short(entry.by.name, 200),
        actor_type=entry.by.type,
        action=action.name,
        object_type=entry.object_type,
        object_id=_short(entry.object_id, 200),
        trial=_short(entry.trial, 64),
        before=canonical.normalise(entry.before),
        after=canonical.normalise(entry.after),
        reason=str(canonical.normalise(entry.reason)),
        correlation_id=_short(entry.correlation_id or current_correlation, 64),
    )
    event.leaf_hash = leaf_of(event)
    return event


def _known(entry: Entry) -> Action:
    action = ACTIONS.get(entry.action)
    if action is None:
        raise Invalid(f"{entry.action} is no auditable action.", cure="Add a row to audit/actions.py.", code="action")
    if entry.by.type not in action.by:
        raise Invalid(f"A {entry.by.type} cannot have {action.sentence}.", code="action")
    if entry.object_type != action.object_type:
        raise Invalid(f"{action.name} is done to {action.object_type}, not to {entry.object_type}.", code="action")
    if not entry.object_id:
        raise Invalid(f"{action.name} names no object.", code="action")
    if action.reason and not entry.reason.strip():
        raise Invalid("Say why: this change needs a reason.", cure="Write a reason.", code="reason_missing")
    return action


def _short(text: str, length: int) -> str:
    if len(text) > length:
        raise Invalid(f"{text[:40]}… is longer than the {length} characters the trail keeps.", code="too_long")
    return str(canonical.normalise(text))
