"""SDTM's dates (--DTC): ISO 8601 of any precision, and the rules by which a partial one becomes a moment.

| what is known | the event's time | rule |
|---|---|---|
| date and time | that time | |
| date | 12:00 UTC of it | `day` |
| month or year, start | 12:00 of its earliest day (*), never after the recording | `month`, `year` |
| nothing, start | the day it was recorded | `unknown` |
| date, end | the last second of the day | |
| month or year, end | the last second of the period, never after the recording | |

(*) of an adverse event: of the day of first dose, if that lies in the period.

A date recorded is known at the last second of its day: nobody can say at which hour it was written down.
"""

from __future__ import annotations

import calendar
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Literal

Precision = Literal["time", "day", "month", "year", "unknown"]

DAY = 86_400
NOON = DAY // 2
_PARTS = re.compile(
    r"^(?P<year>\d{4})(?:-(?P<month>\d{2}|-)(?:-(?P<day>\d{2}|-))?)?"
    r"(?:T(?P<hour>\d{2}|-)(?::(?P<minute>\d{2}|-)(?::(?P<second>\d{2})(?:\.\d+)?)?)?)?Z?$"
)


class NotADate(ValueError):
    """A text that is no ISO 8601 date of the calendar."""


@dataclass(frozen=True, slots=True)
class Moment:
    """A date as far as it is known: its first and last second (since 1970 UTC) and its precision."""

    first: int
    last: int
    precision: Precision

    @property
    def end_of_day(self) -> int:
        """The last second of the last day it may mean."""
        return self.last // DAY * DAY + DAY - 1

    @property
    def start(self) -> int:
        """When an event of this date is taken to happen, before any limit."""
        return self.first if self.precision == "time" else self.first + NOON


@lru_cache(maxsize=65_536)
def parse(text: str) -> Moment | None:
    """Read a --DTC; None where it is empty. NotADate for anything else that is not a date."""
    if not text:
        return None
    found = _PARTS.match(text)
    if found is None:
        raise NotADate(f"{text!r} is no ISO 8601 date.")
    part = {name: None if value in (None, "-") else int(value) for name, value in found.groupdict().items()}
    year, month, day = part["year"], part["month"], part["day"]
    try:
        if month is None or year is None:
            return _period(datetime(year or 0, 1, 1, tzinfo=UTC), datetime(year or 0, 12, 31, tzinfo=UTC), "year")
        if day is None:
            last = calendar.monthrange(year, month)[1]
            return _period(datetime(year, month, 1, tzinfo=UTC), datetime(year, month, last, tzinfo=UTC), "month")
        date = datetime(year, month, day, tzinfo=UTC)
        if part["hour"] is None:
            return _period(date, date, "day")
        at = date.replace(hour=part["hour"], minute=part["minute"] or 0, second=part["second"] or 0)
        return Moment(int(at.timestamp()), int(at.timestamp()), "time")
    except ValueError as error:
        raise NotADate(f"{text!r} is no date of the calendar.") from error


def _period(first: datetime, last: datetime, precision: Precision) -> Moment:
    return Moment(int(first.timestamp()), int((last + timedelta(days=1)).timestamp()) - 1, precision)


@lru_cache(maxsize=65_536)
def iso(seconds: int) -> str:
    """Seconds since 1970 as ISO 8601, UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def start_of(moment: Moment | None, recorded: int, *, first_dose: Moment | None = None) -> tuple[int, Precision]:
    """(event time, precision) of a start, by the table above. `recorded` is when it was recorded, its day's end."""
    day_recorded = recorded // DAY * DAY + NOON
    if moment is None:
        return min(day_recorded, recorded), "unknown"
    start = moment.start
    if moment.precision in ("month", "year") and first_dose is not None:
        dose = first_dose.first // DAY * DAY
        if moment.first <= dose <= moment.last:
            start = dose + NOON
    return (min(start, recorded) if moment.precision in ("month", "year") else start), moment.precision


def end_of(moment: Moment, recorded: int) -> int:
    """The last second of an end, by the table above."""
    if moment.precision == "time":
        return moment.last
    if moment.precision == "day":
        return moment.end_of_day
    return min(moment.last, max(recorded, moment.first))
