"""The hidden course of disease: episodes, the hazard they cause, the events that come of it, and the oracle.

An episode of patient i that began at s has a course x(t): it rises (smoothstep), stays, falls. Vital signs and labs are
shifted in proportion to x; events follow the signs: for each episode they come as a Poisson process of rate
HAZARD * x(t - LAG)^2 a day, plus the patient's small background rate. So, given every course that has begun by t, the
number of events in (t, t + h] is Poisson but for episodes that begin after t, whose part is an integral over their law.
That makes the best possible forecast, the *oracle*, a number that can be computed and not only estimated:

    p(t) = 1 - exp(-(episodes begun) - (background) - sum over coming days of rate * integral of (1 - exp(-course)))

(the last term takes new episodes as a Poisson process; they are Bernoulli by day, a difference below 0.001).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from ml.simulation.cohort import Cohort, Flag, Int, dose_missed
from ml.simulation.config import DAY, HOUR
from ml.simulation.streams import Float, Stream, uniform
from ml.simulation.tables import CONCEPT_SHIFT, MISSED_DOSE_FACTOR, SHARES, SHIFTS

HAZARD = 1.4
"""Events a day at severity 1."""
LAG = 16 * HOUR
"""The body shows it before the event comes."""
ACUTE_SHARE = 0.24
SEVERITY_LOW, SEVERITY_SPAN = 0.55, 0.75
LONGEST = 150 * HOUR
"""No natural episode lasts longer, its hazard included."""
MOST_EVENTS = 6
_FULL = 9 / 5 - 2 + 4 / 7


@dataclass(frozen=True, slots=True)
class Episodes:
    """One element an episode; `row` points into the cohort, times and lengths in seconds."""

    row: Int
    start: Int
    rise: Float
    plateau: Float
    fall: Float
    severity: Float
    kind: Int
    acute: Flag
    number: Int
    """Names the episode within its patient: the day of its start, or -1 - position among the planned."""

    def __len__(self) -> int:
        return len(self.row)

    def take(self, chosen: Flag | NDArray[np.intp]) -> Episodes:
        return Episodes(
            self.row[chosen], self.start[chosen], self.rise[chosen], self.plateau[chosen], self.fall[chosen],
            self.severity[chosen], self.kind[chosen], self.acute[chosen], self.number[chosen],
        )  # fmt: skip


def shapes(draw: list[Float]) -> tuple[Float, Float, Float, Float, Int, Flag]:
    """Rise, plateau, fall (s), severity, kind and acuteness from six uniform draws."""
    acute = draw[0] < ACUTE_SHARE
    rise = np.where(acute, 1.5 + 4.5 * draw[1], 24 + 24 * draw[1]) * HOUR
    plateau = np.where(acute, 14 + 22 * draw[2], 8 + 22 * draw[2]) * HOUR
    fall = np.where(acute, 12 + 24 * draw[3], 16 + 26 * draw[3]) * HOUR
    severity = SEVERITY_LOW + SEVERITY_SPAN * draw[4]
    kind = np.minimum(np.searchsorted(SHARES, draw[5], side="right"), len(SHARES) - 1).astype(np.int64)
    return rise, plateau, fall, severity, kind, acute


def episode_rate(people: Cohort, rows: Int, day: Int) -> Float:
    """Chance that an episode of the patients at `rows` begins on `day` (midnight, seconds since 1970)."""
    factor = np.where(dose_missed(people, rows, day - DAY), MISSED_DOSE_FACTOR, 1.0)
    return np.where(day > people.first_dose_day[rows], people.episode_rate[rows] * factor, 0.0)


def episodes(people: Cohort, first: int, last: int) -> Episodes:
    """Episodes that begin in [first, last) seconds since 1970, planned ones included, sorted by (row, start)."""
    seed = people.config.seed
    days = np.arange(max(first, people.config.origin) // DAY, (last - 1) // DAY + 1, dtype=np.int64)
    rows = np.arange(len(people), dtype=np.int64)
    row, day = (part.ravel() for part in np.broadcast_arrays(rows[:, None], days[None, :]))
    begins = uniform(seed, Stream.EPISODE, people.position[row], day, 0) < episode_rate(people, row, day * DAY)
    row, day = row[begins], day[begins]
    draw = [uniform(seed, Stream.EPISODE, people.position[row], day, index) for index in range(1, 8)]
    start = day * DAY + (draw[0] * DAY).astype(np.int64)
    natural = Episodes(row, start, *shapes(draw[1:]), day)
    planned = [
        (index, plan)
        for index, plan in enumerate(people.config.planned)
        if len(people) and people.position[0] <= plan.patient <= people.position[-1]
    ]
    found = Episodes(
        np.concatenate([natural.row, np.array([p.patient - people.position[0] for _, p in planned], np.int64)]),
        np.concatenate([natural.start, np.array([p.start for _, p in planned], np.int64)]),
        np.concatenate([natural.rise, np.array([p.rise_hours * HOUR for _, p in planned], np.float64)]),
        np.concatenate([natural.plateau, np.array([p.plateau_hours * HOUR for _, p in planned], np.float64)]),
        np.concatenate([natural.fall, np.array([p.fall_hours * HOUR for _, p in planned], np.float64)]),
        np.concatenate([natural.severity, np.array([p.severity for _, p in planned], np.float64)]),
        np.concatenate([natural.kind, np.array([p.kind for _, p in planned], np.int64)]),
        np.concatenate([natural.acute, np.array([p.rise_hours < 12 for _, p in planned], np.bool_)]),
        np.concatenate([natural.number, np.array([-1 - index for index, _ in planned], np.int64)]),
    )
    inside = (found.start >= first) & (found.start < last)
    found = found.take(inside)
    return found.take(np.lexsort((found.number, found.start, found.row)))


def course(rise: Float, plateau: Float, fall: Float, severity: Float, age: Float) -> Float:
    """x at `age` seconds after the start."""
    up = np.clip(age / rise, 0, 1)
    down = np.clip((age - rise - plateau) / fall, 0, 1)
    value: Float = severity * (up * up * (3 - 2 * up) - down * down * (3 - 2 * down))
    return value


def _integral(s: Float) -> Float:
    """Integral of (s²(3 - 2s))² from 0 to s."""
    return s**5 * (9 / 5 - 2 * s + 4 / 7 * s * s)


def mass(rise: Float, plateau: Float, fall: Float, severity: Float, age: Float) -> Float:
    """Expected number of the episode's events from its start to `age` seconds after it (0 before the start)."""
    age = age - LAG
    up = np.clip(age / rise, 0, 1)
    stay = np.clip(age - rise, 0, plateau)
    down = np.clip((age - rise - plateau) / fall, 0, 1)
    seconds = rise * _integral(up) + stay + fall * (_FULL - _integral(1 - down))
    value: Float = HAZARD * severity**2 * seconds / DAY
    return value


