"""Versions and forward fill against plain programs that walk record by record."""

from __future__ import annotations

import random
from typing import Any

import pyarrow as pa
import pytest

from ml.cleaning import dedupe, forward_fill
from ml.cleaning.fill import FILLED_SIGNS
from ml.contracts.signs import SIGNS
from ml.contracts.tables import SILVER

SIGN_NAMES = [sign.name for sign in SIGNS]
USED = ("heart_rate", "temperature", "weight")


def vitals(draw: random.Random, count: int) -> pa.Table:
    """Rows of few patients and records, so that versions meet."""
    rows = []
    for offset in range(count):
        signs = {name: float(draw.randrange(3)) for name in USED if draw.random() < 0.5}
        rows.append(
            {
                "trial_id": "T",
                "trial_site_id": draw.choice(["A", "A", "B"]) if draw.random() < 0.1 else "A",
                "patient_id": draw.choice(["P1", "P2"]),
                "key": draw.randrange(12),
                "event_time": 1000 * draw.randrange(12) if draw.random() < 0.1 else 0,
                "known_time": draw.randrange(40),
                "epoch": draw.randrange(2),
                "topic_id": "x",
                "partition": 0,
                "offset": offset,
                "retracted": draw.random() < 0.1,
                "source": "m",
                "flags": [],
                **signs,
            }
        )
    for row in rows:
        row["event_time"] += 1500 * row["key"]
    return pa.Table.from_pylist(rows, schema=SILVER["patient-vitals"])


def order(row: dict[str, Any]) -> tuple[int, int, int]:
    return row["known_time"], row["epoch"], row["offset"]


def plain_dedupe(rows: list[dict[str, Any]]) -> tuple[dict[int, int], set[int]]:
    """Offset → version number of the rows that stay, and the offsets of those that go."""
    records: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for row in sorted(rows, key=order):
        records.setdefault((row["patient_id"], row["key"]), []).append(row)
    kept: dict[int, int] = {}
    gone: set[int] = set()
    for versions in records.values():
        standing: dict[str, tuple[float, int]] = {}
        before: dict[str, Any] | None = None
        number = 0
        for row in versions:
            signs = {name: (row[name], row["event_time"]) for name in SIGN_NAMES if row[name] is not None}
            alike = before is not None and all(
                row[name] == before[name] for name in ("trial_site_id", "source", "retracted")
            )
            again = alike and (row["retracted"] or all(standing.get(name) == value for name, value in signs.items()))
            standing = {} if row["retracted"] else {**standing, **signs}
            before = row
            if again:
                gone.add(row["offset"])
            else:
                number += 1
                kept[row["offset"]] = number
    return kept, gone


def plain_fill(rows: list[dict[str, Any]]) -> dict[int, dict[str, float]]:
    """Offset → sign → carried value."""
    standing: dict[tuple[str, int], dict[str, dict[str, Any]]] = {}
    alive: dict[int, bool] = {}
    for row in sorted(rows, key=order):
        record = (row["patient_id"], row["key"])
        if row["retracted"]:
            standing[record] = {}
        else:
            standing.setdefault(record, {}).update({name: row for name in SIGN_NAMES if row[name] is not None})
    for row in rows:
        holds = standing[row["patient_id"], row["key"]].values()
        alive[row["offset"]] = any(other is row for other in holds)
    filled: dict[int, dict[str, float]] = {}
    for row in rows:
        own = standing[row["patient_id"], row["key"]]
        for name in FILLED_SIGNS:
            if not alive[row["offset"]] or name in own:
                continue
            sources = [
                (other[name]["event_time"], other[name][name])
                for (patient, _), other in standing.items()
                if patient == row["patient_id"] and name in other
                and row["event_time"] - 7200 <= other[name]["event_time"] < row["event_time"]
            ]  # fmt: skip
            if sources:
                newest = max(time for time, _ in sources)
                filled.setdefault(row["offset"], {})[name] = {value for time, value in sources if time == newest}
    return filled


@pytest.mark.parametrize("seed", range(60))
def test_like_the_plain_program(seed: int):
    draw = random.Random(seed)
    rows = vitals(draw, 80)
    found = dedupe("patient-vitals", rows)
    kept, gone = plain_dedupe(rows.to_pylist())
    assert dict(zip(found.rows["offset"].to_pylist(), found.rows["version"].to_pylist(), strict=True)) == kept
    assert set(found.duplicates["offset"].to_pylist()) == gone

    filled = forward_fill(found.rows)
    expected = plain_fill(found.rows.to_pylist())
    for row in filled.to_pylist():
        carried = {name: row[f"{name}_filled"] for name in FILLED_SIGNS if row[f"{name}_filled"] is not None}
        possible = expected.get(row["offset"], {})
        assert carried.keys() == possible.keys()
        assert all(carried[name] in possible[name] for name in carried)
        assert [flag for flag in row["flags"] if flag.startswith("filled_")] == [f"filled_{name}" for name in carried]

    shuffled = rows.take(pa.array(draw.sample(range(80), 80)))
    assert forward_fill(dedupe("patient-vitals", shuffled).rows).equals(filled)


def test_what_is_measured_is_never_replaced():
    rows = dedupe("patient-vitals", vitals(random.Random(3), 80)).rows
    filled = forward_fill(rows)
    for name in SIGN_NAMES:
        assert filled.sort_by("offset")[name].equals(rows.sort_by("offset")[name])


def test_nothing_in_nothing_out():
    empty = SILVER["patient-vitals"].empty_table()
    assert dedupe("patient-vitals", empty).rows.num_rows == 0
    assert forward_fill(empty).num_rows == 0
