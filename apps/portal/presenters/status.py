"""The status line: whether what stands on the page is fresh, in words that the page's script goes on telling."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from apps.core import clock
from apps.portal.presenters import words
from apps.portal.viewer import Viewer

#: No board is called late sooner than this: two pushes may lie this far apart on the quietest of demos.
LATE_FLOOR_SECONDS = 45.0
LATE_GAPS = 4.0


@dataclass(frozen=True, slots=True)
class Status:
    """The line as first drawn. ``socket`` empty = a page that is not live."""

    state: str
    word: str
    sentence: str
    simulated: bool
    research_only: bool
    socket: str = ""
    now_epoch: float = 0.0
    newest_epoch: float | None = None
    late_after: float = 0.0
    zone: str = "UTC"
    zone_words: str = "UTC"
    side: str = ""


def late_after(cadence_seconds: int, gap: float | None) -> float:
    """Seconds without any new prediction after which the trial's predictions are called late.

    Four of the trial's own recent gaps, and not under 45 s, so that a stopped stream shows within a minute; where too
    few are known, twice the cadence. A small trial is slower by nature and is not called late for it.
    """
    if gap is None:
        return max(LATE_FLOOR_SECONDS, 2.0 * cadence_seconds)
    return max(LATE_FLOOR_SECONDS, LATE_GAPS * gap)


def status(
    viewer: Viewer, *, newest: datetime | None, gap: float | None, silent: bool, socket: str = "", side: str = ""
) -> Status:
    """The line for a page of this trial."""
    now = clock.now()
    if not viewer.live:
        as_of = words.when(viewer.now, viewer.zone, year=True)
        return Status(
            "finished",
            "Finished trial",
            f"Shown as of {as_of} {words.zone_words(viewer.now, viewer.zone)}",
            viewer.trial.simulated,
            silent,
            side=side,
        )
    limit = late_after(viewer.profile.cadence_seconds, gap)
    zone_words = words.zone_words(now, viewer.zone)
    if newest is None:
        state, word, sentence = "late", "Waiting", "No predictions yet"
    else:
        old = (now - newest).total_seconds()
        since = f"{words.clock(newest, viewer.zone, seconds=True)} {zone_words}, {words.age(old)} ago"
        state, word, sentence = (
            ("late", "Late", f"No new predictions since {since}")
            if old > limit
            else ("connecting", "Connecting", f"Last prediction {since}")
        )
    return Status(
        state,
        word,
        sentence,
        viewer.trial.simulated,
        silent,
        socket,
        now.timestamp(),
        newest.timestamp() if newest else None,
        limit,
        viewer.zone.key,
        zone_words,
        side,
    )