def masses(found: Episodes, age: Float) -> Float:
    """`mass` of each episode at its `age`."""
    return mass(found.rise, found.plateau, found.fall, found.severity, age)


def shift_of(found: Episodes, row: Int, time: Int, weights: Float) -> tuple[Float, Float]:
    """The sum of courses, [n], and of courses × weights[kind], [n, k], at (row, time) sorted by row."""
    level = np.zeros(len(row))
    shift = np.zeros((len(row), weights.shape[1]))
    first = np.searchsorted(row, found.row, side="left")
    last = np.searchsorted(row, found.row, side="right")
    for index in range(len(found)):
        part = slice(first[index], last[index])
        if part.start == part.stop:
            continue
        age = (time[part] - found.start[index]).astype(np.float64)
        x = course(found.rise[index], found.plateau[index], found.fall[index], found.severity[index], age)
        level[part] += x
        shift[part] += x[:, None] * weights[found.kind[index]]
    return level, shift


def vital_shift(people: Cohort, row: Int, time: Int) -> tuple[Float, Float]:
    """x and the shift of the six vital signs at (row, time), sorted by row; concept drift included."""
    if not len(row):
        return np.zeros(0), np.zeros((0, SHIFTS.shape[1]))
    found = episodes(people, int(time.min()) - LONGEST, int(time.max()) + 1)
    level, shift = shift_of(found, row, time, SHIFTS)
    config = people.config
    if config.drift == "concept":
        after = time >= config.origin + config.drift_day * DAY
        shift = np.where(after[:, None], shift * CONCEPT_SHIFT, shift)
    return level, shift


@dataclass(frozen=True, slots=True)
class Events:
    """Adverse events: row in the cohort, onset, kind of the episode (-1: background), x at onset, and two numbers that
    name the event within its patient."""

    row: Int
    time: Int
    kind: Int
    level: Float
    source: Int
    index: Int

    def __len__(self) -> int:
        return len(self.row)


