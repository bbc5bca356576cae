"""The study profile: everything in which a slow Alzheimer's trial and an intensive care unit differ, and nothing else.

A profile is immutable; a change is a new version. Its digest stands on every prediction.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Literal, get_args

RiskLevel = Literal["LOW", "MODERATE", "HIGH", "CRITICAL", "INDETERMINATE"]
LEVELS: tuple[RiskLevel, ...] = ("LOW", "MODERATE", "HIGH", "CRITICAL")


Operator = Literal[">=", "<", ">", "<="]


class ProfileError(ValueError):
    """A profile that cannot be: ``problems`` are (field, sentence), all of them."""

    def __init__(self, problems: tuple[tuple[str, str], ...]) -> None:
        super().__init__(" ".join(sentence for _, sentence in problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Gate:
    """One condition for a model to serve: the measure compared with a threshold."""

    name: str
    measure: str
    operator: Operator
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
    risk_from_first_dose: bool = False
    """Days before a patient's first dose are not learned from: where adverse events are those under treatment there is
    none to come, and a model given such days learns the study's calendar (docs/adr/0073)."""
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
        problems = tuple((rule.field, rule.sentence.format(self)) for rule in RULES if not rule.holds(self))
        if problems:
            raise ProfileError(problems)

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


@dataclass(frozen=True, slots=True)
class Rule:
    """What must hold of a profile; ``sentence`` is formatted with the profile and stands beside ``field``."""

    field: str
    sentence: str
    holds: Callable[[StudyProfile], bool]


def _rising(profile: StudyProfile) -> bool:
    low, high, critical = profile.bands
    return 0 < low < high < critical < 1


def _readable(moment: str | None) -> bool:
    if moment is None:
        return True
    try:
        return datetime.fromisoformat(moment).tzinfo is not None
    except ValueError:
        return False


def _gates_fit(profile: StudyProfile) -> bool:
    return all(
        gate.operator in get_args(Operator) and math.isfinite(gate.threshold) and gate.sentence.strip()
        for gate in profile.gates
    )


# fmt: off
RULES: tuple[Rule, ...] = (
    Rule("bands", "Risk bands must rise between 0 and 1; {0.bands} do not.", _rising),
    Rule("horizon_hours", "The horizon is at least 1 hour.", lambda p: p.horizon_hours >= 1),
    Rule("second_horizon_hours", "The second horizon ends no earlier than the first, after {0.horizon_hours} hours.",
         lambda p: p.second_horizon_hours >= p.horizon_hours),
    Rule("cadence_seconds", "The cadence is not negative.", lambda p: p.cadence_seconds >= 0),
    Rule("baseline_days", "The baseline is at least 1 day.", lambda p: p.baseline_days >= 1),
    Rule("label_maturity_days", "The labels' maturity is not negative.", lambda p: p.label_maturity_days >= 0),
    Rule("vitals_stale_hours", "Vital signs must be allowed some age.", lambda p: 0 < p.vitals_stale_hours < math.inf),
    Rule("labs_stale_days", "Laboratory results must be allowed some age, or any.",
         lambda p: p.labs_stale_days is None or 0 < p.labs_stale_days < math.inf),
    Rule("replay_date", "{0.replay_date} is no time with its zone, such as 2015-03-05T00:00:00Z.",
         lambda p: _readable(p.replay_date)),
    Rule("gates", "Each gate has its own name.", lambda p: len({gate.name for gate in p.gates}) == len(p.gates)),
    Rule("gates", "A gate compares by >=, >, <= or < with a number, and says in words what it asks.", _gates_fit),
    Rule("hys_law_alt_ast_uln", "The factor is above 0.", lambda p: p.hys_law_alt_ast_uln > 0),
    Rule("hys_law_bilirubin_uln", "The factor is above 0.", lambda p: p.hys_law_bilirubin_uln > 0),
    Rule("hys_law_window_days", "The window is at least 1 day.", lambda p: p.hys_law_window_days >= 1),
)
# fmt: on
