"""Writes of monitoring: checks, requests for retraining, comparisons. Each in one transaction with its audit event."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction

from apps.accounts.models import ApiKey, User
from apps.accounts.permissions import check as check_permission
from apps.audit.actors import Actor
from apps.audit.services import record
from apps.core import clock
from apps.core.errors import Conflict, Forbidden
from apps.monitoring.models import Check, ModelComparison, PerformanceReport, TriggerVerdict
from apps.monitoring.performance import Performance
from apps.monitoring.selectors import busy_run
from apps.monitoring.triggers import Judged
from apps.pipelines import services as pipelines
from apps.pipelines.models import JobRun
from apps.registry.models import ModelVersion
from ml.comparison import in_words

PIPELINE = "pipeline"
REASONS = ("manual", "performance", "drift")
AUTOMATIC = ("performance", "drift")
PAUSE = timedelta(hours=24)
"""So long after one automatic request no trigger asks again: a new model needs days before its labels can say more."""


def record_check(
    *,
    by: Actor,
    trial_id: str,
    at: datetime,
    simulated: bool,
    version: ModelVersion | None,
    drift: Sequence[Mapping[str, Any]],
    drift_window: Mapping[str, Any],
    freshness: Sequence[Mapping[str, Any]],
    measures: Mapping[str, float | None],
    counters: Mapping[str, Any],
    reports: Sequence[Performance],
    judged: Sequence[Judged],
    run: JobRun | None = None,
) -> Check:
    """Keep one check with its reports (of moments that have none yet) and its verdicts, all or none."""
    found = Check(
        trial_id=trial_id,
        model_version=version,
        at=at,
        by=str(by),
        run=run,
        simulated=simulated,
        drift=list(drift),
        drift_window=dict(drift_window),
        freshness=list(freshness),
        measures=dict(measures),
        counters=dict(counters),
    )
    firing = [one.trigger.name for one in judged if one.state == "firing"]
    with transaction.atomic():
        record(
            by=by,
            action="monitoring.checked",
            obj=found,
            after={
                "model_version": str(version) if version else None,
                "measures": dict(measures),
                "firing": firing,
                "not_judged": [one.trigger.name for one in judged if one.state == "not judged"],
                "reports": len(reports),
            },
        )
        found.save(force_insert=True)
        if version is not None:
            for report in reports:
                PerformanceReport(
                    found_by=found, trial_id=trial_id, model_version=version, simulated=simulated, **asdict(report)
                ).save(force_insert=True)
        for one in judged:
            TriggerVerdict(
                found_by=found,
                trigger=one.trigger.name,
                severity=one.trigger.severity,
                value=one.value,
                operator=one.trigger.operator,
                threshold=one.trigger.threshold,
                state=one.state,
                sentence=one.sentence,
            ).save(force_insert=True)
    return found


def request_retraining(
    *, by: User | ApiKey | Actor, trial_id: str, reason: str, why: str, check: Check | None = None
) -> JobRun:
    """Ask for the whole pipeline of a trial, once. It ends in a candidate with a comparison, and serves nobody.

    ``reason`` is one of REASONS, ``why`` a sentence for the trail. Raises Forbidden for a person who may not start jobs,
    Conflict (with ``run``) while one waits or runs, and for an automatic reason within PAUSE of the last such request.
    """
    if reason not in REASONS:
        raise ValueError(f"{reason} is no reason for retraining: one of {', '.join(REASONS)}.")
    actor = _actor(by, trial_id)
    with transaction.atomic():
        _one_at_a_time(trial_id)
        if (busy := busy_run(trial_id)) is not None:
            raise Conflict(
                f"A training of trial {trial_id} is {busy.get_state_display().lower()} already.",
                cure="Wait until it has ended; its candidate holds all data until then.",
                code="already_running",
                extra={"run": str(busy.pk)},
            )
        if reason in AUTOMATIC and (last := _last_automatic(trial_id)) is not None:
            raise Conflict(
                f"The last automatic retraining was asked for {last.created_at:%Y-%m-%d %H:%M} UTC; "
                f"the next may follow {PAUSE.total_seconds() / 3600:.0f} h after it.",
                cure="Start one by hand where it cannot wait.",
                code="too_soon",
                extra={"run": str(last.pk)},
            )
        run = pipelines.request(
            by=actor,
            job=PIPELINE,
            trial_id=trial_id,
            arguments={"reason": reason, "why": why, **({"check": str(check.pk)} if check else {})},
        )
        record(
            by=actor,
            action="monitoring.retraining_requested",
            obj=run,
            trial=trial_id,
            after={"reason": reason, "check": str(check.pk) if check else None},
            reason=f"{reason}: {why}",
        )
    return run


def record_comparison(
    *, by: Actor, candidate: ModelVersion, serving: ModelVersion, body: Mapping[str, Any], run: JobRun | None = None
) -> ModelComparison:
    """Keep a candidate's comparison with the version that serves; ``body`` is that of ``ml.comparison``, *one* serves."""
    made = ModelComparison(
        trial_id=candidate.trial_id,
        candidate=candidate,
        serving=serving,
        run=run,
        outcome=body["decision"]["verdict"],
        sentence=in_words(body),
        body=dict(body),
        simulated=candidate.simulated,
    )
    with transaction.atomic():
        record(
            by=by,
            action="monitoring.models_compared",
            obj=made,
            after={
                "candidate": str(candidate),
                "serving": str(serving),
                "outcome": made.outcome,
                "difference": body["figures"]["auroc"]["gain"],
            },
        )
        made.save(force_insert=True)
    return made


def _actor(by: User | ApiKey | Actor, trial_id: str) -> Actor:
    if isinstance(by, Actor):
        if by.type != "process":
            raise Forbidden("A retraining is asked for by a person, a key or a system process.", code="not_permitted")
        return by
    if isinstance(by, ApiKey):
        if str(by.trial_id) != trial_id or "retrain" not in by.scopes:
            raise Forbidden("This key may not start a retraining of that trial.", code="not_permitted")
        if by.sites:
            raise Forbidden(
                "This key is limited to some sites, and a retraining is of the whole trial.",
                cure="Use a key for all sites.",
                code="not_permitted",
            )
        return Actor.key(by)
    check_permission(by, "run_job", trial=trial_id)
    return Actor.person(by)


def _last_automatic(trial_id: str) -> JobRun | None:
    found: JobRun | None = (
        JobRun.objects.filter(
            trial_id=trial_id, job=PIPELINE, arguments__reason__in=AUTOMATIC, created_at__gt=clock.now() - PAUSE
        )
        .order_by("-created_at")
        .first()
    )
    return found


def _one_at_a_time(trial_id: str) -> None:
    """Two who ask in the same moment are not both first; until the transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('retraining'), hashtext(%s))", [trial_id])
