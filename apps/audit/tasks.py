"""The sequencer, by the clock."""

from __future__ import annotations

from apps.audit import sequencer
from apps.core.tasks import task


@task(name="audit.sequence", queue="default", time_limit=300)
def sequence(*, everything: bool = False) -> int:
    """Seal what waits; returns how many events."""
    done = 0
    while count := sequencer.sequence(everything=everything):
        done += count
    return done
