"""What a running simulation must remember: its config and how far it has sent. One small JSON file.

A restart reads it and goes on with the same history; it never begins a second one.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from ml.simulation.config import SimulationConfig

STATE_VERSION = 1


class Unreadable(ValueError):
    """The file is there but cannot be used; the message says what to do."""


@dataclass(frozen=True, slots=True)
class State:
    """`position`: every message known before that second (since 1970 UTC) has been sent."""

    config: SimulationConfig
    position: int


def state_path(folder: Path, trial_id: str) -> Path:
    """Where the state of a simulated trial lies under the folder for things that can be thrown away."""
    return folder / "simulator" / f"{trial_id}.json"


def read_state(path: Path) -> State | None:
    """The state, or None where no simulation was begun. Unreadable if the file is damaged or of another version."""
    try:
        body = json.loads(path.read_text())
        if body["version"] != STATE_VERSION:
            raise Unreadable(
                f"{path} is of version {body['version']}; this program writes {STATE_VERSION}. Empty the var folder."
            )
        return State(SimulationConfig.from_json(body["config"]), int(body["position"]))
    except FileNotFoundError:
        return None
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise Unreadable(f"{path} cannot be read ({error}). Empty the var folder to begin a new demo.") from error


def write_state(path: Path, state: State) -> None:
    """Replace the file in one step, so that a kill leaves the old or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    body = {"version": STATE_VERSION, "position": state.position, "config": state.config.to_json()}
    draft = path.with_suffix(f".{os.getpid()}.tmp")
    with draft.open("w") as file:
        json.dump(body, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
