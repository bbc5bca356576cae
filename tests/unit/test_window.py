"""The online window: its bytes are those of the set of facts, however it came about."""

from __future__ import annotations

import random

import numpy as np
import pytest

from ml.contracts.signals import SIGNAL_CODES
from ml.facts import ABSENT, INT_COLUMNS, Facts
from ml.features import compute
from ml.profile import StudyProfile
from ml.window import Window, advance, applied, by_patient, empty, grow, moved, pack, prune, unpack

DAY = 86_400
START = 1_772_323_200
PROFILE = StudyProfile("DEMO", baseline_days=3, study_treatments=("trialdrug",))
NAME = "DEMO/P1"


def fact(signal: str, at: int, *, known: int | None = None, offset: int = 0, **values: int) -> Facts:
    columns = {name: np.array([values.get(name, ABSENT)], np.int64) for name in INT_COLUMNS}
    columns |= {
        "key": np.array([values.get("key", hash((signal, at)) % 2**60)], np.int64),
        "event_time": np.array([at], np.int64),
        "known_time": np.array([at if known is None else known], np.int64),
        "epoch": np.zeros(1, np.int64),
        "offset": np.array([offset], np.int64),
    }
    return Facts(
        (NAME,), np.zeros(1, np.int32), np.array([SIGNAL_CODES[signal]], np.int16), np.zeros(1, bool), **columns
    )


def history(seed: int) -> list[tuple[Facts, str, int, int]]:
    """(fact, topic, offset, newest time) in the order of arrival: 12 days, some late, some corrected."""
    chance = random.Random(seed)
    dose = START + 4 * DAY
    found = [
        (fact("enrolment", START, value=1), "patient-context", 0, START),
        (fact("study_dose", dose, value=100, code=7, extra=0), "medications", 0, dose),
    ]
    for offset in range(300):
        at = START + offset * 3_600 + chance.randint(0, 50)
        known = at + (chance.randint(0, 40 * 3_600) if chance.random() < 0.1 else 0)
        sign = chance.choice(("heart_rate", "spo2"))
        found.append(
            (
                fact(sign, at, known=known, offset=offset, value=chance.randint(50, 99), extra=0),
                "patient-vitals",
                offset,
                known,
            )
        )
    found.append(
        (fact("creatinine", START + DAY, offset=3, value=900, low=600, high=1200), "lab-results", 3, START + DAY)
    )
    return found


def built(events: list[tuple[Facts, str, int, int]], cuts: list[int], *, pruning: bool) -> Window:
    window = empty(NAME)
    for start, end in zip([0, *cuts], [*cuts, len(events)], strict=True):
        part = events[start:end]
        if not part:
            continue
        watermark = {topic: list(place) for topic, place in window.watermark.items()}
        for _, topic, offset, _ in part:
            advance(watermark, topic, "id", 0, offset)
        window = grow(window, Facts.concat([item[0] for item in part]), watermark, max(item[3] for item in part))
        assert not moved(window, PROFILE)
        if pruning:
            window = prune(window, PROFILE)
    return prune(window, PROFILE)


@pytest.mark.parametrize("seed", range(8))
def test_grown_and_built_windows_are_the_same_bytes(seed: int) -> None:
    events = history(seed)
    chance = random.Random(seed)
    whole = built(events, [], pruning=False)
    grown = built(events, sorted(chance.sample(range(len(events)), 40)), pruning=True)
    assert pack(grown) == pack(whole)
    again = built(events + events[-20:], [len(events)], pruning=True)
    assert pack(again) == pack(whole), "applying a message twice changes nothing"
    assert len(whole.facts) < len(events) - 50, "what no answer needs was dropped"


@pytest.mark.parametrize("seed", range(4))
def test_dropping_changes_no_bit_of_an_answer(seed: int) -> None:
    events = history(seed)
    everything = Facts.concat([item[0] for item in events])
    window = built(events, [100, 200, 250], pruning=True)
    times = np.array([window.newest, window.newest + 3_600, window.newest + 5 * DAY])
    who = np.zeros(3, np.int32)
    assert compute(window.facts, who, times, PROFILE).tobytes() == compute(everything, who, times, PROFILE).tobytes()


def test_bytes_come_back_whole() -> None:
    window = built(history(1), [], pruning=False)
    back = unpack(pack(window))
    assert back.watermark == window.watermark
    assert (back.newest, back.kept_since, back.anchors) == (window.newest, window.kept_since, window.anchors)
    for name in (*INT_COLUMNS, "signal", "retracted", "patient"):
        assert (getattr(back.facts, name) == getattr(window.facts, name)).all(), name
        assert getattr(back.facts, name).dtype == getattr(window.facts, name).dtype
    assert unpack(pack(empty(NAME))) is not None
    assert len(unpack(pack(empty(NAME))).facts) == 0


def test_extreme_values_survive() -> None:
    facts = Facts.concat(
        [
            fact("heart_rate", START + n, value=value, low=low)
            for n, (value, low) in enumerate([(2**62, 1), (-(2**62), ABSENT), (0, 5)])
        ]
    )
    window = grow(empty(NAME), facts, {}, START)
    assert sorted(unpack(pack(window)).facts.value.tolist()) == [-(2**62), 0, 2**62]
    assert sorted(unpack(pack(window)).facts.low.tolist()) == [ABSENT, 1, 5]


def test_a_first_dose_that_comes_to_light_late_asks_for_rebuilding() -> None:
    events = [item for item in history(2) if item[1] != "medications"]
    window = built(events, [], pruning=True)
    dose = fact("study_dose", START + 5 * DAY, known=window.newest, value=100, code=7, extra=0)
    assert moved(grow(window, dose, window.watermark, window.newest), PROFILE)
    assert not moved(window, PROFILE)


def test_watermarks() -> None:
    mark: dict[str, list[object]] = {}
    advance(mark, "labs", "a", 2, 10)
    advance(mark, "labs", "a", 2, 7)
    assert mark == {"labs": ["a", 2, 10]}
    assert applied(mark, "labs", "a", 2, 10)
    assert not applied(mark, "labs", "a", 2, 11)
    assert not applied(mark, "labs", "a", 1, 3)
    advance(mark, "labs", "a", 1, 4)
    assert mark == {"labs": ["a", 2, 10], "labs@1": ["a", 1, 4]}
    assert applied(mark, "labs", "a", 1, 3)
    advance(mark, "labs", "b", 2, 0)
    assert mark == {"labs": ["b", 2, 0]}


def test_facts_part_by_patient() -> None:
    two = Facts.concat([fact("spo2", START, value=97), Facts.empty(("DEMO/P0",))])
    parts = by_patient(two)
    assert set(parts) == {NAME}
    assert parts[NAME].patients == (NAME,)
    assert by_patient(Facts.empty()) == {}
