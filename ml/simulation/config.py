"""What a simulation is told: everything that its output depends on, and nothing else."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

DAY = 86_400
HOUR = 3_600

Drift = Literal["none", "feature", "concept"]
MAX_PATIENTS = 10_000


@dataclass(frozen=True, slots=True)
class Rates:
    """Shares of messages (0 to 1) that are not what one would wish; `missing_sign` is per vital sign."""

    late: float = 0.01
    correction: float = 0.002
    retraction: float = 0.0005
    duplicate: float = 0.003
    unit_variant: float = 0.02
    malformed: float = 0.0002
    missing_sign: float = 0.01

    def __post_init__(self) -> None:
        values = asdict(self)
        if any(not 0 <= value <= 0.5 for value in values.values()):
            raise ValueError(f"Rates are shares between 0 and 0.5; got {values}.")
        if self.late + self.correction + self.retraction + self.duplicate > 1:
            raise ValueError("Late, corrected, retracted and duplicated messages together cannot exceed all messages.")


@dataclass(frozen=True, slots=True)
class PlannedEpisode:
    """A deterioration that is to happen: patient's position, start in seconds since 1970, lengths in hours.

    `severity` 1 = the natural course; `kind` is a position in `tables.SYNDROMES`.
    """

    patient: int
    start: int
    rise_hours: float
    plateau_hours: float
    fall_hours: float
    severity: float
    kind: int = 0


@dataclass(frozen=True, slots=True)
class SimulationConfig:
    """One simulated trial. `origin` is the first day's midnight, seconds since 1970 UTC.

    `swap_arms` exchanges what is *written* about the arms and leaves every course of disease as it is: two such trials
    must look alike to a blinded reader. `live_from` and `live_cadence_seconds` add measurements from that moment on.
    ValueError says which value is out of bounds.
    """

    origin: int
    seed: int = 1
    patients: int = 200
    sites: int = 6
    days: int = 60
    trial_id: str = "DEMO"
    vitals_cadence_seconds: int = 900
    live_from: int | None = None
    live_cadence_seconds: int | None = None
    rates: Rates = field(default_factory=Rates)
    drift: Drift = "none"
    drift_day: int = 30
    planned: tuple[PlannedEpisode, ...] = ()
    swap_arms: bool = False

    def __post_init__(self) -> None:
        if self.origin % DAY:
            raise ValueError("A simulation begins at midnight UTC: origin must be a multiple of 86,400 s.")
        if not 1 <= self.patients <= MAX_PATIENTS:
            raise ValueError(f"A simulation has 1 to {MAX_PATIENTS:,} patients; {self.patients} were asked for.")
        if not 1 <= self.sites <= 99:
            raise ValueError(f"A simulation has 1 to 99 sites; {self.sites} were asked for.")
        if not 1 <= self.days <= 3_650:
            raise ValueError(f"A history has 1 to 3,650 days; {self.days} were asked for.")
        if not 1 <= self.vitals_cadence_seconds <= DAY or DAY % self.vitals_cadence_seconds:
            raise ValueError("The cadence of vital signs must divide a day: 60, 300, 900 s …")
        if self.live_cadence_seconds is not None and self.live_cadence_seconds < 1:
            raise ValueError("Times are whole seconds: the live cadence is at least 1 s.")
        if self.drift not in ("none", "feature", "concept"):
            raise ValueError(f"Drift is none, feature or concept; got {self.drift!r}.")

    def with_planned(self, *episodes: PlannedEpisode) -> SimulationConfig:
        """The same trial with more planned deteriorations."""
        return replace(self, planned=(*self.planned, *episodes))

    def to_json(self) -> dict[str, Any]:
        """Plain JSON form; `from_json` reads it back."""
        body: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return body

    @classmethod
    def from_json(cls, body: dict[str, Any]) -> SimulationConfig:
        """Read `to_json`'s form. TypeError names an unknown field, ValueError a value out of bounds."""
        values = dict(body)
        values["rates"] = Rates(**values.get("rates", {}))
        values["planned"] = tuple(PlannedEpisode(**episode) for episode in values.get("planned", ()))
        return cls(**values)
