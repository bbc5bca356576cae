"""The patients of a simulation: what each of them is, as arrays of one element a patient."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml.simulation.config import DAY, HOUR, SimulationConfig
from ml.simulation.streams import Float, Stream, normal, uniform
from ml.simulation.tables import CONDITIONS, DRUGS, LABS, VITAL_LAWS

Int = NDArray[np.int64]
Flag = NDArray[np.bool_]

EPISODES_A_DAY = 0.0295
BACKGROUND_A_DAY = 0.011
FRAILTY_AGE, FRAILTY_CONDITIONS, FRAILTY_ARM, FRAILTY_HIDDEN = 0.16, 0.16, 0.20, 0.10
"""Log rate ratios: per SD of age, per SD of the number of conditions, of the active arm, SD of what nobody can see."""
WITHDRAWAL_SHARE = 0.03


@dataclass(frozen=True, slots=True)
class Cohort:
    """`position` are the patients' numbers (a chunk of the trial); baselines are [patient, sign] and [patient, lab]."""

    config: SimulationConfig
    position: Int
    patient_id: list[str]
    site_id: list[str]
    age: Float
    male: Flag
    race: Float
    height: Float
    weight: Float
    conditions: Flag
    medicines: Flag
    arm: Int
    """The arm that acts."""
    arm_written: Int
    """The arm that is told: the other one when arms are swapped."""
    enrolled: Int
    first_dose_day: Int
    """Midnight of the day of first dose, seconds since 1970."""
    end: Int
    """End of follow-up, seconds since 1970; far in the future for those who stay."""
    vitals: Float
    labs: Float
    circadian_peak: Float
    phase: Int
    """Seconds by which the patient's measurements lie after the grid."""
    episode_rate: Float
    """A day, without the effect of missed doses."""
    event_rate: Float
    """Events a day that nothing announces."""

    def __len__(self) -> int:
        return len(self.position)


FOREVER = 2**40


def cohort(config: SimulationConfig, first: int = 0, last: int | None = None) -> Cohort:
    """Patients `first` to `last` (exclusive; None = all) of the trial. A patient is the same in every chunk."""
    position = np.arange(first, config.patients if last is None else min(last, config.patients), dtype=np.int64)
    seed = config.seed

    def u(index: int) -> Float:
        return uniform(seed, Stream.PATIENT, position, index)

    def n(index: int) -> Float:
        return normal(seed, Stream.PATIENT, position, index)

    age = np.clip(58 + 13 * n(0), 18, 90).round(1)
    male = u(1) < 0.5
    height = np.where(male, 176 + 7 * n(2), 163 + 6.5 * n(2)).round(1)
    weight = np.clip((24.5 + 3.8 * n(3)) * (height / 100) ** 2, 40, 160).round(1)
    older = (age - 58) / 13
    conditions = np.stack(
        [
            uniform(seed, Stream.HISTORY, position, k) < np.clip(share * (1 + 0.35 * older), 0, 0.9)
            for k, (_, share) in enumerate(CONDITIONS)
        ],
        axis=1,
    )
    names = [name for name, _ in CONDITIONS]
    medicines = np.stack(
        [
            conditions[:, names.index(drug.condition)] & (uniform(seed, Stream.MEDICINE, position, k) < 0.6)
            for k, drug in enumerate(DRUGS)
        ],
        axis=1,
    )
    arm = (u(4) < 0.5).astype(np.int64)
    count = conditions.sum(axis=1)
    frailty = (
        FRAILTY_AGE * older
        + FRAILTY_CONDITIONS * (count - 2.0) / 1.4
        + FRAILTY_ARM * (arm - 0.5)
        + FRAILTY_HIDDEN * n(5)
    )
    shifted = np.clip(older, -2, 2)
    vitals = np.stack([law.mean + law.between * n(10 + k) for k, law in enumerate(VITAL_LAWS)], axis=1)
    vitals[:, 1] += 4 * shifted
    vitals[:, 4] = np.minimum(vitals[:, 4], 98.6)
    vitals[:, 2] = np.minimum(vitals[:, 2], vitals[:, 1] - 25)
    labs = np.stack(
        [np.maximum(law.mean + law.between * n(30 + k), law.mean * 0.3) for k, law in enumerate(LABS)], axis=1
    )
    enrolled = config.origin + 6 * HOUR + (u(6) * 3 * HOUR).astype(np.int64)
    first_dose_day = config.origin + DAY * (2 + (u(7) * 4).astype(np.int64))
    leaves = config.origin + (DAY * (12 + 400 * u(9))).astype(np.int64)
    end = np.where(u(8) < WITHDRAWAL_SHARE, leaves, FOREVER)
    site = (u(20) * config.sites).astype(np.int64)
    # Evenly spread over the cadence, so that messages arrive as a steady stream and not in bursts.
    phase = (position * config.vitals_cadence_seconds * 0.6180339887498949 % config.vitals_cadence_seconds).astype(
        np.int64
    )
    return Cohort(
        config,
        position,
        [f"{s + 1:02d}-{p + 1:04d}" for s, p in zip(site.tolist(), position.tolist(), strict=True)],
        [f"{s + 1:02d}" for s in site.tolist()],
        age,
        male,
        u(21),
        height,
        weight,
        conditions,
        medicines,
        arm,
        1 - arm if config.swap_arms else arm,
        enrolled,
        first_dose_day,
        end,
        vitals,
        labs,
        (15 + 2 * n(22)) * HOUR,
        phase,
        EPISODES_A_DAY * np.exp(frailty),
        BACKGROUND_A_DAY * np.exp(0.5 * frailty),
    )


def dose_missed(people: Cohort, rows: Int, day: Int) -> Flag:
    """Whether the patients at `rows` miss the study dose of `day` (midnight, seconds since 1970)."""
    return uniform(people.config.seed, Stream.DOSE, people.position[rows], day // DAY, 0) < 0.05
