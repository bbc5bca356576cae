"""A show that is honest: deteriorations and recoveries planned around a moment, in calm patients, kept in the config.

They raise the true hazard like any other episode; only *when* they happen is arranged, so that somebody who starts the
portal sees risk move within minutes. They are acute (steep within an hour) and severe.
"""

from __future__ import annotations

import numpy as np

from ml.profile import StudyProfile
from ml.simulation.cohort import cohort
from ml.simulation.config import DAY, HOUR, PlannedEpisode, SimulationConfig
from ml.simulation.latent import LONGEST, episodes, oracle, shift_of
from ml.simulation.streams import Stream, uniform
from ml.simulation.tables import SHIFTS, STUDY_TREATMENTS, SYNDROMES

CALM_BELOW = 0.045
MINUTE = 60
WORSE_EVERY = 8 * MINUTE
WORSE_BEFORE = 132 * MINUTE
WORSE_AFTER = 52 * MINUTE
"""From so long before to so long after the moment, somebody starts to get worse every eight minutes. A forecast made
of means over hours follows an hour or two behind, so what is to be seen at the moment must have begun before it."""
RECOVERIES = 3
SEVERITY = 2.2


def plan_demo(config: SimulationConfig, moment: int, *, earliest: int | None = None) -> SimulationConfig:
    """`config` with deteriorations and recoveries planned around `moment` (seconds since 1970).

    `earliest`: nothing may change before it, because it has been sent (None = all may). Recoveries begin the day
    before, so they are planned only where that is still open. With few patients, few are chosen: at most one in eight.
    """
    earliest = config.origin + DAY if earliest is None else earliest
    people = cohort(config)
    rows = np.arange(len(people), dtype=np.int64)
    later = moment + WORSE_AFTER
    times = np.full(len(people), moment, np.int64)
    found = episodes(people, moment - LONGEST, moment + DAY)
    busy = np.zeros(len(people), np.bool_)
    busy[found.row] = True
    for when in (moment, later):
        level, _ = shift_of(episodes(people, when - LONGEST, when), rows, np.full(len(people), when, np.int64), SHIFTS)
        busy |= level > 0.02
    taken = {plan.patient for plan in config.planned if plan.start > moment - 7 * DAY}
    calm = ~busy & (oracle(people, rows, times) < CALM_BELOW) & (people.first_dose_day < moment - 3 * DAY)
    calm &= (people.enrolled < moment - 5 * DAY) & (people.end > moment + 3 * DAY)
    calm &= ~np.isin(people.position, list(taken))
    order = np.argsort(uniform(config.seed, Stream.DEMO, people.position, moment), kind="stable")
    chosen = [int(people.position[row]) for row in order.tolist() if calm[row]][: max(1, len(people) // 8)]
    plans: list[PlannedEpisode] = []
    for index, start in enumerate(range(moment - WORSE_BEFORE, later + 1, WORSE_EVERY)):
        if start >= earliest and chosen:
            plans.append(
                PlannedEpisode(
                    chosen.pop(0), start, 1.0 + 0.25 * (index % 3), 20.0, 14.0, SEVERITY, index % len(SYNDROMES)
                )
            )
    for index in range(RECOVERIES):
        start = moment - 26 * HOUR + index * HOUR
        if start >= earliest and chosen:
            plans.append(PlannedEpisode(chosen.pop(0), start, 3.0, 22.0 - index, 3.0, 1.2, index % len(SYNDROMES)))
    return config.with_planned(*plans)


def unfolding(config: SimulationConfig, moment: int) -> int:
    """How many planned deteriorations will show within the ten minutes after `moment`."""
    return sum(
        plan.rise_hours < 2 and moment - WORSE_BEFORE <= plan.start <= moment - 20 * MINUTE for plan in config.planned
    )


def demo_profile(trial_id: str, *, version: int = 1) -> StudyProfile:
    """The study profile that fits a simulated trial: live, blinded, events reported within 60 hours."""
    return StudyProfile(
        trial_id=trial_id,
        version=version,
        simulated=True,
        label_maturity_days=3,
        study_treatments=STUDY_TREATMENTS,
        notes=("Simulated patients. Figures from them are never compared with figures from real ones.",),
    )
