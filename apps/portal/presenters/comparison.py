"""A comparison of two model versions as sentences and tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from apps.portal.presenters import words
from apps.portal.presenters.evaluation import interval, three
from apps.portal.presenters.panels import Cell, Column, Table
from apps.portal.viewer import Viewer

FIGURES = (
    ("auroc", "AUROC"),
    ("auprc", "Average precision"),
    ("brier", "Brier score (lower is better)"),
    ("ece", "Calibration error (lower is better)"),
)
GROUPS = {"age": "Age", "sex": "Sex", "site": "Site", "period": "Period"}


@dataclass(frozen=True, slots=True)
class ComparisonPage:
    decision: str
    promote: bool
    lead: str
    figures: Table
    alerts: Table
    levels: Table
    apart: str
    subgroups: Table
    facts: list[tuple[str, str]]
    simulated: bool


def page(body: Mapping[str, Any], viewer: Viewer) -> ComparisonPage:
    """Everything the page shows of one comparison."""
    one, two = (f"Model {body['models'][side]['name'].rpartition(' v')[2]}" for side in ("one", "two"))
    columns = [Column(one, True), Column(two, True), Column("Difference", True), Column("95 % interval", True)]
    known = datetime.fromtimestamp(body["labels_known_by"], UTC)
    apart = body["disagreement"]
    left_out = "; ".join(f"{count:,} {what}" for what, count in body["left_out"].items())
    data = "simulated data" if body["simulated"] else "real patients' data"
    return ComparisonPage(
        decision=body["decision"]["sentence"],
        promote=body["decision"]["promote"],
        lead=(
            f"Both scored the same {words.plural(body['rows'], 'patient-day')} of "
            f"{words.plural(body['patients'], 'patient')} that neither has learned from ({data}), with "
            f"{words.plural(body['events'], 'event')}. Left out: {left_out}."
        ),
        figures=Table(
            "Figures of both versions",
            [Column("Measure"), *columns],
            [_row(title, body["figures"][name]) for name, title in FIGURES] + _calibration(body),
            f"{body['interval']}. Difference: {two} less {one}.",
        ),
        alerts=Table(
            "Share of patient-days at or above a level's bound",
            [Column("Bound"), *columns],
            [_row(f"{row['band'] * 100:g} %", row, percent) for row in body["alerts"]],
            "How many patient-days each version would put in a level or above it.",
        ),
        levels=_levels(apart, one, two),
        apart=(
            f"Another level for {apart['other_level'] * 100:.1f} % of the patient-days, two levels apart for "
            f"{apart['two_levels_apart'] * 100:.1f} %. Probabilities differ by {apart['mean_difference'] * 100:.1f} points "
            f"on average, by {apart['largest_difference'] * 100:.1f} at most."
        ),
        subgroups=_subgroups(body, columns),
        facts=[
            ("Data version", "masked" if viewer.blinded else str(body["data_version"])[:12]),
            ("Labels known by", f"{words.when(known, viewer.zone, year=True)} {words.zone_words(known, viewer.zone)}"),
            ("Draws of patients", f"{body['draws']:,}"),
        ],
        simulated=bool(body["simulated"]),
    )


def percent(value: float | None) -> str:
    """A share with one decimal."""
    return words.MISSING if value is None else f"{100 * value:.1f} %".replace("-", words.MINUS)


def _row(title: str, row: Mapping[str, Any], shown: Callable[[float | None], str] = three) -> list[Cell]:
    gain = row["gain"]
    span = interval(gain) if shown is three else f"{shown(gain['low'])} to {shown(gain['high'])}"
    return [
        Cell(title),
        *(Cell(shown(row[side]["value"]), True) for side in ("one", "two", "gain")),
        Cell(span if gain["low"] is not None else words.MISSING, True),
    ]


def _calibration(body: Mapping[str, Any]) -> list[list[Cell]]:
    """Intercept and slope, of which no difference is judged: each has its own best value."""
    return [
        [
            Cell(title),
            *(Cell(three(body["calibration"][side][name]), True) for side in ("one", "two")),
            Cell(words.MISSING, True),
            Cell(words.MISSING, True),
        ]
        for name, title in (
            ("slope", "Calibration slope (1 is perfect)"),
            ("intercept", "Calibration intercept (0 is perfect)"),
        )
    ]


def _levels(apart: Mapping[str, Any], one: str, two: str) -> Table:
    names = [str(level).capitalize() for level in apart["levels"]]
    return Table(
        "Patient-days by the level that each version gives them",
        [Column(f"{one} down, {two} across"), *(Column(name, True) for name in names)],
        [
            [Cell(name), *(Cell(f"{count:,}", True) for count in counts)]
            for name, counts in zip(names, apart["table"], strict=True)
        ],
        "On the diagonal both say the same.",
    )


def _subgroups(body: Mapping[str, Any], columns: list[Column]) -> Table:
    rows = []
    for grouping, parts in body["subgroups"].items():
        for part in parts:
            title = f"{GROUPS.get(grouping, grouping)}: {part['group']}"
            if part["suppressed"]:
                rows.append([Cell(title), *(Cell(words.MISSING, True) for _ in range(3)), Cell(part["reason"], True)])
            else:
                rows.append(_row(title, part))
    return Table(
        "AUROC by subgroup", [Column("Subgroup"), *columns], rows, "Subgroups with too few events are not compared."
    )
