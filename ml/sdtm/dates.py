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

A date and time with a zone is that moment in UTC; without one it is taken as UTC. A --DTC that is not written as it should
be is read by the table `READINGS` or not at all. A row without a date that can be read is dated by the table in
`ml.sdtm.rows`. Every such reading is noted.

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
EARLIEST_YEAR, LATEST_YEAR = 1900, 2199
"""What a message's time can say (`ml.contracts.wire`); a date outside is a slip of the pen."""
_PARTS = re.compile(
    r"^(?P<year>\d{4})(?:-(?P<month>\d{2}|-)(?:-(?P<day>\d{2}|-))?)?"
    r"(?:T(?P<hour>\d{2}|-)(?::(?P<minute>\d{2}|-)(?::(?P<second>\d{2}|-)(?:[.,]\d+)?)?)?)?"
    r"(?P<zone>Z|[+-]\d{2}(?::?\d{2})?)?$",
    re.ASCII,
)
_MONTHS = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]
_MONTH = "|".join(_MONTHS)
_UNKNOWN = r"UNK?|XX|NK|\?\?"

SAID_UNKNOWN = frozenset(
    ["UNK", "UNKNOWN", "UN", "NK", "NA", "N/A", "ND", "NI", "NULL", "NONE", ".", "-", "--", "----", "?"]
)
"""Texts (upper case) that say that a date is not known: they count as an empty one."""

READINGS: tuple[tuple[str, str, str], ...] = (
    ("basic", r"^(?P<y>\d{4})(?P<m>\d{2})(?P<d>\d{2})(?P<rest>T.*)?$", "20190228: ISO 8601 without hyphens"),
    ("slashes", r"^(?P<y>\d{4})[/.](?P<m>\d{1,2})[/.](?P<d>\d{1,2})(?P<rest>[T ].*)?$", "2019/02/28: the year stands first"),
    ("space", r"^(?P<y>\d{4})-(?P<m>\d{2})-(?P<d>\d{2})(?P<rest> \d.*)$", "2019-02-28 14:45: a blank for the T"),
    ("short", r"^(?P<y>\d{4})-(?P<m>\d{1,2})-(?P<d>\d{1,2})(?P<rest>T.*)?$", "2019-2-8: digits left out"),
    ("named", rf"^(?P<d>\d{{1,2}})[-/ ]?(?P<m>{_MONTH})[A-Z]*[-/ ,]*(?P<y>\d{{4}})(?P<rest>[T: ].*)?$", "28FEB2019: the month by name"),
    ("named_month", rf"^(?:(?:{_UNKNOWN})[-/ ]?)?(?P<m>{_MONTH})[A-Z]*[-/ ]?(?P<y>\d{{4}})$", "UN-FEB-2019, FEB2019: the day unknown"),
    ("unknown_day", rf"^(?P<y>\d{{4}})-(?P<m>\d{{2}})-(?:{_UNKNOWN})$", "2019-02-UN: the day unknown"),
    ("unknown_month", rf"^(?P<y>\d{{4}})-(?:{_UNKNOWN})(?:-(?:{_UNKNOWN}))?$", "2019-UN-UN: month and day unknown"),
    ("interval", r"^(?P<iso>\d{4}[^/]*)/\d{4}.*$", "2019-02-28/2019-03-02: an interval; its beginning counts"),
)  # fmt: skip
"""(name, pattern, example and meaning) of texts that are not a plain --DTC and yet can mean one date only. What could be
read in two ways (02/03/2019) is not in the table: nobody guesses."""


class NotADate(ValueError):
    """A text that is no date of the calendar within `EARLIEST_YEAR` and `LATEST_YEAR`; the message says why."""


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
    """Read a --DTC; None where it is empty or says that it is not known. NotADate for anything else that is not a date."""
    return read(text)[0]


