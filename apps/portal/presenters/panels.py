"""The panels of the patient page: each a sentence, rows to draw, and a table with the same numbers."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from apps.patients.models import VitalSigns
from apps.portal.presenters import words
from apps.portal.presenters.timeline import Timeline
from apps.portal.viewer import Viewer
from apps.predictions.models import Prediction
from ml.contracts.signs import SIGN_BY_NAME

MOST_POINTS = 480
TABLE_ROWS = 200


@dataclass(frozen=True, slots=True)
class Column:
    title: str
    numeric: bool = False


@dataclass(frozen=True, slots=True)
class Cell:
    text: str
    numeric: bool = False
    out: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """The numbers of a panel. ``foot`` says what was left out."""

    caption: str
    columns: list[Column]
    rows: list[list[Cell]]
    foot: str = ""
    empty: str = "Nothing in this window."


@dataclass(frozen=True, slots=True)
class PanelRow:
    """One drawing: its name, its newest value, and the numbers for the page's script."""

    kind: str
    data: dict[str, Any]
    words: str
    name: str = ""
    latest: str = ""
    out: bool = False


@dataclass(frozen=True, slots=True)
class Panel:
    slug: str
    title: str
    sentence: str
    rows: list[PanelRow] = field(default_factory=list)
    table: Table | None = None


def epoch(moment: datetime) -> int:
    """Seconds since 1970."""
    return int(moment.timestamp())


def cut_note(count: int) -> str:
    """What a table leaves out."""
    return f"The newest {TABLE_ROWS} of {count:,}." if count > TABLE_ROWS else ""


