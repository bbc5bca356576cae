"""The panels of what is reported: laboratory results, medicines and doses, adverse events."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from apps.patients.models import AdverseEvent, LabResult, Medication
from apps.portal.presenters import words
from apps.portal.presenters.panels import (
    TABLE_ROWS,
    Cell,
    Column,
    Panel,
    PanelRow,
    Table,
    cut_note,
    epoch,
    outside,
    ticks_of,
    value_range,
)
from apps.portal.presenters.timeline import Timeline
from apps.portal.viewer import Viewer
from ml.contracts.analytes import ANALYTE_BY_NAME
from ml.features.table import LAB_PANEL

LAB_ROWS = 6
BAR_ROWS = 10
COLOURS = ("--series-1", "--series-2", "--series-3", "--series-4")
BLINDED_DOSE = "Study drug, blinded"


def when_cells(row: Any, line: Timeline, *, timed: bool = False) -> list[Cell]:
    """Date, time and study day. ``timed``: of a kind that comes with its time, so that noon is noon."""
    day = words.study_day_words(row.event_time, line.first_dose, line.zone).removeprefix("day ") or words.MISSING
    moment = words.when(row.event_time, line.zone, year=True) if timed else words.recorded(row, line.zone)
    return [Cell(moment), Cell(day, True)]


# ------------------------------------------------------------------ laboratory
def label(analyte: str) -> str:
    """The analyte's name on a page."""
    return ANALYTE_BY_NAME[analyte].label if analyte in ANALYTE_BY_NAME else analyte


def _exact(value: float | None, unit: str | None = "") -> str:
    """A laboratory value with the digits its limits need: a specific gravity of 1.005 is not 1."""
    return words.with_unit(value, unit, 4)


def limits(row: LabResult) -> tuple[float | None, float | None]:
    """The laboratory's own range; where it gave none, the analyte's usual one."""
    if row.low is not None or row.high is not None:
        return row.low, row.high
    entry = ANALYTE_BY_NAME.get(row.analyte)
    return (entry.reference_low, entry.reference_high) if entry else (None, None)


def labs_panel(labs: list[LabResult], line: Timeline, *, everything: bool = False) -> Panel:
    """The analytes that matter most, each with its reference range shaded; every result in the table."""
    by_analyte: dict[str, list[LabResult]] = defaultdict(list)
    for row in labs:
        if row.value is not None:
            by_analyte[row.analyte or row.test_name].append(row)
    rank = {name: place for place, name in enumerate(LAB_PANEL)}
    out_now = [name for name, rows in by_analyte.items() if outside(rows[-1].value, *limits(rows[-1]))]
    names = sorted(by_analyte, key=lambda name: (name not in out_now, rank.get(name, 99), name))
    shown = names if everything else names[: max(LAB_ROWS, min(len(out_now), 10))]
    rows = [_lab_row(name, by_analyte[name], line, COLOURS[place % len(COLOURS)]) for place, name in enumerate(shown)]
    if not labs:
        sentence = "No laboratory result in this window."
    elif out_now:
        newest = by_analyte[min(out_now, key=lambda name: rank.get(name, 99))][-1]
        low, high = limits(newest)
        name = label(newest.analyte or newest.test_name)
        sentence = (
            f"{len(out_now)} of {words.plural(len(by_analyte), 'test')} out of range at the newest result, "
            f"{name} {_exact(newest.value, newest.unit)} ({_exact(low)}–{_exact(high)}) first."
        )
    else:
        sentence = f"The newest result of each of {words.plural(len(by_analyte), 'test')} is in range."
    if len(names) > len(shown):
        sentence += f" {len(names) - len(shown)} more in the table."
    zone = words.zone_words(line.now, line.zone)
    table = Table(
        "Laboratory results, newest first; values out of range in bold",
        [
            Column(f"Taken ({zone})"),
            Column("Study day", True),
            Column("Test"),
            Column("Value", True),
            Column("Range", True),
            Column("As reported", True),
        ],
        [
            [
                *when_cells(row, line, timed=True),
                Cell(label(row.analyte) if row.analyte else row.test_name),
                Cell(
                    _exact(row.value, row.unit) if row.value is not None else row.value_text or words.MISSING,
                    True,
                    outside(row.value, *limits(row)),
                ),
                Cell(
                    "–".join(_exact(limit) for limit in limits(row))
                    if any(limit is not None for limit in limits(row))
                    else words.MISSING,
                    True,
                ),
                Cell(
                    f"{words.number(row.value_reported)} {row.unit_reported}".strip()
                    if row.value_reported is not None
                    else row.value_text or words.MISSING,
                    True,
                ),
            ]
            for row in sorted(labs, key=lambda one: one.event_time, reverse=True)[:TABLE_ROWS]
        ],
        cut_note(len(labs)),
    )
    return Panel("labs", "Laboratory", sentence, rows, table)


