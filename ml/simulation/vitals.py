"""Vital signs as a pure function of (patient, second): when they are measured, and what is read."""

from __future__ import annotations

import numpy as np

from ml.simulation.cohort import Cohort, Int
from ml.simulation.config import DAY, HOUR
from ml.simulation.latent import LONGEST, episodes, vital_shift
from ml.simulation.streams import Float, Stream, normal
from ml.simulation.tables import FEATURE_SHIFT, VITAL_LAWS

MONITOR, BEDSIDE, SCALE = 0, 1, 2
SOURCES = ("monitor", "bedside", "scale")
KNOT = 3 * HOUR
BEDSIDE_EVERY = 150
BEDSIDE_FOR = 4 * HOUR
BEDSIDE_AFTER = 6 * 60
"""An acute deterioration brings a nurse after so many seconds, who measures every 150 s for four hours."""


def measured(people: Cohort, first: int, last: int) -> tuple[Int, Int, Int]:
    """(row, time, source) of every measurement in [first, last), sorted by row, time and source."""
    config = people.config
    cadence = config.vitals_cadence_seconds
    rows = np.arange(len(people), dtype=np.int64)
    grids = [_grid(people, rows, cadence, first, last)]
    if config.live_from is not None and config.live_cadence_seconds is not None and last > config.live_from:
        row, time = _grid(people, rows, config.live_cadence_seconds, max(first, config.live_from), last)
        extra = (time - people.phase[row]) % cadence != 0
        grids.append((row[extra], time[extra]))
    monitor = np.concatenate([row for row, _ in grids]), np.concatenate([time for _, time in grids])
    found = episodes(people, first - LONGEST, last)
    found = found.take(found.acute)
    bedside_row: list[Int] = []
    bedside_time: list[Int] = []
    for index in range(len(found)):
        start = int(found.start[index]) + BEDSIDE_AFTER
        moments = np.arange(start, start + BEDSIDE_FOR, BEDSIDE_EVERY, dtype=np.int64)
        bedside_row.append(np.full(len(moments), found.row[index], np.int64))
        bedside_time.append(moments)
    row = np.concatenate([monitor[0], *bedside_row])
    time = np.concatenate([monitor[1], *bedside_time])
    source = np.concatenate([np.full(len(monitor[0]), MONITOR), np.full(len(row) - len(monitor[0]), BEDSIDE)]).astype(
        np.int64
    )
    weekly_row, weekly_time = weighed(people, first, last)
    row, time = np.concatenate([row, weekly_row]), np.concatenate([time, weekly_time])
    source = np.concatenate([source, np.full(len(weekly_row), SCALE, np.int64)])
    kept = (time >= first) & (time < last) & (time > people.enrolled[row]) & (time < people.end[row])
    row, time, source = row[kept], time[kept], source[kept]
    order = np.lexsort((source, time, row))
    row, time, source = row[order], time[order], source[order]
    same = np.zeros(len(row), np.bool_)
    same[1:] = (row[1:] == row[:-1]) & (time[1:] == time[:-1]) & (source[1:] == source[:-1])
    return row[~same], time[~same], source[~same]


def _grid(people: Cohort, rows: Int, cadence: int, first: int, last: int) -> tuple[Int, Int]:
    phase = people.phase % cadence
    begin = -(-(first - phase) // cadence)
    count = max(0, -(-(last - first) // cadence) + 1)
    time = (begin[:, None] + np.arange(count, dtype=np.int64)[None, :]) * cadence + phase[:, None]
    row = np.broadcast_to(rows[:, None], time.shape)
    inside = (time >= first) & (time < last)
    return row[inside], time[inside]


def weighed(people: Cohort, first: int, last: int) -> tuple[Int, Int]:
    """(row, time) of the weekly weighing, on the weekday of the patient's panel."""
    days = np.arange(first // DAY, (last - 1) // DAY + 1, dtype=np.int64)
    rows = np.arange(len(people), dtype=np.int64)
    row, day = (part.ravel() for part in np.broadcast_arrays(rows[:, None], days[None, :]))
    due = (day - people.enrolled[row] // DAY) % 7 == 1
    due |= day == people.config.origin // DAY
    row, day = row[due], day[due]
    return row, np.maximum(day * DAY + 7 * HOUR + people.phase[row], people.enrolled[row] + 60)


def values(people: Cohort, row: Int, time: Int) -> tuple[Float, Float]:
    """What the devices read at (row, time) sorted by row: [n, sign], rounded as devices do; and x, [n]."""
    config = people.config
    level, shift = vital_shift(people, row, time)
    read = people.vitals[row] + shift
    wave = np.cos(2 * np.pi * (time - people.circadian_peak[row]) / DAY)
    knot = time // KNOT
    fraction = (time - knot * KNOT) / KNOT
    scale = 1 / np.sqrt(fraction**2 + (1 - fraction) ** 2)
    drifted = (
        (time >= config.origin + config.drift_day * DAY)[:, None] * FEATURE_SHIFT if config.drift == "feature" else None
    )
    position = people.position[row]
    for sign, law in enumerate(VITAL_LAWS):
        slow = normal(config.seed, Stream.SLOW, position, knot, sign) * (1 - fraction)
        slow += normal(config.seed, Stream.SLOW, position, knot + 1, sign) * fraction
        column = read[:, sign] + law.circadian * wave + law.slow * slow * scale
        column += law.white * normal(config.seed, Stream.WHITE, position, time, sign)
        if drifted is not None:
            column += drifted[:, sign]
        read[:, sign] = np.round(np.clip(column, law.low, law.high), law.decimals)
    read[:, 2] = np.minimum(read[:, 2], read[:, 1] - 8)
    return read, level
