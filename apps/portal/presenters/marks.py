"""Coordinates of the small drawings: the axis mark, the sparkline, the change over four hours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from apps.portal.presenters import words
from ml.profile import StudyProfile

SPARK_WIDTH, SPARK_HEIGHT, SPARK_TOP, SPARK_FLOOR = 120.0, 32.0, 2.0, 30.0


@dataclass(frozen=True, slots=True)
class Axis:
    """A probability on the 0 to 100 axis; positions in per cent, None = no score."""

    level: str
    x: float | None
    bands: tuple[str, ...]
    low: float | None = None
    high: float | None = None
    words: str = ""


@dataclass(frozen=True, slots=True)
class Gap:
    x: float
    width: float


@dataclass(frozen=True, slots=True)
class End:
    x: float
    y: float
    level: str


@dataclass(frozen=True, slots=True)
class Spark:
    """A sparkline in a box of 120 × 32; ``words`` say the same to who cannot see it."""

    path: str
    words: str
    bands: tuple[float, ...] = ()
    end: End | None = None
    gaps: tuple[Gap, ...] = ()


@dataclass(frozen=True, slots=True)
class Change:
    """The change in percentage points over four hours, with its arrow."""

    arrow: str
    arrow_words: str
    text: str
    moved: bool


@dataclass(frozen=True, slots=True)
class Was:
    """The earlier level where it was another one."""

    level: str
    word: str
    time: str


def band_marks(profile: StudyProfile) -> tuple[str, ...]:
    """The study's band limits in per cent, as they are written: ``10``, ``12.5``."""
    return tuple(f"{bound * 100:g}" for bound in profile.bands)


def axis(probability: float | None, level: str, profile: StudyProfile) -> Axis:
    """The mark of one probability on its axis."""
    shown = words.percent(probability, profile)
    text = f"{shown} on an axis from 0 to 100 per cent" if probability is not None else "no score"
    return Axis(level, None if probability is None else round(probability * 100, 2), band_marks(profile), words=text)


def spark(samples: Sequence[float | None], level: str, profile: StudyProfile, span: str) -> Spark:
    """A sparkline of equally spaced probabilities (None = no score then), oldest first, always on 0 to 100 %."""
    bands = tuple(round(SPARK_FLOOR - bound * (SPARK_FLOOR - SPARK_TOP), 1) for bound in profile.bands)
    known = [value for value in samples if value is not None]
    if not known:
        whole = (Gap(0.0, SPARK_WIDTH),)
        return Spark("", f"no score in {span}", bands, None, whole)
    step = (SPARK_WIDTH - 6) / max(1, len(samples) - 1)
    parts: list[str] = []
    gaps: list[Gap] = []
    pen_up, end, missing_from = True, None, None
    for place, value in enumerate(samples):
        x = round(1 + place * step, 1)
        if value is None:
            missing_from = x if missing_from is None else missing_from
            pen_up = True
            continue
        if missing_from is not None:
            gaps.append(Gap(missing_from, round(x - missing_from, 1)))
            missing_from = None
        y = round(SPARK_FLOOR - value * (SPARK_FLOOR - SPARK_TOP), 1)
        parts.append(f"{'M' if pen_up else 'L'}{x:g} {y:g}")
        pen_up, end = False, (x, y)
    if missing_from is not None:
        gaps.append(Gap(missing_from, round(SPARK_WIDTH - missing_from, 1)))
    low, high = words.percent(min(known)), words.percent(max(known))
    last = End(end[0], end[1], level) if end and samples[-1] is not None else None
    return Spark(" ".join(parts), f"{span}: between {low} and {high}", bands, last, tuple(gaps))


def change(now: float | None, earlier: float | None) -> Change | None:
    """Arrow and points of a change; None where one of the two is missing."""
    if now is None or earlier is None:
        return None
    difference = now - earlier
    size = abs(round(difference * 100))
    if size >= 10:
        arrow, arrow_words = ("arrow-up", "up strongly") if difference > 0 else ("arrow-down", "down strongly")
    elif size >= 3:
        arrow, arrow_words = ("arrow-rise", "up") if difference > 0 else ("arrow-fall", "down")
    else:
        arrow, arrow_words = "arrow-flat", "about the same"
    return Change(arrow, arrow_words, words.points(difference), size >= 10)


def was(
    level: str,
    earlier_level: str | None,
    earlier_at: datetime | None,
    now_at: datetime,
    where: words.ZoneInfo,
) -> Was | None:
    """The level before, where it was another, and when that was scored; the day stands there where it was another."""
    if not earlier_level or words.level(earlier_level) == level:
        return None
    key = words.level(earlier_level)
    same_day = earlier_at is None or earlier_at.astimezone(where).date() == now_at.astimezone(where).date()
    return Was(key, key, words.clock(earlier_at, where) if same_day else words.when(earlier_at, where))