def _lab_row(name: str, rows: list[LabResult], line: Timeline, colour: str) -> PanelRow:
    newest = rows[-1]
    low, high = limits(newest)
    values = [float(row.value or 0.0) for row in rows]
    bounds = value_range(values, low, high)
    x = [epoch(row.event_time) for row in rows]
    is_out = outside(newest.value, low, high)
    unit = words.unit(newest.unit)
    data = line.base() | {
        "x": x,
        "ys": [values],
        "y_range": bounds,
        "y_ticks": ticks_of(*bounds),
        "unit": unit,
        "colour": colour,
        "band": [low, high],
        "out": [
            [moment, value] for moment, value, row in zip(x, values, rows, strict=True) if outside(value, *limits(row))
        ],
    }
    if low is None and high is None:
        data["band"] = None
    place = f" ({_exact(low)}–{_exact(high)})" if low is not None and high is not None else ""
    text = f"{_exact(newest.value, newest.unit)}{place}, {line.age(newest.event_time)}"
    title = label(name)
    return PanelRow(
        "lab", data, f"{title}: {words.number(min(values))} to {words.number(max(values))} {unit}", title, text, is_out
    )


# ------------------------------------------------------------------ medicines and doses
def medications_panel(medications: list[Medication], viewer: Viewer, line: Timeline) -> Panel:
    """Study doses first, then every other medicine as a bar. Who is blinded sees *taken* or *missed*, never what."""
    doses = [row for row in medications if row.study_dose]
    others: dict[str, list[Medication]] = defaultdict(list)
    for row in medications:
        if not row.study_dose:
            others[row.drug_name].append(row)
    rows: list[PanelRow] = []
    missed = sum(row.outcome == "missed" for row in doses)
    if doses:
        rows.append(_dose_row(doses, missed, viewer, line))
    names = sorted(
        others,
        key=lambda name: (all(row.end_time is not None and row.end_time < line.now for row in others[name]), name),
    )
    rows += [_medicine_row(name, others[name], line) for name in names[:BAR_ROWS]]
    taken = _taken(doses, missed)
    left = f" {len(names) - BAR_ROWS} more in the table." if len(names) > BAR_ROWS else ""
    sentence = (
        f"{taken}; {words.plural(len(names), 'other medicine')}.{left}"
        if medications
        else "No dose or medicine in this window."
    )
    zone = words.zone_words(line.now, line.zone)
    table = Table(
        "Doses and medicines, newest first",
        [
            Column(f"From ({zone})"),
            Column("Study day", True),
            Column("Medicine"),
            Column("Dose and route"),
            Column("To"),
            Column("For"),
        ],
        [
            [
                *when_cells(row, line),
                Cell(_name(row, viewer)),
                Cell(_amount(row, viewer)),
                Cell(_until(row, line)),
                Cell(row.term or ""),
            ]
            for row in sorted(medications, key=lambda one: one.event_time, reverse=True)[:TABLE_ROWS]
        ],
        cut_note(len(medications)),
    )
    return Panel("medicines", "Doses and medicines", sentence, rows, table)


def _periods(doses: list[Medication]) -> int:
    """Rows that stand for days of dosing, not for one dose."""
    return sum(row.end_time is not None and row.end_time > row.event_time for row in doses)


def _taken(doses: list[Medication], missed: int) -> str:
    """What was taken of the study drug, in words."""
    if not doses:
        return "No study dose"
    periods = _periods(doses)
    single = len(doses) - missed - periods
    parts = [words.plural(periods, "period") + " of study doses"] if periods else []
    parts += [words.plural(single, "study dose") + " taken"] if single or not periods else []
    return ", ".join([*parts, f"{missed} missed" if missed else "none missed"])


def _name(row: Medication, viewer: Viewer) -> str:
    if not row.study_dose:
        return row.drug_name
    return BLINDED_DOSE if viewer.blinded else row.drug_name


def _amount(row: Medication, viewer: Viewer) -> str:
    """Name, amount, route and frequency of a study dose reveal the arm: who is blinded reads taken or missed."""
    if row.study_dose and viewer.blinded:
        return "missed" if row.outcome == "missed" else "taken"
    parts = [words.with_unit(row.dosage, row.unit) if row.dosage is not None else "", row.route, row.frequency]
    text = ", ".join(part for part in parts if part) or words.MISSING
    return f"missed ({text})" if row.outcome == "missed" else text


def _until(row: Any, line: Timeline) -> str:
    if row.end_time is None:
        return "" if getattr(row, "study_dose", False) else "ongoing"
    return words.recorded(row, line.zone, end=True)