@lru_cache(maxsize=65_536)
def read(text: str) -> tuple[Moment | None, str]:
    """(moment, name of the row of `READINGS` it was read by; "" for ISO 8601 as it should be). NotADate as for `parse`."""
    text = text.strip()
    if not text or text.upper() in SAID_UNKNOWN:
        return None, ""
    if found := _PARTS.match(text):
        return _moment(text, found), ""
    for name, pattern in _READINGS:
        if other := pattern.match(text.upper()):
            part = other.groupdict()
            if iso_text := part.get("iso"):
                return read(iso_text)[0], name
            month = part.get("m")
            if month is not None and not month.isdigit():
                month = f"{_MONTHS.index(month) + 1:02d}"
            pieces = [part["y"], *(piece.zfill(2) for piece in (month, part.get("d")) if piece is not None)]
            again = _PARTS.match("-".join(pieces) + _clock(part.get("rest")))
            if again is not None:
                return _moment(text, again), name
    raise NotADate(f"{text[:40]!r} is no ISO 8601 date.")


_READINGS = tuple((name, re.compile(pattern, re.ASCII)) for name, pattern, _ in READINGS)


def _clock(rest: str | None) -> str:
    """The time that follows a date: " 14:45", ":14:45:00" or "T14:45" as "T14:45"."""
    bare = (rest or "").strip(" :T")
    return f"T{bare}" if bare else ""


def _moment(text: str, found: re.Match[str]) -> Moment:
    part = {
        name: None if value in (None, "-") else int(value)
        for name, value in found.groupdict().items()
        if name != "zone"
    }
    year, month, day, hour = part["year"] or 0, part["month"], part["day"], part["hour"]
    if not EARLIEST_YEAR <= year <= LATEST_YEAR:
        raise NotADate(f"{text[:40]!r} lies outside the years {EARLIEST_YEAR} to {LATEST_YEAR}.")
    try:
        if month is None:
            return _period(datetime(year, 1, 1, tzinfo=UTC), datetime(year, 12, 31, tzinfo=UTC), "year")
        if day is None:
            first = datetime(year, month, 1, tzinfo=UTC)
            return _period(first, first.replace(day=calendar.monthrange(year, month)[1]), "month")
        date = datetime(year, month, day, tzinfo=UTC)
        if hour is None:
            return _period(date, date, "day")
        midnight = hour == 24 and not part["minute"] and not part["second"]
        at = date.replace(hour=0 if midnight else hour, minute=part["minute"] or 0, second=part["second"] or 0)
        seconds = int(at.timestamp()) + (DAY if midnight else 0) - _zone(found["zone"])
        return Moment(seconds, seconds, "time")
    except ValueError as error:
        raise NotADate(f"{text[:40]!r} is no date of the calendar.") from error


def _zone(text: str | None) -> int:
    """Seconds by which a zone is ahead of UTC. ValueError beyond a day."""
    if text in (None, "", "Z"):
        return 0
    digits = text[1:].replace(":", "")
    hours, minutes = int(digits[:2]), int(digits[2:] or 0)
    if hours > 14 or minutes > 59:
        raise ValueError(f"no zone: {text}")
    return (hours * 3600 + minutes * 60) * (-1 if text[0] == "-" else 1)


def study_day(number: float, reference: Moment) -> Moment:
    """The day of a --DY: 1 is the reference's own day, -1 the day before it. NotADate for 0, which does not exist."""
    whole = int(number)
    if whole == 0 or whole != number or abs(whole) > 36_525:
        raise NotADate(f"{number:g} is no study day: there is no day 0, and no fraction of one.")
    first = reference.first // DAY * DAY + (whole - 1 if whole > 0 else whole) * DAY
    year = datetime.fromtimestamp(first, UTC).year
    if not EARLIEST_YEAR <= year <= LATEST_YEAR:
        raise NotADate(f"Study day {whole} lies outside the years {EARLIEST_YEAR} to {LATEST_YEAR}.")
    return Moment(first, first + DAY - 1, "day")


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
