"""The numbers of the running platform that the triggers are judged by: errors, latency, invalid records, lag, failures.

Each comes with a sentence for the case that it cannot be had: a number that is not there is never taken for a good one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Q

from apps.core.lake import lake
from apps.core.metrics import families
from apps.ingestion.models import ConsumerState
from apps.pipelines.jobs import JOBS
from apps.pipelines.models import JobRun
from apps.pipelines.runner import SPARK_MODULE
from ml.lake import LakeError

FEWEST_QUESTIONS = 100
"""Questions since the last check below which neither an error share nor a slowest hundredth is given."""
DAY = timedelta(days=1)


@dataclass(slots=True)
class Numbers:
    """``values`` by measure (None = not to be had, ``why`` says so); ``counters`` for the next check to subtract."""

    values: dict[str, float | None] = field(default_factory=dict)
    why: dict[str, str] = field(default_factory=dict)
    counters: dict[str, Any] = field(default_factory=dict)

    def none(self, measure: str, why: str) -> None:
        """The measure cannot be had."""
        self.values[measure], self.why[measure] = None, why


def operations(trial_id: str, now: datetime, before: Mapping[str, Any]) -> Numbers:
    """All of them. ``before`` are the counters of the last check."""
    found = Numbers()
    _questions(found, before)
    _invalid(found, trial_id)
    found.values["lag"] = lag(freshness())
    found.why["lag"] = "no consumer has said how far it is"
    spark = [job.name for job in JOBS.values() if any(step.module == SPARK_MODULE for step in job.steps)]
    failed = JobRun.objects.filter(
        Q(trial_id=trial_id) | Q(trial__isnull=True),
        job__in=spark,
        state=JobRun.State.FAILED,
        finished_at__gt=now - DAY,
        finished_at__lte=now,
    )
    found.values["spark_failed"] = float(failed.count())
    return found


def _questions(found: Numbers, before: Mapping[str, Any]) -> None:
    """Error share and p99 of the questions since the last check, from the counters the API shares with this process."""
    if not settings.METRICS_SHARED:
        for measure in ("error_share", "latency_p99"):
            found.none(measure, "this process does not share the API's metrics; Prometheus judges it there")
        return
    found.counters = counters()
    buckets = _since(found.counters["buckets"], before.get("buckets", {}))
    errors = _since(found.counters["errors"], before.get("errors", {}))
    answered = buckets.get("+Inf", 0.0)
    faults = sum(count for code, count in errors.items() if code.startswith("5"))
    asked = answered + sum(errors.values())
    too_few = f"only {asked:.0f} questions were asked since the last check; {FEWEST_QUESTIONS} are needed"
    if asked < FEWEST_QUESTIONS:
        found.none("error_share", too_few)
    else:
        found.values["error_share"] = faults / asked
    if answered < FEWEST_QUESTIONS:
        found.none("latency_p99", too_few)
    else:
        found.values["latency_p99"] = quantile(buckets, 0.99)


def counters() -> dict[str, dict[str, float]]:
    """``buckets``: answers at most so slow (seconds, as text); ``errors``: refusals by status; since the start."""
    buckets: dict[str, float] = {}
    errors: dict[str, float] = {}
    for family in families():
        for sample in family.samples:
            if sample.name == "prediction_latency_bucket":
                buckets[sample.labels["le"]] = buckets.get(sample.labels["le"], 0.0) + sample.value
            elif sample.name == "prediction_errors_total":
                errors[sample.labels["code"]] = errors.get(sample.labels["code"], 0.0) + sample.value
    return {"buckets": buckets, "errors": errors}


def _since(now: Mapping[str, float], before: Mapping[str, float]) -> dict[str, float]:
    """The difference; where a count went down the processes were started anew and all of it is new."""
    if any(now.get(name, 0.0) < value for name, value in before.items()):
        return dict(now)
    return {name: value - before.get(name, 0.0) for name, value in now.items()}


def quantile(buckets: Mapping[str, float], share: float) -> float | None:
    """The quantile of a histogram, linear within a bucket as Prometheus does it; None without answers."""
    ordered = sorted((float(limit), count) for limit, count in buckets.items())
    total = ordered[-1][1] if ordered else 0.0
    if not total:
        return None
    wanted, low, below = share * total, 0.0, 0.0
    for limit, count in ordered:
        if count >= wanted:
            if limit == float("inf"):
                return low
            return low + (limit - low) * (wanted - below) / (count - below) if count > below else limit
        low, below = limit, count
    return low


def _invalid(found: Numbers, trial_id: str) -> None:
    """The share of a trial's messages that the last cleaning set aside."""
    try:
        body = json.loads(lake().get("quality/latest.json"))
    except LakeError:
        found.none("invalid_share", "nothing was cleaned yet")
        return
    messages = _sum(body, "messages", trial_id)
    if not messages:
        found.none("invalid_share", "the last cleaning had no message of this trial")
        return
    found.values["invalid_share"] = _sum(body, "quarantine", trial_id) / messages


def _sum(body: Mapping[str, Any], part: str, trial_id: str) -> int:
    return sum(one["count"] for day in body["days"] for one in day[part] if one["trial"] == trial_id)


def freshness() -> list[dict[str, Any]]:
    """How far each consumer is in a topic's present life: {group, topic, lag, last_record_at, updated_at, alarm}."""
    found: dict[tuple[str, str], list[ConsumerState]] = {}
    for row in ConsumerState.objects.order_by("group", "topic", "-epoch"):
        there = found.setdefault((row.group, row.topic), [])
        if not there or row.epoch == there[0].epoch:  # an earlier life of the topic is over, whatever it once lacked
            there.append(row)
    return [
        {
            "group": group,
            "topic": topic,
            "lag": sum(row.lag for row in rows if row.lag is not None)
            if any(r.lag is not None for r in rows)
            else None,
            "last_record_at": _newest(row.last_record_at for row in rows),
            "updated_at": _newest(row.updated_at for row in rows),
            "alarm": next((row.alarm for row in rows if row.alarm), ""),
        }
        for (group, topic), rows in found.items()
    ]


def _newest(moments: Iterable[datetime | None]) -> str | None:
    known = [moment for moment in moments if moment is not None]
    return max(known).isoformat() if known else None


def lag(rows: Iterable[Mapping[str, Any]]) -> float | None:
    """Messages that the consumer furthest behind has not read yet; None where no consumer has said."""
    behind: dict[str, int] = {}
    for row in rows:
        if row["lag"] is not None:
            behind[row["group"]] = behind.get(row["group"], 0) + row["lag"]
    return float(max(behind.values())) if behind else None
