"""The risk board in words: lanes, rows, the sentence above them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from urllib.parse import urlencode

from django.urls import reverse
from django.utils.text import slugify

from apps.portal.presenters import factors, marks, news2, words
from apps.portal.selectors import BoardRow
from apps.portal.viewer import Viewer

#: Rows of a lane that stand open; the rest is one click away ("show all"). Critical and high are never cut.
LANE_LIMITS = {"critical": None, "high": None, "moderate": 60, "low": 12, "indeterminate": 20}
LANE_WORDS = {level: level.capitalize() for level in words.LEVEL_ORDER}
SORTS = {"risk": "highest risk", "change": "biggest rise", "subject": "subject", "vital": "oldest vital signs"}
LIVE_SPAN, FINISHED_SPAN = timedelta(days=5), timedelta(days=60)


@dataclass(frozen=True, slots=True)
class Row:
    """One strip of the board: finished words and coordinates."""

    slug: str
    subject: str
    url: str
    site: str
    arm: str
    arm_masked: bool
    level: str
    percent: str
    horizon: str
    frequency: str
    risk_words: str
    axis: marks.Axis
    spark: marks.Spark
    change: marks.Change | None
    was: marks.Was | None
    news2: news2.News2Chip | None
    reason: str
    reason_more: str
    remedy: str
    score_age: str
    score_epoch: int | None
    score_old: bool
    vital_age: str
    vital_epoch: int | None
    vital_old: bool
    sort: float
    version: str
    moved: float


@dataclass(frozen=True, slots=True)
class Lane:
    """One level with its rule and rows; ``limit`` None = every row stands open."""

    level: str
    word: str
    rule: str
    count: int
    rows: list[Row]
    empty: str
    limit: int | None
    more: int
    more_words: str
    all_url: str


@dataclass(frozen=True, slots=True)
class Filters:
    """What the board shows, read from the address and written back into it."""

    site: str = ""
    query: str = ""
    sort: str = "risk"
    everything: str = ""

    @classmethod
    def read(cls, given: dict[str, str]) -> Filters:
        """From a query string; what is unknown falls back to the default."""
        sort = given.get("sort", "risk")
        everything = given.get("all", "")
        return cls(
            given.get("site", "")[:64],
            given.get("q", "").strip()[:64],
            sort if sort in SORTS else "risk",
            everything if everything in words.LEVEL_ORDER else "",
        )

    def address(self, **changes: str) -> str:
        """The query string of this view, with changes."""
        values = {
            "site": self.site,
            "q": self.query,
            "sort": "" if self.sort == "risk" else self.sort,
            "all": self.everything,
        } | changes
        return urlencode({key: value for key, value in values.items() if value})


@dataclass(frozen=True, slots=True)
class Board:
    """The whole board."""

    headline: str
    summary: str
    lanes: list[Lane]
    total: int
    since: str
    newest: datetime | None
    changes_url: str
    head: dict[str, object] = field(default_factory=dict)


def span_of(viewer: Viewer) -> timedelta:
    """How far back a sparkline reaches: five days, or sixty where a patient has one score a day."""
    return LIVE_SPAN if viewer.live else FINISHED_SPAN


def span_words(viewer: Viewer) -> str:
    """The same in words."""
    return f"{'Last' if viewer.live else 'Own last'} {span_of(viewer).days} days"


def ends(data: Iterable[BoardRow], viewer: Viewer, keys: Iterable[str]) -> dict[str, datetime]:
    """Where the sparkline of each of these patients ends: now, or in a finished trial at their own last score."""
    wanted = set(keys)
    return {one.key: viewer.moment_of(one.as_of) for one in data if one.key in wanted}


def slug(patient_id: str) -> str:
    """A patient's identifier as a part of an element's id."""
    return slugify(patient_id) or "p-" + patient_id.encode().hex()


def _reason(row: BoardRow, viewer: Viewer) -> tuple[str, str, str]:
    """Main reason, its second line and, for an indeterminate patient, the cheapest remedy."""
    if row.as_of is None and not viewer.live:
        return "Never scored", "No day of this record could be given a score.", ""
    if row.as_of is None:
        return "No score yet", "The first one follows the first complete set of vital signs.", ""
    if row.probability is None:
        told = factors.indeterminate(row.reasons)
        return told.reason, told.more, told.remedy if viewer.live else ""
    main = factors.main(row.top_factors, viewer, row.site_key)
    if main is None or main.contribution <= 0:
        return "Nothing raises it above the study's average", "", ""
    return main.sentence, main.second, ""


def row(data: BoardRow, viewer: Viewer, samples: list[float | None], sort: str) -> Row:
    """One strip."""
    profile, now, live = viewer.profile, viewer.now, viewer.live
    level = words.level(data.level)
    change = marks.change(data.probability, data.earlier_probability)
    moved = (
        (data.probability - data.earlier_probability)
        if data.probability is not None and data.earlier_probability is not None
        else 0.0
    )
    score_seconds = (now - data.as_of).total_seconds() if data.as_of else None
    vital_seconds = (now - data.vital_at).total_seconds() if data.vital_at else None
    reason, more, remedy = _reason(data, viewer)
    percent = words.percent(data.probability, profile)
    where = viewer.zone  # one clock on a page that mixes sites
    horizon = f"in {profile.horizon_hours} h" if data.probability is not None else "no score"
    if data.probability is None and data.earlier_probability is not None and data.earlier_as_of:
        horizon = f"{words.percent(data.earlier_probability)} at {words.when(data.earlier_as_of, where)}"
    order = {
        "risk": data.probability if data.probability is not None else -(score_seconds or 0.0),
        "change": moved,
        "vital": vital_seconds if vital_seconds is not None else 1e12,
        "subject": 0.0,
    }[sort]
    masked = viewer.blinded
    return Row(
        slug=slug(data.patient_id),
        subject=data.patient_id,
        url=reverse("portal:patient", args=[viewer.trial.pk, data.patient_id]),
        site=f"Site {data.site_id}" if data.site_id else "No site",
        arm="" if masked else data.arm,
        arm_masked=masked,
        level=level,
        percent=percent,
        horizon=horizon,
        frequency=words.frequency(data.probability) if level == "critical" else "",
        risk_words=f"{level}, {percent} in {profile.horizon_hours} h"
        if data.probability is not None
        else "indeterminate, no score",
        axis=marks.axis(data.probability, level, profile),
        spark=marks.spark(samples, level, profile, span_words(viewer)),
        change=change,
        was=marks.was(level, data.earlier_level, data.earlier_as_of, data.as_of, where) if data.as_of else None,
        news2=news2.of_signs(data.signs),
        reason=reason,
        reason_more=more,
        remedy=remedy,
        score_age=words.age(score_seconds) if live else words.day(data.as_of, where, year=True),
        score_epoch=int(data.as_of.timestamp()) if data.as_of and live else None,
        score_old=live and score_seconds is not None and score_seconds > max(3600, 4 * profile.cadence_seconds),
        vital_age=words.age(vital_seconds) if live else words.day(data.vital_at, where, year=True),
        vital_epoch=int(data.vital_at.timestamp()) if data.vital_at and live else None,
        vital_old=live and vital_seconds is not None and vital_seconds > profile.vitals_stale_hours * 3600,
        sort=round(order, 6),
        version=str(data.prediction_id or ""),
        moved=moved,
    )


def order(rows: Iterable[Row], sort: str) -> list[Row]:
    """Rows in the order the person asked for; equal ones by subject."""
    if sort == "subject":
        return sorted(rows, key=lambda one: one.subject)
    return sorted(rows, key=lambda one: (-one.sort, one.subject))


def headline(counts: dict[str, int], total: int, *, live: bool = True) -> str:
    """What waits, in words; of a finished trial, how its patients left it."""
    if not total:
        return "No patients here"
    if not live:
        above = counts["critical"] + counts["high"]
        return f"{above or 'None'} of {words.plural(total, 'patient')} {'were' if above > 1 else 'was'} high or critical at the last score"
    if counts["critical"]:
        verb = "is" if counts["critical"] == 1 else "are"
        return f"{counts['critical']} of {words.plural(total, 'patient')} {verb} critical"
    if counts["high"]:
        return f"No patient is critical; {counts['high']} of {total:,} {'is' if counts['high'] == 1 else 'are'} high"
    return f"No patient of {total:,} is critical or high"


def summary(rows: Iterable[BoardRow], profile_levels: dict[str, int], *, live: bool = True) -> str:
    """How the last four hours went; of a finished trial, what its rows stand for."""
    unscored = profile_levels["indeterminate"]
    if not live:
        text = "Each row is one patient at the end of their own record; nothing moves any more."
        return f"{text} {words.plural(unscored, 'patient')} could not be scored then." if unscored else text
    rank = {"low": 0, "moderate": 1, "high": 2, "critical": 3}
    worse = better = 0
    for one in rows:
        now, before = words.level(one.level), words.level(one.earlier_level)
        if now in rank and before in rank and one.earlier_level:
            worse += rank[now] > rank[before]
            better += rank[now] < rank[before]
    moved = (
        f"In the last 4 h {worse or 'none'} moved up a level, {better or 'none'} down."
        if worse or better
        else "Nobody changed level in the last 4 h."
    )
    return f"{moved} {unscored} cannot be scored." if unscored else moved


def _empty(level: str, *, live: bool) -> str:
    if level == "indeterminate":
        return "Every patient has a score." if live else "Every patient had a score."
    return f"No patient is {level} now." if live else f"No patient was {level} at the last score."


def board(
    data: list[BoardRow],
    viewer: Viewer,
    filters: Filters,
    samples: dict[str, list[float | None]],
    *,
    action: str,
    changes: str,
) -> Board:
    """Lanes of finished rows. ``samples`` may lack patients whose row is not drawn."""
    by_level: dict[str, list[BoardRow]] = {level: [] for level in words.LEVEL_ORDER}
    for one in data:
        by_level[words.level(one.level)].append(one)
    counts = {level: len(found) for level, found in by_level.items()}
    lanes = []
    for level in words.LEVEL_ORDER:
        rows = order(
            (row(one, viewer, samples.get(one.key, []), filters.sort) for one in by_level[level] if one.key in samples),
            filters.sort,
        )
        limit = None if filters.everything == level else LANE_LIMITS[level]
        shown = rows[:limit] if limit else rows
        more = counts[level] - len(shown)
        lanes.append(
            Lane(
                level=level,
                word=LANE_WORDS[level],
                rule=words.rule(level, viewer.profile),
                count=counts[level],
                rows=shown,
                empty=_empty(level, live=viewer.live),
                limit=limit,
                more=more,
                more_words=f"{more:,} more" if more else "",
                all_url=f"{action}?{filters.address(all=level)}#lane-{level}",
            )
        )
    newest = max((one.created_at for one in data if one.created_at), default=None)
    query = filters.address()
    return Board(
        headline=headline(counts, len(data), live=viewer.live),
        summary=summary(data, counts, live=viewer.live),
        lanes=lanes,
        total=len(data),
        since=newest.isoformat() if newest else "",
        newest=newest,
        changes_url=f"{changes}?{query}" if query else changes,
        head={
            # a label needs room on an axis of eight letters' width: 0 and 100 have theirs already
            "bands": [mark for mark in marks.band_marks(viewer.profile) if 20 <= float(mark) <= 70],
            "spark_words": span_words(viewer),
            "arm_words": "arm masked" if viewer.blinded else "arm",
            "change_words": "Points in 4 h," if viewer.live else "Points since",
            "change_more": "earlier level" if viewer.live else "the score before",
            "age_words": "Age of score," if viewer.live else "Last score,",
            "age_more": "of last vital" if viewer.live else "last vital",
        },
    )


def drawn(data: list[BoardRow], viewer: Viewer, filters: Filters) -> list[str]:
    """Keys of the patients whose row is drawn: what a sparkline is asked for."""
    keys: list[str] = []
    for level in words.LEVEL_ORDER:
        here = [one for one in data if words.level(one.level) == level]
        limit = None if filters.everything == level else LANE_LIMITS[level]
        if limit is not None and len(here) > limit:
            here = sorted(here, key=lambda one: (-_rank(one, viewer, filters.sort), one.patient_id))[:limit]
        keys.extend(one.key for one in here)
    return keys


def lane_counts(data: list[BoardRow], viewer: Viewer, filters: Filters) -> list[tuple[str, int, str]]:
    """(level, how many, "166 more" beyond what is drawn) of every lane."""
    seen = set(drawn(data, viewer, filters))
    counted = []
    for level in words.LEVEL_ORDER:
        here = [one for one in data if words.level(one.level) == level]
        more = sum(one.key not in seen for one in here)
        counted.append((level, len(here), f"{more:,} more" if more else ""))
    return counted


def _rank(one: BoardRow, viewer: Viewer, sort: str) -> float:
    if sort == "subject":
        return 0.0
    if sort == "vital":
        return (viewer.now - one.vital_at).total_seconds() if one.vital_at else 1e12
    if sort == "change":
        return (
            (one.probability or 0.0) - (one.earlier_probability or 0.0)
            if None not in (one.probability, one.earlier_probability)
            else 0.0
        )
    return (
        one.probability
        if one.probability is not None
        else -((viewer.now - one.as_of).total_seconds() if one.as_of else 0.0)
    )
