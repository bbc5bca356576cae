"""The 120 features, one row each: what is read, over which window, how it is summarised, and what no value means.

A feature's name is computed from its row, so that name and meaning cannot part. Kernel and reference both read this
table; the order of its rows is the order of the vector. `TABLE_DIGEST` stands on every stored vector and model.

Windows are (t - h, t]. Slopes are per hour over real time, rates of laboratory values per day. Spread is with ddof 1.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Literal

from ml.contracts.analytes import ANALYTE_BY_NAME
from ml.contracts.signs import SIGN_BY_NAME

Group = Literal["clinical", "temporal"]
Kind = Literal["number", "count", "flag", "category"]
Blinding = Literal["open", "arm", "personal"]

HOUR, DAY = 3600, 86_400
LOOKBACK_SECONDS = 72 * HOUR
"""The longest look-back over vital signs; beyond it only the baseline period and records with an id are read."""

SHORT_NAME = {HOUR: "1h", 6 * HOUR: "6h", 24 * HOUR: "24h", 72 * HOUR: "72h", 7 * DAY: "7d", 30 * DAY: "30d"}

TEMPORAL_SIGNS = (
    "heart_rate",
    "blood_pressure_systolic",
    "blood_pressure_diastolic",
    "temperature",
    "spo2",
    "respiratory_rate",
)
LAB_PANEL = (
    "alt",
    "ast",
    "bilirubin",
    "alp",
    "creatinine",
    "urea_nitrogen",
    "potassium",
    "sodium",
    "glucose",
    "hemoglobin",
    "wbc",
    "platelets",
)

PATTERNS: dict[str, str] = {
    "mean": "{subject}_mean_{window}",
    "std": "{subject}_std_{window}",
    "min": "{subject}_min_{window}",
    "max": "{subject}_max_{window}",
    "variance": "{subject}_variance_{window}",
    "trend": "{subject}_trend_{window}",
    "difference_of_means": "{subject}_mean_{window}",
    "mean_arterial": "mean_{subject}_{window}",
    "deviation": "{subject}_deviation_{window}",
    "change": "{subject}_change_{window}",
    "instability": "{subject}_score_{window}",
    "missing": "{subject}_missing_{window}",
    "latest": "{subject}_latest",
    "change_from_baseline": "{subject}_change_from_baseline",
    "rate": "{subject}_rate",
    "value": "{subject}",
    "bmi": "{subject}",
    "days_since_first": "days_since_{subject}",
    "days_since_last": "days_since_last_{subject}",
    "distinct": "{subject}_count",
    "ongoing": "{subject}_ongoing",
    "max_grade": "{subject}_max_grade",
    "active": "{subject}_active",
    "new": "{subject}_new_{window}",
    "current": "{subject}_current",
    "missed": "{subject}_missed_{window}",
    "interacting_pairs": "{subject}_pairs",
    "interacting_class": "{subject}_high_priority",
    "interacting_qt": "{subject}_qt",
    "none_within": "{subject}_missing_{window}",
}
"""Aggregation → how the feature's name is made from subject and window."""


@dataclass(frozen=True, slots=True)
class Feature:
    """One feature. `window` in seconds (None: no bound); `fallback` says what stands where nothing was measured."""

    group: Group
    subject: str
    sources: tuple[str, ...]
    window: int | None
    aggregation: str
    fallback: str
    unit: str
    description: str
    rule: str
    blinding: Blinding = "open"
    kind: Kind = "number"

    @property
    def name(self) -> str:
        """Computed from subject, aggregation and window, e.g. `heart_rate_std_24h`."""
        window = "" if self.window is None else SHORT_NAME[self.window]
        return PATTERNS[self.aggregation].format(subject=self.subject, window=window)

    @property
    def dtype(self) -> str:
        """Stored form."""
        return "float32"


_SIGN_WORDS = {name: SIGN_BY_NAME[name].label.lower() for name in TEMPORAL_SIGNS} | {"spo2": "oxygen saturation"}
_NO_READING = "no value when the window holds no reading"
_TWO_READINGS = "no value with fewer than 2 readings"
_TWO_TIMES = "no value with fewer than 2 different times"
_BASELINE = "no value without readings now, or fewer than 2 or equal ones in the baseline period"
_FALLBACK = {"mean": _NO_READING, "min": _NO_READING, "max": _NO_READING, "std": _TWO_READINGS,
             "variance": _TWO_READINGS, "trend": _TWO_TIMES}  # fmt: skip
_WORDS = {
    "mean": "Mean",
    "std": "Standard deviation",
    "min": "Lowest",
    "max": "Highest",
    "variance": "Variance",
    "trend": "Regression slope per hour",
}
_FR = "FR-3.1 of the requirements"
_OWN = "Own choice: early deterioration shows in the vital signs NEWS2 scores (RCP 2017)"


def _unit(sign: str, aggregation: str) -> str:
    unit = SIGN_BY_NAME[sign].unit
    return {"variance": f"({unit})2", "trend": f"{unit}/h"}.get(aggregation, unit)