def events(people: Cohort, first: int, last: int) -> Events:
    """Events with onset in [first, last), sorted by (row, time); none before enrolment or after the end of follow-up."""
    seed = people.config.seed
    found = episodes(people, first - LONGEST, last)
    total = masses(found, np.full(len(found), 1e9))
    position = people.position[found.row]
    steps = np.stack(
        [-np.log1p(-uniform(seed, Stream.EPISODE_EVENT, position, found.number, k)) for k in range(MOST_EVENTS)], axis=1
    ).reshape(len(found), MOST_EVENTS)
    reached = np.cumsum(steps, axis=1)
    which, index = np.nonzero(reached < total[:, None])
    chosen, goal = found.take(which), reached[which, index]
    low, high = np.zeros(len(chosen)), chosen.rise + chosen.plateau + chosen.fall + LAG
    for _ in range(40):
        middle = (low + high) / 2
        below = masses(chosen, middle) < goal
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    age = np.ceil(high)
    level = course(chosen.rise, chosen.plateau, chosen.fall, chosen.severity, age)
    days = np.arange(max(first, people.config.origin) // DAY, (last - 1) // DAY + 1, dtype=np.int64)
    rows = np.arange(len(people), dtype=np.int64)
    row, day = (part.ravel() for part in np.broadcast_arrays(rows[:, None], days[None, :]))
    comes = uniform(seed, Stream.BACKGROUND_EVENT, people.position[row], day, 0) < -np.expm1(-people.event_rate[row])
    row, day = row[comes], day[comes]
    moment = day * DAY + (uniform(seed, Stream.BACKGROUND_EVENT, people.position[row], day, 1) * DAY).astype(np.int64)
    all_row = np.concatenate([chosen.row, row])
    all_time = np.concatenate([chosen.start + age.astype(np.int64), moment])
    kind = np.concatenate([chosen.kind, np.full(len(row), -1, np.int64)])
    level = np.concatenate([level, np.zeros(len(row))])
    source = np.concatenate([chosen.number, day])
    index = np.concatenate([index, np.full(len(row), MOST_EVENTS, np.int64)])
    inside = (all_time >= first) & (all_time < last)
    inside &= (all_time > people.enrolled[all_row]) & (all_time < people.end[all_row])
    order = np.flatnonzero(inside)
    order = order[np.lexsort((index[order], source[order], all_time[order], all_row[order]))]
    return Events(all_row[order], all_time[order], kind[order], level[order], source[order], index[order])


@cache
def _coming() -> tuple[Float, Float]:
    """Hours v = 0 … 48 and the integral over age 0 … v of E[1 - exp(-mass(age))], in days."""
    draws = np.arange(20_000)
    form = shapes([uniform(0, Stream.SHAPES, draws, index) for index in range(6)])
    grid = np.linspace(0, 48, 193)
    chance = np.array([np.mean(-np.expm1(-mass(*form[:4], np.full(len(draws), hours * HOUR)))) for hours in grid])
    steps = (chance[1:] + chance[:-1]) / 2 * np.diff(grid) / 24
    return grid, np.concatenate([[0.0], np.cumsum(steps)])


def oracle(people: Cohort, row: Int, time: Int, horizon_hours: float = 24.0) -> Float:
    """True probability of at least one event in (time, time + horizon], given every course that has begun by `time`.

    `row` int[n] points into the cohort, `time` int[n] is in seconds since 1970; the horizon is at most 48 h.
    """
    if not 0 < horizon_hours <= 48:
        raise ValueError("The oracle looks ahead at most 48 hours.")
    order = np.lexsort((time, row))
    rows, times = row[order], time[order]
    horizon = horizon_hours * HOUR
    expected = people.event_rate[rows] * horizon_hours / 24
    if len(rows):
        found = episodes(people, int(times.min()) - LONGEST, int(times.max()) + 1)
        first, last = np.searchsorted(rows, found.row, side="left"), np.searchsorted(rows, found.row, side="right")
        for index in range(len(found)):
            part = slice(first[index], last[index])
            age = (times[part] - found.start[index]).astype(np.float64)
            form = (found.rise[index], found.plateau[index], found.fall[index], found.severity[index])
            expected[part] += np.where(age >= 0, mass(*form, age + horizon) - mass(*form, age), 0.0)
    grid, integral = _coming()
    day = times // DAY * DAY
    before = np.zeros(len(times))
    for step in range(int(np.ceil(horizon_hours / 24)) + 1):
        passed = np.clip((day + (step + 1) * DAY - times) / HOUR, 0, horizon_hours)
        share = np.interp(horizon_hours - before, grid, integral) - np.interp(horizon_hours - passed, grid, integral)
        expected += episode_rate(people, rows, day + step * DAY) * share
        before = passed
    probability = np.empty(len(rows))
    probability[order] = -np.expm1(-expected)
    return probability
