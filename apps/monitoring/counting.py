"""From the reports of jobs to counters: each record is counted once, however often its day is written again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from django.db import transaction

from apps.core.metrics import counter, gauge
from apps.monitoring.models import Counted
from ml.lake import Lake

PROCESSED = counter("data_records_processed")
INVALID = counter("data_invalid_records")
DUPLICATES = counter("data_duplicates_removed")
QUALITY = gauge("data_quality_score")
FILLED = "filled_"
"""Flags of values that were filled in; they say nothing against what was sent."""


def new_of(metric: str, totals: Mapping[str, int]) -> dict[str, int]:
    """How much of each part's total is new since it was last counted, and remember it. A total that fell (a rule was
    mended) adds nothing."""
    with transaction.atomic():
        known = {
            row.part: row for row in Counted.objects.select_for_update().filter(metric=metric, part__in=list(totals))
        }
        new = {part: max(0, total - (known[part].value if part in known else 0)) for part, total in totals.items()}
        Counted.objects.bulk_create(
            [Counted(metric=metric, part=part, value=total) for part, total in totals.items()],
            update_conflicts=True,
            unique_fields=["metric", "part"],
            update_fields=["value"],
        )
    return new


def cleaning(lake: Lake, path: str) -> None:
    """Count one quality report of the clean job: records processed, those that broke a rule, those that repeated."""
    body: dict[str, Any] = json.loads(lake.get(path))
    processed: dict[str, int] = {}
    invalid: dict[str, int] = {}
    repeated: dict[str, int] = {}
    messages: dict[tuple[str, str], int] = {}
    doubtful: dict[tuple[str, str], int] = {}
    for day in body["days"]:
        where = (day["topic"], day["date"])
        for one in day["messages"]:
            processed[_part(*where, one["trial"], one["site"])] = one["count"]
            _add(messages, (one["trial"], one["site"]), one["count"])
        for one in day["duplicates"]:
            repeated[_part(*where, one["trial"], one["site"])] = one["count"]
        for one in day["quarantine"]:
            _add(invalid, _part(*where, one["trial"], one["site"], one["rule"]), one["count"])
            _add(doubtful, (one["trial"], one["site"]), one["count"])
        for one in day["flags"]:
            if not one["rule"].startswith(FILLED):
                _add(doubtful, (one["trial"], one["site"]), one["count"])
    for (topic, *_), number in _new("data_records_processed", processed):
        PROCESSED.labels(layer="silver", topic=topic).inc(number)
    for (topic, _, trial, site, rule), number in _new("data_invalid_records", invalid):
        INVALID.labels(topic=topic, trial=trial, site=site, rule=rule).inc(number)
    for (topic, _, trial, site), number in _new("data_duplicates_removed", repeated):
        DUPLICATES.labels(topic=topic, trial=trial, site=site).inc(number)
    for (trial, site), count in messages.items():
        if count:
            QUALITY.labels(trial=trial, site=site).set(1 - min(doubtful.get((trial, site), 0), count) / count)


def features(trial_id: str, rows: int) -> None:
    """Count the feature rows of a trial that were not there before."""
    for _, number in _new("data_records_processed", {_part("features", trial_id): rows}):
        PROCESSED.labels(layer="features", topic="").inc(number)


def _part(*names: str) -> str:
    return json.dumps(names)


def _add(counts: dict[Any, int], key: Any, count: int) -> None:
    counts[key] = counts.get(key, 0) + count


def _new(metric: str, totals: Mapping[str, int]) -> list[tuple[list[str], int]]:
    return [(json.loads(part), number) for part, number in new_of(metric, totals).items() if number]
