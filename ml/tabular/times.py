"""Times of a table → seconds since 1970 UTC, by the form and the zone the mapping names.

A time with an offset is taken at its word. A local time that came twice (clocks set back) is the first of the two; one
that never came (clocks set forward) is refused. A date alone means 12:00 UTC of it, as everywhere on the platform.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

DAY = 86_400
FORMATS: dict[str, str] = {
    "iso": "Year first: 2026-03-28 14:05, 2026-03-28T14:05:00+01:00",
    "dmy": "Day first: 28/03/2026 14:05, 28.03.2026",
    "mdy": "Month first: 03/28/2026 2:05 PM",
    "epoch_s": "Seconds since 1970 UTC",
    "epoch_ms": "Milliseconds since 1970 UTC",
}
_PARTS = re.compile(
    r"^(\d{1,2})[./-](\d{1,2})[./-](\d{4})(?:[ T,]+(\d{1,2}):(\d{2})(?::(\d{2})(?:\.\d+)?)?\s*([AaPp][Mm])?)?$"
)
_DATE = re.compile(r"^\d{4}-?\d{2}-?\d{2}$")
EARLIEST, LATEST = -2_208_988_800, 4_102_444_800  # 1900 and 2100: what a contract can write down


class BadTime(ValueError):
    """`rule` names the rule of ml.tabular.rules that the time breaks."""

    def __init__(self, rule: str, what: str) -> None:
        super().__init__(what)
        self.rule, self.what = rule, what


@dataclass(frozen=True, slots=True)
class Moment:
    """When it was (seconds), the earliest it can be known, and whether only the day was written."""

    at: int
    known: int
    day_only: bool


@lru_cache(maxsize=512)
def zone(name: str) -> ZoneInfo:
    """The zone of this name. BadTime where there is none."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise BadTime("bad_zone", name[:60]) from error


def moment(text: str, form: str, where: str) -> Moment:
    """Read one time. BadTime says which rule it breaks."""
    try:
        found = _read(text, form)
    except (ValueError, OverflowError, OSError) as error:
        raise BadTime("not_a_time", text[:60]) from error
    if isinstance(found, datetime):
        at = int(_in_zone(found, where, text).timestamp())
        known, day_only = at, False
    else:
        first = int(datetime(found.year, found.month, found.day, tzinfo=UTC).timestamp())
        at, known, day_only = first + DAY // 2, first + DAY - 1, True
    if not EARLIEST <= at < LATEST:
        raise BadTime("not_a_time", text[:60])
    return Moment(at, known, day_only)


def _read(text: str, form: str) -> datetime | date:
    if form in ("epoch_s", "epoch_ms"):
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=float(text) / (1000 if form == "epoch_ms" else 1))
    if form == "iso":
        return date.fromisoformat(text) if _DATE.match(text) else datetime.fromisoformat(text)
    found = _PARTS.match(text)
    if found is None:
        raise ValueError(text)
    one, two, year = int(found[1]), int(found[2]), int(found[3])
    day, month = (one, two) if form == "dmy" else (two, one)
    if found[4] is None:
        return date(year, month, day)
    hour = int(found[4])
    if found[7]:
        if not 1 <= hour <= 12:
            raise ValueError(text)
        hour = hour % 12 + (12 if found[7].lower() == "pm" else 0)
    return datetime(year, month, day, hour, int(found[5]), int(found[6] or 0))  # noqa: DTZ001 - the zone follows


def _in_zone(found: datetime, where: str, text: str) -> datetime:
    if found.tzinfo is not None:
        return found.astimezone(UTC)
    placed = found.replace(tzinfo=zone(where))
    there = placed.astimezone(UTC)
    if there.astimezone(zone(where)).replace(tzinfo=None) != found:
        raise BadTime("no_such_time", f"{text[:40]} in {where}")
    return there
