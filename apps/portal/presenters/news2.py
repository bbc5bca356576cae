"""NEWS2 of one set of vital signs, as a chip: the published colours, and never a total from too little."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from apps.portal.presenters import words
from ml.clinical import news2


@dataclass(frozen=True, slots=True)
class News2Chip:
    """``tone``: "" for 0 to 4, 1 a single three, 2 urgent (5 or 6), 3 emergency (7 and over), "part" = incomplete."""

    text: str
    tone: str
    words: str


def chip(score: news2.News2) -> News2Chip:
    """The chip of one score."""
    if score.measured == 0:
        return News2Chip(words.MISSING, "part", "NEWS2: nothing measured")
    if not score.complete:
        return News2Chip(
            f"≥{words.NBSP}{score.total}",
            "part",
            f"NEWS2 at least {score.total}: {score.measured} of {score.expected} measured",
        )
    tone = "3" if score.total >= 7 else "2" if score.total >= 5 else "1" if score.any_three else ""
    meaning = {"3": "emergency", "2": "urgent", "1": "one parameter scores 3: urgent ward review", "": "low"}[tone]
    return News2Chip(str(score.total), tone, f"NEWS2 {score.total}: {meaning}")


def of_signs(signs: Mapping[str, Any]) -> News2Chip:
    """The chip of one set of vital signs, by the contract's names and in its units."""
    return chip(news2.score({name: None if signs.get(name) == "" else signs.get(name) for name in news2.PARAMETERS}))
