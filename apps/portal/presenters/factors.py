"""Why this score: factors that add up, with a baseline, a rest and no unexplained remainder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from apps.portal.presenters import feature_words, words
from apps.portal.viewer import Viewer

OTHERS = "other_features"
BAR_WIDTH = 78.0
NOTE = "Associations the model has learned, not causes, and not advice to change treatment."


@dataclass(frozen=True, slots=True)
class Main:
    """The factor that raises a score most, as the board says it."""

    sentence: str
    second: str
    contribution: float


@dataclass(frozen=True, slots=True)
class Factor:
    """One bar: its width is 0 to 78, its text in percentage points."""

    name: str
    detail: str
    raises: bool
    width: float
    text: str


@dataclass(frozen=True, slots=True)
class Others:
    words: str
    text: str


@dataclass(frozen=True, slots=True)
class Why:
    """The whole account. ``exact`` is baseline + all contributions − probability: zero but for rounding."""

    raises: list[Factor]
    lowers: list[Factor]
    others: Others | None
    total_words: str
    total: str
    note: str
    exact: float


@dataclass(frozen=True, slots=True)
class Untold:
    """Why there is no score, and the cheapest way to one."""

    reason: str
    more: str
    remedy: str


def shown(top_factors: list[dict[str, Any]], viewer: Viewer, site: str | None) -> list[dict[str, Any]]:
    """The named factors this viewer may see of a patient of this site (its key), strongest first."""
    personal = site in viewer.personal
    return [
        one
        for one in top_factors
        if one.get("feature") != OTHERS
        and not feature_words.hidden(str(one.get("feature")), blinded=viewer.blinded, personal=personal)
    ]


def main(top_factors: list[dict[str, Any]], viewer: Viewer, site: str | None) -> Main | None:
    """The strongest factor that raises the score, and the next one beside it."""
    rising = [one for one in shown(top_factors, viewer, site) if one["contribution"] > 0]
    if not rising:
        return None
    first = feature_words.say(rising[0]["feature"], rising[0].get("value"))
    second = ""
    for other in rising[1:]:
        said = feature_words.say(other["feature"], other.get("value"))
        if feature_words.sources(other["feature"]) != feature_words.sources(rising[0]["feature"]):
            second = said.sentence
            break
    return Main(first.sentence, second, float(rising[0]["contribution"]))


def points(contribution: float) -> str:
    """A contribution in percentage points with its sign."""
    return f"{words.signed(contribution * 100)}{words.NBSP}pts"


def why(
    probability: float,
    top_factors: list[dict[str, Any]],
    viewer: Viewer,
    site: str | None,
    ages: Mapping[str, datetime],
    at: datetime,
) -> Why:
    """The account of one score. ``ages``: newest time of each sign, analyte or record kind; a value's age is counted
    from ``at``."""
    named = shown(top_factors, viewer, site)
    listed = {one["feature"] for one in named}
    rest = [one for one in top_factors if one.get("feature") not in listed]
    rest_sum = sum(float(one["contribution"]) for one in rest)
    rest_count = sum(int(one.get("count", 1)) for one in rest)
    total = sum(float(one["contribution"]) for one in top_factors)
    baseline = probability - total
    widest = max([abs(float(one["contribution"])) for one in named] or [1.0]) or 1.0
    bars = [_bar(one, widest, ages, at) for one in named]
    return Why(
        raises=[bar for bar in bars if bar.raises],
        lowers=[bar for bar in bars if not bar.raises],
        others=Others(f"{rest_count} other features together", points(rest_sum)) if rest_count else None,
        total_words=_total_words(baseline, probability, viewer),
        total=points(total),
        note=NOTE,
        exact=baseline + total - probability,
    )


def _total_words(baseline: float, probability: float, viewer: Viewer) -> str:
    """From where to where; with a decimal where whole per cents would say that nothing happened."""
    before, after = words.percent(baseline), words.percent(probability, viewer.profile)
    if before == after and round(baseline, 3) != round(probability, 3):
        before, after = (f"{value * 100:.1f}{words.NBSP}%" for value in (baseline, probability))
    return f"The average patient's {before} becomes {after}"


def _bar(one: dict[str, Any], widest: float, ages: Mapping[str, datetime], at: datetime) -> Factor:
    said = feature_words.say(one["feature"], one.get("value"))
    newest = max((ages[source] for source in feature_words.sources(one["feature"]) if source in ages), default=None)
    old = f"{words.age((at - newest).total_seconds())} old" if newest else ""
    contribution = float(one["contribution"])
    width = round(max(1.0, abs(contribution) / widest * BAR_WIDTH), 1)
    detail = ", ".join(part for part in (said.detail, old) if part)
    return Factor(said.title, detail, contribution > 0, width, points(contribution))


def indeterminate(reasons: list[str]) -> Untold:
    """The first stored reason (a sentence, and on a second line what would mend it), and how many more there are."""
    if not reasons:
        return Untold("Not enough data for a score", "", "")
    sentence, _, remedy = reasons[0].partition("\n")
    more = f"And {words.plural(len(reasons) - 1, 'more reason')}." if len(reasons) > 1 else ""
    return Untold(sentence.strip().rstrip("."), more, remedy.strip())
