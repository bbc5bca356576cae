"""Planned review of the audit trail, signed off: who looked at which records, what they found, bound to the sealed root."""

from __future__ import annotations

import hashlib
from datetime import datetime

from django.db import transaction
from django.http import HttpRequest

from apps.accounts.models import User
from apps.accounts.permissions import check
from apps.accounts.signatures import verify_password
from apps.audit import canonical, checkpoints
from apps.audit.actors import Actor
from apps.audit.models import AuditEvent
from apps.audit.services import record
from apps.core import clock
from apps.core.errors import Conflict, Invalid

MEANING = "I reviewed the audit trail of this period"


def sign_review(
    *,
    by: User,
    password: str,
    trial: str,
    since: datetime,
    until: datetime,
    findings: str,
    request: HttpRequest | None = None,
) -> AuditEvent:
    """Sign that the trial's records of [since, until) were reviewed; returns the event, which holds the signature.

    The signed text names trial, period, number of records, the sealed log's size and root, and the findings. Raises
    Forbidden (no permission, wrong password), Invalid for a period that is empty or not over, or without findings,
    Conflict while nothing is signed.
    """
    check(by, "review_audit", trial=trial)
    if since >= until:
        raise Invalid("The period ends before it begins.", cure="Choose an earlier beginning.", code="period")
    if until > clock.now():
        raise Invalid("The period is not over yet.", cure="Choose an end that has passed.", code="period")
    if not findings.strip():
        raise Invalid("Say what was found, even if it is nothing.", cure="Write a sentence.", code="findings")
    checkpoint = checkpoints.newest()
    if checkpoint is None:
        raise Conflict("Nothing has been sealed and signed yet.", cure="Try again in some seconds.", code="not_signed")
    proof = verify_password(by, password, request=request)
    text = {
        "meaning": MEANING,
        "trial": trial,
        "since": since,
        "until": until,
        "records": AuditEvent.objects.filter(trial=trial, at__gte=since, at__lt=until).count(),
        "log": checkpoint.origin,
        "log_size": checkpoint.size,
        "log_root": bytes(checkpoint.root).hex(),
        "findings": findings.strip(),
        "printed_name": proof.printed_name,
        "username": proof.username,
        "signed_at": proof.at,
    }
    with transaction.atomic():
        return record(
            by=Actor.person(by),
            action="audit.reviewed",
            object_type="audit.AuditEvent",
            object_id=f"{since:%Y-%m-%dT%H:%M}/{until:%Y-%m-%dT%H:%M}",
            trial=trial,
            after=text | {"sha256": hashlib.sha256(canonical.encode(text)).hexdigest()},
        )
