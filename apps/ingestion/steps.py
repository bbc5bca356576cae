"""Ingestion's part in jobs, called by name."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from django.conf import settings

from apps.core import clock
from apps.core.errors import Unavailable
from apps.core.lake import lake
from apps.ingestion.applier import Applier
from apps.ingestion.models import ConsumerState
from apps.ingestion.rebuild import LIVE_GROUP, bring_up, projected_positions
from apps.ingestion.window import window_store
from ml.contracts import TOPICS
from ml.lake.claims import chains, next_offset

Report = Callable[[str, int, int], None]
FRESH_SECONDS = 20.0
STALL_SECONDS = 120.0


def show(_context: dict[str, Any], report: Report) -> dict[str, Any]:
    """What bronze holds is in the tables that the pages read and in the online windows.

    The live loop does that by itself where it runs; we wait for it. Where none runs, both are built here from bronze.
    """
    if live_loop_runs():
        _wait(report)
    else:
        applier = Applier(lake=lake(), store=window_store(), default_trial=settings.DEFAULT_TRIAL_ID)
        bring_up(applier, lambda topic, done, of: report(f"{topic}, {done:,} of {of:,}", done, of))
    return {}


def live_loop_runs() -> bool:
    """Whether the live loop said how far it is within the last seconds."""
    newest = ConsumerState.objects.filter(group=LIVE_GROUP).order_by("-updated_at").first()
    return newest is not None and (clock.now() - newest.updated_at).total_seconds() < FRESH_SECONDS


def _wait(report: Report) -> None:
    goals = {
        (chain.topic, chain.topic_id, chain.partition): offset
        for topic in TOPICS
        for chain in chains(lake(), topic)
        if (offset := next_offset(lake(), chain)) is not None
    }
    moved, before = time.monotonic(), -1
    while True:
        reached = projected_positions()
        ahead = sum(
            max(0, goal - reached.get(place, goal if place not in reached else 0)) for place, goal in goals.items()
        )
        if ahead == 0:
            return
        if ahead != before:
            moved, before = time.monotonic(), ahead
        if time.monotonic() - moved > STALL_SECONDS:
            raise Unavailable(
                f"The live loop does not take the last {ahead:,} events.",
                cure="See the log of run_live, then run this again.",
            )
        report(f"{ahead:,} events to go", 0, 1)
        time.sleep(0.5)