def _sign(sign: str, aggregation: str, hours: int, rule: str = _FR) -> Feature:
    words = f"{_WORDS[aggregation]} of the {_SIGN_WORDS[sign]} over the last {hours} h."
    return Feature("temporal", sign, (sign,), hours * HOUR, aggregation, _FALLBACK[aggregation],
                   _unit(sign, aggregation), words, rule)  # fmt: skip


def _temporal() -> list[Feature]:
    rows = [_sign("heart_rate", kind, hours) for hours in (1, 6, 24) for kind in ("mean", "std", "min", "max")]
    rows += [
        _sign(sign, kind, hours)
        for sign in ("blood_pressure_systolic", "blood_pressure_diastolic")
        for hours in (6, 24)
        for kind in ("mean", "variance", "trend")
    ]
    for sign, extreme in (("respiratory_rate", "max"), ("spo2", "min"), ("temperature", "max")):
        rows += [_sign(sign, "mean", 6, _OWN), _sign(sign, "mean", 24, _OWN), _sign(sign, "std", 24, _OWN)]
        rows += [_sign(sign, extreme, 24, _OWN)]
    pressures = ("blood_pressure_systolic", "blood_pressure_diastolic")
    for hours in (6, 24):
        rows.append(Feature("temporal", "pulse_pressure", pressures, hours * HOUR, "difference_of_means", _NO_READING, "mm[Hg]",
                            f"Mean systolic less mean diastolic pressure over the last {hours} h.",
                            "Derived as in the processing requirements"))  # fmt: skip
        rows.append(Feature("temporal", "arterial_pressure", pressures, hours * HOUR, "mean_arterial", _NO_READING, "mm[Hg]",
                            f"Mean arterial pressure, (systolic + 2 x diastolic) / 3 of the means over the last {hours} h.",
                            "Derived as in the processing requirements"))  # fmt: skip
    for sign in TEMPORAL_SIGNS:
        rows.append(Feature("temporal", sign, (sign,), 24 * HOUR, "deviation", _BASELINE, "SD",
                            f"Mean {_SIGN_WORDS[sign]} over the last 24 h less the patient's own baseline mean, "
                            "in standard deviations of the baseline.",
                            "FR-3.1: sum of (value - patient baseline) / std, sign by sign"))  # fmt: skip
    for sign in TEMPORAL_SIGNS:
        if sign != "blood_pressure_diastolic":
            rows.append(Feature("temporal", sign, (sign,), 24 * HOUR, "change",
                                "no value unless both days hold a reading", SIGN_BY_NAME[sign].unit,
                                f"Mean {_SIGN_WORDS[sign]} over the last 24 h less that of the 24 h before.", _OWN))  # fmt: skip
    rows += [_sign(sign, "trend", 72, _OWN) for sign in TEMPORAL_SIGNS if sign != "blood_pressure_diastolic"]
    rows.append(Feature("temporal", "instability", TEMPORAL_SIGNS, 24 * HOUR, "instability",
                        "no value when no sign has a deviation", "SD",
                        "Sum over the vital signs of the absolute deviation of the 24 h mean from the patient's baseline, "
                        "in baseline standard deviations.",
                        "FR-3.1: sum of (value - patient baseline) / std"))  # fmt: skip
    for sign in ("heart_rate", "blood_pressure_systolic", "spo2"):
        rows.append(Feature("temporal", sign, (sign,), 24 * HOUR, "missing", "never without a value", "1",
                            f"1 when no {_SIGN_WORDS[sign]} was measured in the last 24 h, else 0.",
                            "FR-3.1: missingness flags", kind="flag"))  # fmt: skip
    return rows


def _labs() -> list[Feature]:
    rows = []
    for name in LAB_PANEL:
        analyte = ANALYTE_BY_NAME[name]
        label = analyte.label
        rows += [
            Feature("clinical", name, (name,), None, "latest", "no value before the first result", analyte.unit,
                    f"{label}: newest result (mean of those taken at the same time).", _FR),
            Feature("clinical", name, (name,), None, "change_from_baseline", "no value without a result in the baseline period",
                    analyte.unit, f"{label}: newest result less the newest of the baseline period.", _FR),
            Feature("clinical", name, (name,), None, "rate", "no value before the second result", f"{analyte.unit}/d",
                    f"{label}: newest result less the one before it, per day between them.", _FR),
        ]  # fmt: skip
    return rows


