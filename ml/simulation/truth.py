"""The truth behind simulated patients, for judging a model against the best that anyone could know."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ml.simulation.cohort import Int, cohort
from ml.simulation.config import DAY, HOUR, SimulationConfig
from ml.simulation.latent import events, oracle
from ml.simulation.streams import Float


def true_probability(
    config: SimulationConfig, patients: Sequence[str], as_of: Int, *, horizon_hours: float = 24.0
) -> Float:
    """The oracle: true probability of a new event in (as_of, as_of + horizon] for each (patient, time).

    `patients` are identifiers with or without "trial/"; `as_of` seconds since 1970 UTC. KeyError for a stranger.
    """
    people = cohort(config)
    position = {name: row for row, name in enumerate(people.patient_id)}
    rows = np.array([position[name.rpartition("/")[2]] for name in patients], np.int64)
    return oracle(people, rows, np.asarray(as_of, np.int64), horizon_hours)


def hazard_table(config: SimulationConfig, first: int, last: int, *, step_seconds: int = HOUR) -> pa.Table:
    """`patient` ("trial/patient"), `time` (seconds since 1970), `p_24h`, `event_24h` on a grid over [first, last)."""
    people = cohort(config)
    grid = np.arange(first, last, step_seconds, dtype=np.int64)
    row = np.repeat(np.arange(len(people), dtype=np.int64), len(grid))
    time = np.tile(grid, len(people))
    found = events(people, first, last + DAY)
    begins = np.searchsorted(found.row, np.arange(len(people) + 1))
    comes = np.zeros(len(row), np.bool_)
    for person in range(len(people)):
        own = found.time[begins[person] : begins[person + 1]]
        comes[person * len(grid) : (person + 1) * len(grid)] = np.searchsorted(
            own, grid + DAY, "right"
        ) > np.searchsorted(own, grid, "right")
    names = pa.array([f"{config.trial_id}/{name}" for name in people.patient_id])
    return pa.table(
        {
            "patient": pa.DictionaryArray.from_arrays(pa.array(row, pa.int32()), names),
            "time": pa.array(time),
            "p_24h": pa.array(oracle(people, row, time)),
            "event_24h": pa.array(comes),
        }
    )


def write_hazard(path: Path, config: SimulationConfig, first: int, last: int) -> None:
    """`hazard_table`, hourly, as Parquet at `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(hazard_table(config, first, last), path)
