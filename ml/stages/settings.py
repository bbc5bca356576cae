"""What a stage is told: `params.yaml`, read whole and checked, so that a mistyped name is an error and not a default."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import yaml

from ml.profile import StudyProfile
from ml.simulation import SimulationConfig
from ml.simulation.config import DAY, HOUR
from ml.simulation.demo import demo_profile

T = TypeVar("T")


class SettingsError(ValueError):
    """params.yaml cannot be used; the message says where and why."""


@dataclass(frozen=True, slots=True)
class Simulate:
    """The simulated trial. `origin` is its first day, YYYY-MM-DD."""

    seed: int
    trial: str
    origin: str
    patients: int
    sites: int
    days: int
    vitals_cadence_seconds: int

    def __post_init__(self) -> None:
        _positive(self, "patients", "sites", "days", "vitals_cadence_seconds")

    @property
    def start(self) -> int:
        """Seconds since 1970 UTC."""
        try:
            return int(datetime.fromisoformat(f"{self.origin}T00:00:00+00:00").timestamp())
        except ValueError as error:
            raise SettingsError(f"simulate.origin is {self.origin!r}; it must be a date, YYYY-MM-DD.") from error

    @property
    def end(self) -> int:
        """The end of the history, which is the stages' "now"."""
        return self.start + self.days * DAY

    def config(self) -> SimulationConfig:
        """The simulator's own configuration."""
        return SimulationConfig(
            origin=self.start,
            seed=self.seed,
            patients=self.patients,
            sites=self.sites,
            days=self.days,
            trial_id=self.trial,
            vitals_cadence_seconds=self.vitals_cadence_seconds,
        )

    def profile(self) -> StudyProfile:
        """The study profile of the trial."""
        return demo_profile(self.trial)


@dataclass(frozen=True, slots=True)
class Process:
    """How bronze is cut and cleaned; silver does not depend on either."""

    batch_size: int
    window_hours: int

    def __post_init__(self) -> None:
        _positive(self, "batch_size", "window_hours")

    def windows(self, first: int, last: int) -> list[tuple[int, int]]:
        """[first, last) cut into windows, seconds since 1970."""
        step = self.window_hours * HOUR
        return [(start, min(last, start + step)) for start in range(first, last, step)]


@dataclass(frozen=True, slots=True)
class Train:
    """The training run."""

    learning_rate: float
    batch_size: int
    epochs: int
    dropout_rate: float
    seed: int

    def __post_init__(self) -> None:
        _positive(self, "learning_rate", "batch_size", "epochs")


@dataclass(frozen=True, slots=True)
class Params:
    """All of params.yaml."""

    simulate: Simulate
    process: Process
    train: Train


def read(path: Path) -> Params:
    """Read params.yaml. SettingsError names what is missing, unknown or out of bounds."""
    try:
        body = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise SettingsError(f"{path} cannot be read: {error}") from error
    if not isinstance(body, dict):
        raise SettingsError(f"{path} must hold the sections simulate, process and train.")
    parts: dict[str, Any] = {
        name: _section(kind, name, body.get(name))
        for name, kind in (("simulate", Simulate), ("process", Process), ("train", Train))
    }
    return Params(**parts)


def _section(kind: type[T], name: str, values: object) -> T:
    if not isinstance(values, dict):
        raise SettingsError(f"params.yaml lacks the section {name}.")
    known = {field.name: field.type for field in fields(kind)}  # type: ignore[arg-type]
    if missing := sorted(known.keys() - values.keys()):
        raise SettingsError(f"params.yaml lacks {', '.join(f'{name}.{one}' for one in missing)}.")
    if unknown := sorted(values.keys() - known.keys()):
        raise SettingsError(f"params.yaml has {', '.join(f'{name}.{one}' for one in unknown)}, which nothing reads.")
    made = {one: {"int": int, "float": float, "str": str}[str(known[one])](value) for one, value in values.items()}
    return kind(**made)


def _positive(of: object, *names: str) -> None:
    for name in names:
        if not getattr(of, name) > 0:
            raise SettingsError(f"{type(of).__name__.lower()}.{name} must be above zero, not {getattr(of, name)}.")