def thin(
    times: Sequence[int], values: Sequence[float | None], most: int = MOST_POINTS
) -> tuple[list[int], list[float | None], bool]:
    """At most ``most`` points: the median of equal stretches of time where there are more. True = it was thinned."""
    if len(times) <= most:
        return list(times), list(values), False
    width = (times[-1] - times[0]) / most or 1
    buckets: dict[int, list[tuple[int, float]]] = {}
    for moment, value in zip(times, values, strict=True):
        if value is not None:
            buckets.setdefault(int((moment - times[0]) / width), []).append((moment, value))
    kept = [
        (group[len(group) // 2][0], statistics.median_low([value for _, value in group]))
        for _, group in sorted(buckets.items())
    ]
    return [moment for moment, _ in kept], [value for _, value in kept], True


def ticks_of(low: float, high: float) -> list[float]:
    """Two round numbers near the ends of a range."""
    span = high - low or 1
    step = next(
        nice
        for nice in (
            0.01,
            0.02,
            0.05,
            0.1,
            0.2,
            0.5,
            1,
            2,
            5,
            10,
            20,
            50,
            100,
            200,
            500,
            1000,
            2000,
            5000,
            1e4,
            1e5,
            1e6,
            1e9,
        )
        if nice >= span / 3
    )
    first = -(-low // step) * step
    marks: list[float] = []
    while first <= high + 1e-9 and len(marks) < 4:
        marks.append(round(first, 6))
        first += step
    return marks


def value_range(values: Sequence[float], low: float | None, high: float | None) -> list[float]:
    """The drawn range: values and reference range with a little air."""
    everything = [*values, *(limit for limit in (low, high) if limit is not None)]
    if not everything:
        return [0, 1]
    least, most = min(everything), max(everything)
    air = (most - least) * 0.12 or abs(most) * 0.1 or 1
    return [least - air, most + air]


# ------------------------------------------------------------------ time and risk
def axis_panel(line: Timeline) -> PanelRow:
    """The ruler at the top."""
    zone = words.zone_words(line.now, line.zone)
    return PanelRow(
        "axis",
        line.base(),
        "dates and study days",
        name=f"Site time, {zone}",
        latest="Study day" if line.first_dose else "No study dose yet",
    )


def risk_panel(predictions: list[Prediction], viewer: Viewer, line: Timeline) -> Panel:
    """Risk over time on 0 to 100 %, with the study's bands and every change of model."""
    profile = viewer.profile
    horizon = f"Risk in {profile.horizon_hours} h"
    scored = [one for one in predictions if one.probability is not None]
    x, y, thinned = thin(
        [epoch(one.as_of) for one in scored], [round((one.probability or 0.0) * 100, 2) for one in scored]
    )
    marks: list[dict[str, Any]] = []
    before = None
    for one in predictions:
        version = one.model_version.version
        if before is not None and version != before:
            marks.append({"t": epoch(one.as_of), "label": f"model {before} → {version}"})
        before = version
    gaps = _gaps(predictions)
    x, y = _broken(x, y, gaps, profile.horizon_hours * 3600)
    data = line.base() | {
        "x": x,
        "y": y,
        "y_range": [0, 100],
        "y_ticks": [0, *(round(bound * 100) for bound in profile.bands), 100],
        "unit": "%",
        "lines": [
            {"y": bound * 100, "label": label}
            for bound, label in zip(profile.bands, ("moderate", "high", "critical"), strict=True)
        ],
        "marks": marks,
        "gaps": gaps,
    }
    if scored and predictions[-1].probability is not None:
        last = scored[-1]
        data["last"] = {
            "t": epoch(last.as_of),
            "y": (last.probability or 0) * 100,
            "level": words.level(last.level),
            "label": words.percent(last.probability, profile),
        }
    sentence = _risk_sentence(predictions, scored, viewer, line) + (
        " Each point is the median of a stretch." if thinned else ""
    )
    shown = [
        one
        for place, one in enumerate(predictions)
        if place == 0 or one.level != predictions[place - 1].level or place == len(predictions) - 1
    ]
    zone = words.zone_words(line.now, line.zone)
    table = Table(
        f"{horizon}: first, last and every change of level",
        [
            Column(f"As of ({zone})"),
            Column("Study day", True),
            Column(horizon, True),
            Column("Level"),
            Column("Model", True),
        ],
        [
            [
                Cell(words.when(one.as_of, line.zone, year=True)),
                Cell(
                    words.study_day_words(one.as_of, line.first_dose, line.zone).removeprefix("day ") or words.MISSING,
                    True,
                ),
                Cell(words.percent(one.probability, profile), True),
                Cell(words.level(one.level)),
                Cell(str(one.model_version.version), True),
            ]
            for one in reversed(shown[-TABLE_ROWS:])
        ],
        f"{len(predictions):,} scores in this window; the table shows changes of level."
        if len(shown) < len(predictions)
        else "",
        "No score in this window.",
    )
    name, latest = words.MISSING, "no score in this window"
    if predictions:
        newest = predictions[-1]
        name = words.percent(newest.probability, profile)
        latest = f"{words.level(newest.level)}, {words.when(newest.as_of, line.zone)}"
    return Panel("risk", horizon, sentence, [PanelRow("risk", data, sentence, name, latest)], table)


def _broken(
    x: list[int], y: list[float | None], gaps: list[list[int]], stands: int
) -> tuple[list[int], list[float | None]]:
    """The same points, the line lifted where no score could be given and where the last one no longer stands: a score
    speaks of its horizon, ``stands`` seconds, and a line beyond would make an old one look fresh."""
    lifts = [gap[0] for gap in gaps]
    lifts += [before + stands for before, after in itertools.pairwise(x) if after - before > 1.5 * stands]
    points = sorted([*zip(x, y, strict=True), *((moment, None) for moment in lifts)], key=lambda point: point[0])
    return [moment for moment, _ in points], [value for _, value in points]


def _gaps(predictions: list[Prediction]) -> list[list[int]]:
    """Stretches without a score, drawn hatched."""
    gaps, start = [], None
    for one in predictions:
        if one.probability is None:
            start = epoch(one.as_of) if start is None else start
        elif start is not None:
            gaps.append([start, epoch(one.as_of)])
            start = None
    if start is not None:
        gaps.append([start, epoch(predictions[-1].as_of)])
    return gaps


def _risk_sentence(predictions: list[Prediction], scored: list[Prediction], viewer: Viewer, line: Timeline) -> str:
    if not predictions:
        return "No score in this window."
    if not scored:
        return "No score could be given in this window."
    first, last = scored[0], scored[-1]
    top = max(scored, key=lambda one: one.probability or 0.0)
    start, end, most = (words.percent(one.probability, viewer.profile) for one in (first, last, top))
    if len(scored) == 1:
        return f"One score: {end}."
    text = f"From {start} to {end}"
    if (top.probability or 0) > max(first.probability or 0, last.probability or 0) + 0.03:
        text += f", highest {most} on {words.when(top.as_of, line.zone)}"
    missing = len(predictions) - len(scored)
    return f"{text}." + (f" {words.plural(missing, 'time')} no score could be given." if missing else "")


# ------------------------------------------------------------------ vital signs
SIGN_ROWS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("Heart rate", ("heart_rate",)),
    ("Blood pressure", ("blood_pressure_systolic", "blood_pressure_diastolic")),
    ("Respiratory rate", ("respiratory_rate",)),
    ("SpO₂", ("spo2",)),
    ("Temperature", ("temperature",)),
    ("Weight", ("weight",)),
)


def outside(value: float | None, low: float | None, high: float | None) -> bool:
    """Whether a value lies outside its range; nothing is outside an unknown one."""
    return value is not None and ((low is not None and value < low) or (high is not None and value > high))


def vitals_panel(vitals: list[VitalSigns], line: Timeline) -> Panel:
    """One row per sign on the shared axis, usual range shaded, values outside it ringed."""
    rows, high_now, never = [], [], []
    for name, signs in SIGN_ROWS:
        row, is_out = _sign_row(name, signs, vitals, line)
        if row is None:
            never.append(name)
            continue
        rows.append(row)
        if is_out:
            high_now.append(name)
    if not vitals:
        sentence = "No vital signs in this window."
    elif high_now:
        sentence = (
            f"{_listed(high_now)} outside the usual range in the newest set; {words.plural(len(vitals), 'set')} shown."
        )
    else:
        sentence = f"Every sign of the newest set is within its usual range; {words.plural(len(vitals), 'set')} shown."
    if len(vitals) > MOST_POINTS:
        sentence += " Each point is the median of a stretch."
    if vitals and never:
        sentence += f" Not measured: {', '.join(_inside(name) for name in never)}."
    columns = (
        "heart_rate",
        "blood_pressure_systolic",
        "blood_pressure_diastolic",
        "respiratory_rate",
        "spo2",
        "temperature",
        "weight",
    )
    titles = ("Heart rate /min", "Systolic mmHg", "Diastolic mmHg", "Resp. /min", "SpO₂ %", "Temp. °C", "Weight kg")
    zone = words.zone_words(line.now, line.zone)
    table = Table(
        "Vital signs, newest first; values outside the usual range in bold",
        [
            Column(f"Taken ({zone})"),
            Column("Study day", True),
            *(Column(title, True) for title in titles),
            Column("Source"),
        ],
        [
            [
                Cell(words.recorded(one, line.zone)),
                Cell(
                    words.study_day_words(one.event_time, line.first_dose, line.zone).removeprefix("day ")
                    or words.MISSING,
                    True,
                ),
                *(_sign_cell(sign, getattr(one, sign)) for sign in columns),
                Cell(one.source),
            ]
            for one in reversed(vitals[-TABLE_ROWS:])
        ],
        cut_note(len(vitals)),
    )
    return Panel("vitals", "Vital signs", sentence, rows, table)


def _inside(name: str) -> str:
    """A sign's name within a sentence."""
    return name if name == "SpO₂" else name.lower()


def _listed(names: list[str]) -> str:
    return ", ".join([names[0], *(_inside(name) for name in names[1:])])


def _sign_cell(sign: str, value: float | None) -> Cell:
    entry = SIGN_BY_NAME[sign]
    return Cell(words.number(value), True, outside(value, entry.reference_low, entry.reference_high))


def _sign_row(
    name: str, signs: tuple[str, ...], vitals: list[VitalSigns], line: Timeline
) -> tuple[PanelRow | None, bool]:
    entries = [SIGN_BY_NAME[sign] for sign in signs]
    having = [one for one in vitals if any(getattr(one, sign) is not None for sign in signs)]
    if not having:
        return None, False
    times = [epoch(one.event_time) for one in having]
    lines, x = [], times
    for sign in signs:
        x, values, _ = thin(times, [getattr(one, sign) for one in having])
        lines.append(values)
    if len({len(values) for values in lines}) > 1:  # one of a pair has gaps of its own: draw them unthinned
        x, lines = times, [[getattr(one, sign) for one in having] for sign in signs]
    low, high = entries[-1].reference_low, entries[0].reference_high
    drawn = [value for values in lines for value in values if value is not None]
    bounds = value_range(drawn, low, high)
    out = [
        [moment, value]
        for values, entry in zip(lines, entries, strict=True)
        for moment, value in zip(x, values, strict=True)
        if outside(value, entry.reference_low, entry.reference_high)
    ]
    newest = having[-1]
    now_out = any(outside(getattr(newest, entry.name), entry.reference_low, entry.reference_high) for entry in entries)
    latest = "/".join(words.number(getattr(newest, sign)) for sign in signs) + words.NBSP + words.unit(entries[0].unit)
    data = line.base() | {
        "x": x,
        "ys": lines,
        "pair": len(signs) > 1,
        "y_range": bounds,
        "y_ticks": ticks_of(*bounds),
        "unit": words.unit(entries[0].unit),
        "band": [low, high] if low is not None and high is not None else None,
        "out": out if len(out) <= 60 else out[-60:],
    }
    span = f"{words.number(min(drawn))} to {words.number(max(drawn))}"
    return PanelRow(
        "sign",
        data,
        f"{name}: {span} {words.unit(entries[0].unit)}",
        name,
        f"{latest}, {line.age(newest.event_time)}",
        now_out,
    ), now_out
