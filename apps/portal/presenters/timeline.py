"""The one time axis that all panels of a page share: range, ticks at midnight with date and study day."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from apps.portal.presenters import words

ZOOMS = {
    "1d": timedelta(days=1),
    "3d": timedelta(days=3),
    "5d": timedelta(days=5),
    "30d": timedelta(days=30),
    "all": None,
}
ZOOM_WORDS = {"1d": "1 d", "3d": "3 d", "5d": "5 d", "30d": "30 d", "all": "All"}
MOST_LABELS = 9


@dataclass(frozen=True, slots=True)
class Timeline:
    """A window [start, end] in a zone; ``now`` the study's now; ``first_dose`` the local date of day 1."""

    start: datetime
    end: datetime
    now: datetime
    zone: ZoneInfo
    first_dose: date | None
    zoom: str
    live: bool = True

    @property
    def range(self) -> list[int]:
        """[start, end] in seconds since 1970."""
        return [int(self.start.timestamp()), int(self.end.timestamp())]

    def base(self) -> dict[str, Any]:
        """What every chart on this axis needs: range, ticks, now, zone."""
        now = int(self.now.timestamp()) if self.live else None
        return {"range": self.range, "ticks": self.ticks(), "now": now, "zone": self.zone.key}

    def age(self, moment: datetime) -> str:
        """``11 min old``; in a finished trial, where nothing is young or old, the day."""
        return (
            f"{words.age((self.now - moment).total_seconds())} old"
            if self.live
            else words.day(moment, self.zone, year=True)
        )

    def ticks(self) -> list[dict[str, Any]]:
        """Midnights of the zone, and six-hour lines within a single day. ``mid`` is where a day's label stands."""
        days = (self.end - self.start) / timedelta(days=1)
        if days <= 1.6:
            return self._hours()
        first = self.start.astimezone(self.zone).date()
        last = self.end.astimezone(self.zone).date()
        count = (last - first).days + 1
        step = max(1, -(-count // MOST_LABELS))
        step = next((nice for nice in (1, 2, 5, 7, 14, 28, 56, 91, 182, 364) if nice >= step), step)
        ticks: list[dict[str, Any]] = []
        for place in range(0, count, step):
            midnight = self._midnight(first + timedelta(days=place))
            middle = midnight + timedelta(hours=12) if step == 1 else midnight
            seen = self.start <= middle <= self.end
            tick: dict[str, Any] = {"t": int(midnight.timestamp()), "strong": True}
            if seen:
                tick |= {
                    "mid": int(middle.timestamp()),
                    "label": words.day(midnight, self.zone, year=step >= 56),
                    "sub": words.study_day_words(middle, self.first_dose, self.zone),
                }
            ticks.append(tick)
        return ticks

    def _hours(self) -> list[dict[str, Any]]:
        local = self.start.astimezone(self.zone)
        moment = local.replace(minute=0, second=0, microsecond=0)
        ticks: list[dict[str, Any]] = []
        while moment <= self.end:
            if moment.hour % 6 == 0 and moment >= self.start:
                midnight = moment.hour == 0
                sub = f"{words.day(moment)} {words.study_day_words(moment, self.first_dose, self.zone)}".strip()
                ticks.append(
                    {
                        "t": int(moment.timestamp()),
                        "strong": midnight,
                        "label": f"{moment:%H:%M}",
                        "sub": sub if midnight or not ticks else "",
                    }
                )
            moment += timedelta(hours=1)
        return ticks

    def _midnight(self, day: date) -> datetime:
        return datetime(day.year, day.month, day.day, tzinfo=self.zone)

    def words(self) -> str:
        """``8 Oct to 13 Oct``: the window in words."""
        first, last = (
            words.day(moment, self.zone, year=not self.live) for moment in (self.start, min(self.end, self.now))
        )
        return f"{first} to {last}"


def timeline(
    zoom: str,
    to: str,
    *,
    now: datetime,
    first: datetime | None,
    zone: ZoneInfo,
    first_dose: datetime | None,
    live: bool,
) -> Timeline:
    """The window for a zoom and, for one that does not end now, its end in seconds since 1970."""
    zoom = zoom if zoom in ZOOMS else ("5d" if live else "all")
    length = ZOOMS[zoom]
    end = now
    if to.isascii() and to.isdigit() and length is not None:
        end = min(now, datetime.fromtimestamp(min(int(to), 32503680000), now.tzinfo))
    if length is None:
        start = first or now - timedelta(days=5)
        length = max(end - start, timedelta(days=1))
    start = end - length
    margin = length * 0.03 if end == now else timedelta(0)
    day = first_dose.astimezone(zone).date() if first_dose else None
    return Timeline(start, end + margin, now, zone, day, zoom, live)


@dataclass(frozen=True, slots=True)
class ZoomLink:
    words: str
    query: str
    current: bool


@dataclass(frozen=True, slots=True)
class Zoom:
    """The zoom's choices, and the windows before and after."""

    choices: list[ZoomLink]
    earlier: str
    later: str
    window: str


def zoom_bar(line: Timeline) -> Zoom:
    """Links of the zoom; ``earlier`` and ``later`` are empty where there is nothing that way."""
    length = ZOOMS[line.zoom]
    choices = [ZoomLink(ZOOM_WORDS[key], f"zoom={key}", key == line.zoom) for key in ZOOMS]
    if length is None:
        return Zoom(choices, "", "", line.words())
    shown_end = line.start + length
    earlier = f"zoom={line.zoom}&to={int((shown_end - length / 2).timestamp())}"
    later_end = shown_end + length / 2
    later = (
        ""
        if shown_end >= line.now
        else f"zoom={line.zoom}" + ("" if later_end >= line.now else f"&to={int(later_end.timestamp())}")
    )
    return Zoom(choices, earlier, later, line.words())