def _context() -> list[Feature]:
    never = "never without a value"
    return [
        Feature("clinical", "age", ("age",), None, "value", "no value until recorded", "a", "Age at enrolment.", _FR, "personal"),
        Feature("clinical", "sex", ("sex",), None, "value", "no value until recorded, or unknown", "1",
                "0 female, 1 male.", _FR, "personal", "category"),
        Feature("clinical", "body_mass_index", ("weight", "height"), None, "bmi", "no value without both weight and height",
                "kg/m2", "Newest weight over the square of the newest height.", _FR),
        Feature("clinical", "enrolment", ("enrolment",), None, "days_since_first", "no value before enrolment", "d",
                "Days since enrolment.", _FR),
        Feature("clinical", "comorbidity", ("history",), None, "distinct", "0 when none is recorded", "1",
                "Different conditions in the medical history that have not ended.", _FR, kind="count"),
        Feature("clinical", "trial_arm", ("arm",), None, "value", "no value until assigned", "1",
                "0 never treated, 1 control arm (closed list of names), 2 any other arm.", _FR, "arm", "category"),
        Feature("clinical", "interaction", ("medication",), None, "interacting_pairs", "0 when none is active", "1",
                "Pairs of active medicines that the interaction table names, QT pairs included; study doses are not read.",
                "ONC high-priority list (Phansalkar 2012) and labels: ml.clinical.interactions", kind="count"),
        Feature("clinical", "interaction", ("medication",), None, "interacting_class", never, "1",
                "1 when at least one pair of active medicines is on the high-priority class table (QT pairs aside), else 0.",
                "ONC high-priority list (Phansalkar 2012): ml.clinical.interactions", kind="flag"),
        Feature("clinical", "interaction", ("medication",), None, "interacting_qt", never, "1",
                "1 when at least two active medicines are on the short list of QT-prolonging medicines, else 0.",
                "ONC class 8 with an own short list from labels: ml.clinical.interactions", kind="flag"),
        Feature("clinical", "adverse_event", ("adverse_event",), None, "distinct", "0 when none is known", "1",
                "Adverse events that have begun, one per term and onset.", _FR, kind="count"),
        Feature("clinical", "adverse_event", ("adverse_event",), None, "ongoing", "0 when none is known", "1",
                "Adverse events that have begun and are not known to have ended.", _FR, kind="count"),
        Feature("clinical", "adverse_event", ("adverse_event",), None, "max_grade", "0 when none is known", "1",
                "Highest CTCAE grade of the adverse events that have begun.", _FR, kind="count"),
        Feature("clinical", "adverse_event", ("adverse_event",), None, "days_since_last", "no value before the first", "d",
                "Days since the newest onset of an adverse event.", _FR),
        Feature("clinical", "first_dose", ("study_dose",), None, "days_since_first", "no value before the first dose", "d",
                "Days since the first study dose that was taken.", _FR),
        Feature("clinical", "study_dose", ("study_dose",), None, "current", "no value before the first dose with an amount; 0 once ended",
                "as recorded", "Amount of the newest study dose taken, 0 when it is known to have ended.", _FR, "arm"),
        Feature("clinical", "study_dose", ("study_dose",), 7 * DAY, "missed", "no value before the first dose record", "1",
                "Study doses recorded as missed in the last 7 days.", _FR, kind="count"),
        Feature("clinical", "medication", ("medication",), None, "active", "0 when none is known", "1",
                "Different medicines in use: begun and not known to have ended; study doses aside.", _FR, kind="count"),
        Feature("clinical", "medication", ("medication",), 7 * DAY, "new", "0 when none is known", "1",
                "Different medicines first begun in the last 7 days.", _FR, kind="count"),
        *(
            Feature("clinical", sign, (sign,), None, "latest", "no value before the first reading", SIGN_BY_NAME[sign].unit,
                    f"Newest {_SIGN_WORDS[sign]} of the last 72 h, else of the baseline period or of a record with an id, "
                    "whichever is newer.",
                    "Slow trials measure at visits; what may be read is what an online window keeps")
            for sign in ("heart_rate", "blood_pressure_systolic", "blood_pressure_diastolic", "temperature")
        ),
        Feature("clinical", "weight", ("weight",), None, "change_from_baseline", "no value without a weight in the baseline period", "kg",
                "Newest weight less the newest of the baseline period.", _OWN),
        Feature("clinical", "labs", LAB_PANEL, 30 * DAY, "none_within", "never without a value", "1",
                "1 when no result of the panel is from the last 30 days, else 0.", "FR-3.1: missingness flags", kind="flag"),
    ]  # fmt: skip


FEATURES: tuple[Feature, ...] = (*_labs(), *_context(), *_temporal())
NAMES: tuple[str, ...] = tuple(feature.name for feature in FEATURES)
INDEX: dict[str, int] = {name: position for position, name in enumerate(NAMES)}
FLAGS: tuple[str, ...] = tuple(feature.name for feature in FEATURES if feature.kind == "flag")
TABLE_DIGEST: str = hashlib.sha256(
    json.dumps([{"name": f.name, **asdict(f)} for f in FEATURES], sort_keys=True, separators=(",", ":")).encode()
).hexdigest()
"""SHA-256 of the canonical JSON of all rows, hexadecimal."""


def of_aggregation(*aggregations: str) -> list[tuple[int, Feature]]:
    """(position, row) of the features that are aggregated so."""
    return [(position, feature) for position, feature in enumerate(FEATURES) if feature.aggregation in aggregations]
