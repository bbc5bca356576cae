"""Numbers, ages, times and levels in words, the same on every page.

Probabilities come in as 0 to 1 and are shown in per cent; times are aware datetimes and are shown in the site's zone,
24 h, with the zone named; a missing number is ``--``, never a zero.
"""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from ml.profile import StudyProfile

MISSING = "--"
NBSP = "\u00a0"
MINUS = "\u2212"
#: Producer whose dates may have come without a time, and the times that stand for none: a start, an end.
IMPORTED = "sdtm-import"
NOT_TIMES = (time(12), time(23, 59, 59))
LEVEL_ORDER = ("critical", "high", "moderate", "low", "indeterminate")


def zone_words(moment: datetime, where: ZoneInfo) -> str:
    """``CET (UTC+1)``: the zone's short name beside its offset, since short names are ambiguous."""
    local = moment.astimezone(where)
    minutes = int((local.utcoffset() or timedelta()).total_seconds() // 60)
    if minutes == 0:
        return "UTC" if local.tzname() in ("UTC", "GMT") and where.key == "UTC" else f"{local.tzname()} (UTC)"
    sign, size = ("+" if minutes > 0 else MINUS), abs(minutes)
    offset = f"UTC{sign}{size // 60}" + (f":{size % 60:02d}" if size % 60 else "")
    name = local.tzname() or ""
    return offset if name[:1] in "+-" else f"{name} ({offset})"


def clock(moment: datetime | None, where: ZoneInfo, *, seconds: bool = False) -> str:
    """``14:32`` in the zone."""
    return moment.astimezone(where).strftime("%H:%M:%S" if seconds else "%H:%M") if moment else MISSING


def day(moment: datetime | date | None, where: ZoneInfo | None = None, *, year: bool = False) -> str:
    """``12 Oct``, with the year where asked."""
    if moment is None:
        return MISSING
    local = moment.astimezone(where) if isinstance(moment, datetime) and where else moment
    return f"{local.day} {local:%b}" + (f" {local.year}" if year else "")


def when(moment: datetime | None, where: ZoneInfo, *, year: bool = False, seconds: bool = False) -> str:
    """``12 Oct 14:32``."""
    return f"{day(moment, where, year=year)} {clock(moment, where, seconds=seconds)}" if moment else MISSING


def recorded(row: Any, where: ZoneInfo, *, end: bool = False, year: bool = True) -> str:
    """When a record says that it was. An import takes a date without a time for noon UTC of it (``ml.sdtm.dates``):
    that noon was never written down, so only the day is said."""
    moment: datetime | None = row.end_time if end else row.event_time
    if moment is None:
        return MISSING
    dated = row.producer == IMPORTED and moment.astimezone(UTC).time() in NOT_TIMES
    return day(moment.astimezone(UTC), year=year) if dated else when(moment, where, year=year)


def age(seconds: float | None) -> str:
    """``4 min``, ``2 h 5``, ``3 d``: the age of something, as the page's script also words it."""
    if seconds is None:
        return MISSING
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    minutes = whole // 60
    if minutes < 60:
        return f"{minutes} min"
    hours = minutes // 60
    if hours < 24:
        return f"{hours} h {minutes % 60}" if minutes % 60 and hours < 10 else f"{hours} h"
    days = hours // 24
    return f"{days} d {hours % 24} h" if hours % 24 and days < 3 else f"{days} d"


def ended(moment: datetime, where: ZoneInfo, *, live: bool) -> str:
    """``; last record 19 Mar 2013`` in a finished trial, nothing in a live one."""
    return "" if live else f"; last record {day(moment, where, year=True)}"


def percent(probability: float | None, profile: StudyProfile | None = None) -> str:
    """``62 %``; one decimal where rounding would show the number in another band than its level."""
    if probability is None:
        return MISSING
    value = probability * 100
    whole = math.floor(value + 0.5)
    if value < 1:
        return f"<{NBSP}1{NBSP}%" if value > 0 else f"0{NBSP}%"
    if value > 99 and value < 100:
        return f">{NBSP}99{NBSP}%"
    if profile is not None and profile.level(whole / 100) != profile.level(probability):
        shown = math.floor(value * 10) / 10 if whole > value else math.ceil(value * 10) / 10
        return f"{shown:.1f}{NBSP}%"
    return f"{whole}{NBSP}%"


def frequency(probability: float | None) -> str:
    """``about 6 of 10``: the probability as people count."""
    if probability is None:
        return ""
    if probability > 0.99:
        return "more than 99 of 100"
    for base in (10, 20, 50, 100):
        count = round(probability * base)
        # the smallest crowd in which the count is no further off than a quarter of what is left to nobody or everybody
        if 1 <= count < base and abs(count / base - probability) <= 0.25 * min(probability, 1 - probability) + 1e-9:
            return f"about {count} of {base}"
    count = round(probability * 100)
    return f"about {count} of 100" if count else "fewer than 1 of 100"


def points(difference: float) -> str:
    """A change in percentage points with its sign: ``+38``, ``−3``, ``0``."""
    whole = round(difference * 100)
    return "0" if whole == 0 else f"{'+' if whole > 0 else MINUS}{abs(whole)}"


def signed(value: float, decimals: int = 1) -> str:
    """A number with its sign and a true minus."""
    text = f"{abs(value):.{decimals}f}"
    if float(text) == 0:
        return text
    return f"{'+' if value > 0 else MINUS}{text}"


def number(value: float | None, digits: int = 3) -> str:
    """A measured value without trailing zeros and without false digits."""
    if value is None or math.isnan(value):
        return MISSING
    if value == 0:
        return "0"
    text = f"{value:.{max(0, digits - 1 - math.floor(math.log10(abs(value))))}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return text.replace("-", MINUS)


def level(stored: str | None) -> str:
    """The level's key on the page; no prediction at all is indeterminate too."""
    return (stored or "INDETERMINATE").lower()


def rule(key: str, profile: StudyProfile) -> str:
    """What a lane holds, from the study's own bands."""
    low, high, critical = (f"{bound * 100:g}" for bound in profile.bands)
    return {
        "critical": f"{critical} % or more in {profile.horizon_hours} h",
        "high": f"{high} to under {critical} %",
        "moderate": f"{low} to under {high} %",
        "low": f"under {low} %",
        "indeterminate": "not enough data for a score; not the same as low",
    }[key]


def plural(count: int, one: str, many: str | None = None) -> str:
    """``1 patient``, ``12 patients``."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def study_day(moment: datetime, first: date | None, where: ZoneInfo) -> int | None:
    """The day of the study as SDTM counts it: first dose = day 1, the day before = day −1, no day 0."""
    if first is None:
        return None
    days = (moment.astimezone(where).date() - first).days
    return days + 1 if days >= 0 else days


def study_day_words(moment: datetime, first: date | None, where: ZoneInfo) -> str:
    """``day 42``, ``day −7``, or nothing where there was no dose."""
    count = study_day(moment, first, where)
    return "" if count is None else f"day {count}".replace("-", MINUS)


UNIT_WORDS = {
    "mm[Hg]": "mmHg",
    "Cel": "°C",
    "10*9/L": "10⁹/L",
    "10*12/L": "10¹²/L",
    "1": "",
    "{score}": "",
    "[iU]/L": "IU/L",
    "m[IU]/L": "mIU/L",
    "a": "years",
    "d": "days",
    "h": "h",
    "min": "min",
}


def unit(ucum: str | None) -> str:
    """The UCUM unit as a person writes it."""
    return UNIT_WORDS.get(ucum or "", ucum or "")


def with_unit(value: float | None, ucum: str | None, digits: int = 3) -> str:
    """``104 /min``, ``36.6 °C``, ``--``."""
    words = unit(ucum)
    text = number(value, digits)
    return f"{text}{NBSP}{words}" if words and text != MISSING else text
