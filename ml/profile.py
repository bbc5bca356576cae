"""The study profile: everything in which a slow Alzheimer's trial and an intensive care unit differ, and nothing else.

A profile is immutable; a change is a new version. Its digest stands on every prediction.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Literal

RiskLevel = Literal["LOW", "MODERATE", "HIGH", "CRITICAL", "INDETERMINATE"]
LEVELS: tuple[RiskLevel, ...] = ("LOW", "MODERATE", "HIGH", "CRITICAL")


@dataclass(frozen=True, slots=True)
class Gate:
    """One condition for a model to serve: the measure compared with a threshold."""

    name: str
    measure: str
    operator: Literal[">=", "<", ">", "<="]
    threshold: float
    sentence: str
    blocking: bool = True


DEFAULT_GATES: tuple[Gate, ...] = (
    Gate("auroc", "test_auroc", ">=", 0.80, "AUROC on test patients, event within the horizon"),
    Gate("calibration_error", "test_ece", "<", 0.05, "Calibration error, ten equal-mass bins"),
    Gate("gain_on_logistic", "gain_on_logistic", ">=", 0.0, "AUROC above logistic regression on the same rows"),
    Gate("gain_on_day_arm_dose", "gain_on_day_arm_dose", ">", 0.0, "AUROC above study day, arm and dose alone"),
    Gate("age_gap", "auroc_gap_age", "<", 0.05, "AUROC gap over age groups"),
    Gate("sex_gap", "auroc_gap_sex", "<", 0.05, "AUROC gap over sexes"),
    Gate("latency", "latency_ms_single", "<", 200.0, "One prediction on a CPU, milliseconds"),
)


@dataclass(frozen=True, slots=True)
class StudyProfile:
    """One version of one study's settings. Times in hours, seconds or days as the name says."""

    trial_id: str
    version: int = 1
    simulated: bool = False
    blinded: bool = True
    live: bool = True
    """A study with live data: its training as-of times are drawn by hash, one a patient-day; else 00:00 UTC."""
    replay_date: str | None = None
    """The "now" of a finished trial, ISO 8601 UTC; None = the clock."""
    horizon_hours: int = 24
    second_horizon_hours: int = 48
    cadence_seconds: int = 60
    baseline_days: int = 28
    label_maturity_days: int = 0
    study_treatments: tuple[str, ...] = ()
    """Names of the study's own drugs: a medication of such a name is a study dose."""
    vitals_stale_hours: float = 6.0
    """Older than this, the newest vital signs do not carry a score."""
    signs_required: tuple[str, ...] = ("heart_rate", "blood_pressure_systolic")
    labs_stale_days: float | None = None
    bands: tuple[float, float, float] = (0.10, 0.30, 0.75)
    """LOW < first <= MODERATE < second <= HIGH < third <= CRITICAL."""
    gates: tuple[Gate, ...] = DEFAULT_GATES
    hys_law_alt_ast_uln: float = 3.0
    hys_law_bilirubin_uln: float = 2.0
    hys_law_window_days: int = 14
    notes: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        low, high, critical = self.bands
        if not 0 < low < high < critical < 1:
            raise ValueError(f"Risk bands must rise between 0 and 1; {self.bands} do not.")
        if self.horizon_hours < 1 or self.cadence_seconds < 0 or self.baseline_days < 1:
            raise ValueError("Horizon and baseline must be at least 1, the cadence not negative.")

    @property
    def replay_time(self) -> int | None:
        """`replay_date` in seconds since 1970 UTC."""
        if self.replay_date is None:
            return None
        return int(datetime.fromisoformat(self.replay_date).timestamp())

    def level(self, probability: float | None) -> RiskLevel:
        """The risk level of a probability; INDETERMINATE where there is none."""
        if probability is None:
            return "INDETERMINATE"
        return LEVELS[sum(probability >= bound for bound in self.bands)]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON form; `from_json` reads it back."""
        body: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return body

    @classmethod
    def from_json(cls, body: dict[str, Any]) -> StudyProfile:
        """Read `to_json`'s form. TypeError names a field that is unknown, ValueError one that is out of bounds."""
        values = dict(body)
        for name in ("study_treatments", "signs_required", "bands", "notes"):
            if name in values:
                values[name] = tuple(values[name])
        if "gates" in values:
            values["gates"] = tuple(Gate(**gate) for gate in values["gates"])
        return cls(**values)

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON, hexadecimal."""
        return hashlib.sha256(json.dumps(self.to_json(), sort_keys=True, separators=(",", ":")).encode()).hexdigest()