def _dose_row(doses: list[Medication], missed: int, viewer: Viewer, line: Timeline) -> PanelRow:
    bars: list[dict[str, Any]] = []
    for row in doses:
        if row.outcome == "missed":
            bars.append({"kind": "missed", "from": epoch(row.event_time), "to": epoch(row.event_time)})
        elif row.end_time is not None and row.end_time > row.event_time:
            bars.append({"kind": "period", "from": epoch(row.event_time), "to": epoch(row.end_time), "label": ""})
        else:
            bars.append({"kind": "dose", "from": epoch(row.event_time), "to": epoch(row.event_time)})
    last = next((row for row in reversed(doses) if row.outcome != "missed"), None)
    ago = (
        f"last {'from ' if _periods([last]) else ''}{words.recorded(last, line.zone, year=not line.live)}"
        if last
        else "none taken"
    )
    name = BLINDED_DOSE if viewer.blinded else doses[-1].drug_name
    text = f"{ago}{f'; {missed} missed, marked ×' if missed else ''}"
    return PanelRow("bar", line.base() | {"bars": bars}, f"{name}: {_taken(doses, missed)}", name, text)


def _medicine_row(name: str, rows: list[Medication], line: Timeline) -> PanelRow:
    newest = rows[-1]
    bars = [
        {
            "kind": "period" if row.end_time is None or row.end_time > row.event_time else "dose",
            "from": epoch(row.event_time),
            "to": epoch(row.end_time) if row.end_time else None,
            "until": epoch(line.now),
            "label": row.term[:40] if row.term else "",
        }
        for row in rows
    ]
    parts = [
        words.with_unit(newest.dosage, newest.unit) if newest.dosage is not None else "",
        newest.frequency or newest.route,
    ]
    latest = ", ".join(part for part in parts if part)
    return PanelRow("bar", line.base() | {"bars": bars}, f"{name}: {_until(newest, line)}", name, latest)


# ------------------------------------------------------------------ adverse events
def events_panel(events: list[AdverseEvent], line: Timeline) -> Panel:
    """A bar per event, its grade on it, an arrow where it has not ended."""
    ongoing = [row for row in events if row.end_time is None or row.end_time > line.now]
    order = sorted(events, key=lambda row: (row not in ongoing, -row.event_time.timestamp()))
    rows = [_event_row(row, line) for row in order[:BAR_ROWS]]
    if not events:
        sentence = "No adverse event in this window."
    else:
        grades = [row.grade for row in events if row.grade]
        top = f", highest grade {max(grades)}" if grades else ""
        serious = sum(bool(row.serious) for row in events)
        sentence = (
            f"{words.plural(len(events), 'event')}, {len(ongoing)} {'ongoing' if line.live else 'without an end'}{top}"
            + (f", {serious} serious." if serious else ".")
        )
        if len(order) > BAR_ROWS:
            sentence += f" {len(order) - BAR_ROWS} more in the table."
    zone = words.zone_words(line.now, line.zone)
    table = Table(
        "Adverse events, newest first",
        [
            Column("Event"),
            Column("Grade", True),
            Column("Serious"),
            Column(f"From ({zone})"),
            Column("Study day", True),
            Column("To"),
            Column("Causality"),
            Column("Known since"),
        ],
        [
            [
                Cell(_title(row)),
                Cell(str(row.grade or words.MISSING), True),
                Cell({True: "yes", False: "no", None: words.MISSING}[row.serious]),
                *when_cells(row, line),
                Cell(_until(row, line)),
                Cell(row.causality or words.MISSING),
                Cell(words.when(row.known_time, line.zone, year=True)),
            ]
            for row in sorted(events, key=lambda one: one.event_time, reverse=True)[:TABLE_ROWS]
        ],
        cut_note(len(events)),
    )
    return Panel("events", "Adverse events, CTCAE grade", sentence, rows, table)


def _title(row: AdverseEvent) -> str:
    text = row.term or row.event_type.replace("_", " ")
    return text[:1].upper() + text[1:].lower() if text.isupper() else text[:1].upper() + text[1:]


def _event_row(row: AdverseEvent, line: Timeline) -> PanelRow:
    to = epoch(row.end_time) if row.end_time and row.end_time <= line.now else None
    bar = {
        "kind": "period",
        "from": epoch(row.event_time),
        "to": to,
        "until": epoch(line.now),
        "grade": row.grade,
        "label": str(row.grade) if row.grade else "",
    }
    details = [row.causality.lower() if row.causality else "", "serious" if row.serious else ""]
    title = _title(row)
    state = "ongoing" if to is None else f"until {words.recorded(row, line.zone, end=True, year=not line.live)}"
    words_ = (
        f"{title}, grade {row.grade or 'unknown'}, from {words.recorded(row, line.zone, year=not line.live)}, {state}"
    )
    return PanelRow("bar", line.base() | {"bars": [bar]}, words_, title, ", ".join(part for part in details if part))
