"""Made-up histories as facts: small drawn ones full of edges, and larger ones that look like a trial."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import strategies as st

from ml.contracts.signals import SIGNAL_CODES
from ml.facts import ABSENT, INT_COLUMNS, Facts, name_code
from ml.features.table import DAY, HOUR, LAB_PANEL, TEMPORAL_SIGNS
from ml.profile import StudyProfile

PROFILE = StudyProfile("DEMO", baseline_days=3)
START = 1_704_067_200  # 2024-01-01
SPREAD = {"heart_rate": (750, 60), "blood_pressure_systolic": (1200, 90), "blood_pressure_diastolic": (800, 60),
          "temperature": (3680, 30), "spo2": (970, 10), "respiratory_rate": (160, 20)}  # fmt: skip
DRUGS = [
    name_code(name)
    for name in ("sertraline", "selegiline", "tramadol", "simvastatin", "clarithromycin", "haloperidol", "methadone",
                 "ondansetron", "amiodarone", "tizanidine", "sumatriptan", "aspirin", "vitamin c", "metformin")
]  # fmt: skip
EDGES = (0, 1, HOUR, 6 * HOUR, DAY, 2 * DAY, 3 * DAY, 7 * DAY, 30 * DAY)
USED = (*TEMPORAL_SIGNS, "weight", "height", *LAB_PANEL, "adverse_event", "medication", "study_dose", "enrolment", "age", "sex",
        "arm", "history")  # fmt: skip


def facts_from(rows: list[dict[str, Any]], patients: int) -> Facts:
    """Facts of plain rows; columns not given are absent (order columns 0)."""
    missing = {"epoch": 0, "offset": 0}
    columns = {
        name: np.array([row.get(name, missing.get(name, ABSENT)) for row in rows], np.int64) for name in INT_COLUMNS
    }
    return Facts(
        tuple(f"DEMO/{number}" for number in range(patients)),
        np.array([row["patient"] for row in rows], np.int32),
        np.array([SIGNAL_CODES[row["signal"]] for row in rows], np.int16),
        np.array([row.get("retracted", False) for row in rows], np.bool_),
        **columns,
    )


@st.composite
def small(draw: st.DrawFn, signals: tuple[str, ...] = USED) -> tuple[Facts, np.ndarray, np.ndarray]:
    """(facts, patient, as_of): few records with many versions, times at or one second off the edges of windows."""
    times = draw(
        st.lists(st.integers(0, 20 * 24).map(lambda hour: START + 30 * DAY + hour * HOUR), min_size=1, max_size=4)
    )
    edge = st.builds(
        lambda time, back, off: time - back + off, st.sampled_from(times), st.sampled_from(EDGES), st.integers(-1, 1)
    )
    event = st.one_of(edge, st.integers(START, START + 50 * DAY))
    late = st.one_of(st.just(0), st.integers(-100, 100), st.integers(0, 6 * DAY), st.sampled_from((HOUR, DAY)))
    # Few signals at a time, so that records meet in one window.
    chosen = draw(st.lists(st.sampled_from(signals), min_size=1, max_size=6, unique=True))
    rows = []
    for _ in range(draw(st.integers(0, 40))):
        signal = draw(st.sampled_from(chosen))
        when = draw(event)
        row = {
            "patient": draw(st.integers(0, 1)),
            "signal": signal,
            "key": draw(st.integers(0, 12)),
            "event_time": when,
            "known_time": when + draw(late),
            "epoch": draw(st.integers(0, 1)),
            "offset": draw(st.integers(0, 30)),
            "retracted": draw(st.integers(0, 9)) == 0,
            **_content(signal, draw(st.integers(0, 400)), draw(st.integers(0, 13))),
        }
        if signal in ("adverse_event", "medication", "study_dose", "history") and draw(st.booleans()):
            row["end_time"] = when + draw(st.integers(-HOUR, 9 * DAY))
        rows.extend([row] * draw(st.sampled_from((1, 1, 1, 2))))
    pairs = draw(st.lists(st.tuples(st.integers(0, 1), st.sampled_from(times)), min_size=1, max_size=6))
    patient, as_of = (np.array(column, np.int64) for column in zip(*pairs, strict=True))
    return facts_from(rows, 2), patient, as_of


def _content(signal: str, number: int, choice: int) -> dict[str, int]:
    if signal in SPREAD:
        return {"value": SPREAD[signal][0] + number - 200, "extra": choice % 2}
    if signal in ("weight", "height"):
        return {"value": 1000 + number, "extra": choice % 3}
    if signal in LAB_PANEL:
        return {"value": number if choice else ABSENT}
    if signal in ("medication", "study_dose"):
        amount = number * 100 if choice else ABSENT
        return {"value": amount, "code": DRUGS[choice], "extra": choice % 2 if signal == "study_dose" else ABSENT}
    if signal in ("adverse_event", "history"):
        return {"value": number % 5 + 1, "code": choice, "extra": 0}
    if signal == "arm":
        return {"value": 1, "code": name_code(("Placebo", "High", "Low")[choice % 3]), "extra": choice % 2}
    return {"value": number % 3 if signal == "sex" else number}


def cohort(
    seed: int, patients: int = 3, days: int = 10, per_day: int = 60, late: float = 0.03, corrected: float = 0.02
) -> Facts:
    """A trial of a few patients: everything features read, with late, corrected and retracted records and duplicates."""
    rng = np.random.default_rng(seed)
    rows: list[dict[str, Any]] = []
    for patient in range(patients):
        first = START + int(rng.integers(0, DAY))
        rows += _person(rng, patient, first, days)
        for number in range(days * per_day):
            when = first + number * DAY // per_day + int(rng.integers(0, 60))
            for sign, (middle, width) in SPREAD.items():
                if rng.random() < 0.95:
                    rows.append({"patient": patient, "signal": sign, "key": number, "event_time": when,
                                 "value": round(rng.normal(middle, width)), "extra": int(rng.random() < 0.1)})  # fmt: skip
    for offset, row in enumerate(rows):
        row["offset"] = offset
        lag = int(rng.integers(0, 2 * DAY)) if rng.random() < late else int(rng.integers(0, 5))
        row["known_time"] = row["event_time"] + lag
    again = [dict(row) for row in rows if rng.random() < corrected]
    for offset, row in enumerate(again, len(rows)):
        row.update(
            offset=offset, known_time=row["known_time"] + int(rng.integers(0, DAY)), retracted=bool(rng.random() < 0.2)
        )
        if "value" in row and row["signal"] in SPREAD:
            row["value"] += int(rng.integers(-3, 4))
    return facts_from(rows + again, patients)


def _person(rng: np.random.Generator, patient: int, first: int, days: int) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = [
        {"patient": patient, "signal": signal, "key": 1, "event_time": first, **content}
        for signal, content in {
            "enrolment": {"value": 1},
            "age": {"value": 640 + patient},
            "sex": {"value": patient % 2},
            "arm": {"value": 1, "code": name_code("Placebo" if patient % 2 else "High"), "extra": 1},
            "height": {"value": 1750},
        }.items()
    ]

    def add(signal: str, number: int, when: int, **content: int) -> None:
        rows.append({"patient": patient, "signal": signal, "key": 1000 + number, "event_time": when, **content})

    for day in range(days):
        when = first + day * DAY
        add("weight", day, when + 7 * HOUR, value=7000 + int(rng.integers(-50, 50)), extra=0)
        add(
            "study_dose",
            day,
            when + 26 * HOUR,
            value=25_000 * int(rng.integers(1, 4)),
            code=1,
            extra=int(rng.random() < 0.15),
        )
        for number, lab in enumerate(LAB_PANEL):
            if rng.random() < 0.8:
                add(lab, day * 20 + number, when + 8 * HOUR, value=int(rng.integers(50, 300)))
    for number in range(days // 2):
        when = first + int(rng.integers(0, days * DAY))
        add("medication", number, when, value=1, code=int(rng.choice(np.array(DRUGS))),
            end_time=ABSENT if rng.random() < 0.6 else when + int(rng.integers(0, 9 * DAY)))  # fmt: skip
        add("adverse_event", number, when, value=int(rng.integers(1, 5)), code=int(rng.integers(0, 4)),
            end_time=ABSENT if rng.random() < 0.5 else when + int(rng.integers(0, 5 * DAY)))  # fmt: skip
        add("history", number, first, value=1, code=number)
    return rows


def pairs(seed: int, facts: Facts, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Random (patient, as-of time) over the time the facts cover, a part of them at the very second of an event."""
    rng = np.random.default_rng(seed)
    patient = rng.integers(0, len(facts.patients), count)
    as_of = rng.integers(START, int(facts.event_time.max()) + DAY, count)
    edge = rng.random(count) < 0.3
    as_of[edge] = rng.choice(facts.event_time, edge.sum()) + rng.choice(np.array(EDGES), edge.sum())
    return patient, as_of


def joined(*parts: Facts) -> Facts:
    """All rows; the parts must name the same patients."""
    whole = Facts.concat(parts)
    return replace(whole, patients=parts[0].patients)
