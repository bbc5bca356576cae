"""Synthetic patients, seeded and honest: what they send, and the hidden hazard that is the truth behind it.

Imports no feature code. Every figure from it is of simulated patients and must be labelled so.
"""

from ml.simulation.config import PlannedEpisode, Rates, SimulationConfig
from ml.simulation.malformed import KINDS, malformed
from ml.simulation.state import State, read_state, state_path, write_state
from ml.simulation.stream import Simulator
from ml.simulation.tables import STUDY_TREATMENTS
from ml.simulation.truth import true_probability, write_hazard
from ml.simulation.wire import Message

__all__ = [
    "KINDS",
    "STUDY_TREATMENTS",
    "Message",
    "PlannedEpisode",
    "Rates",
    "SimulationConfig",
    "Simulator",
    "State",
    "malformed",
    "read_state",
    "state_path",
    "true_probability",
    "write_hazard",
    "write_state",
]
