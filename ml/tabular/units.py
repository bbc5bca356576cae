"""Units of vital signs in a table: how they are written, and what goes onto the wire.

Laboratory units are sent as they are written; the one unit table behind bronze converts them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ml.contracts.signs import SIGN_BY_NAME

KPA_MMHG = 7.50061683
"""1 kPa in mmHg (1 mmHg = 133.322387415 Pa, BIPM)."""


@dataclass(frozen=True, slots=True)
class SignUnit:
    """One unit of a sign: the value of the message's unit column ("" = none is needed), and the conversion before it."""

    sign: str
    unit: str
    wire: str = ""
    convert: Callable[[float], float] = float


SIGN_UNITS: tuple[SignUnit, ...] = (
    SignUnit("heart_rate", "/min"),
    SignUnit("respiratory_rate", "/min"),
    SignUnit("blood_pressure_systolic", "mmHg"),
    SignUnit("blood_pressure_systolic", "kPa", convert=lambda value: value * KPA_MMHG),
    SignUnit("blood_pressure_diastolic", "mmHg"),
    SignUnit("blood_pressure_diastolic", "kPa", convert=lambda value: value * KPA_MMHG),
    SignUnit("temperature", "°C", "Cel"),
    SignUnit("temperature", "°F", "[degF]"),
    SignUnit("temperature", "K", "Cel", lambda value: value - 273.15),
    SignUnit("spo2", "%"),
    SignUnit("spo2", "fraction", convert=lambda value: value * 100),
    SignUnit("supplemental_oxygen", "L/min"),
    SignUnit("weight", "kg", "kg"),
    SignUnit("weight", "lb", "[lb_av]"),
    SignUnit("weight", "g", "kg", lambda value: value / 1000),
    SignUnit("height", "cm", "cm"),
    SignUnit("height", "in", "[in_i]"),
    SignUnit("height", "m", "cm", lambda value: value * 100),
    SignUnit("consciousness", "ACVPU"),
)
"""The first unit of a sign is its usual one."""
SPELLINGS: dict[str, str] = {
    "bpm": "/min", "beats/min": "/min", "1/min": "/min", "min-1": "/min", "breaths/min": "/min", "mm[hg]": "mmHg", "mmhg": "mmHg",
    "mm hg": "mmHg", "kpa": "kPa", "c": "°C", "cel": "°C", "degc": "°C", "celsius": "°C", "°c": "°C", "f": "°F", "degf": "°F",
    "[degf]": "°F", "fahrenheit": "°F", "°f": "°F", "kelvin": "K", "k": "K", "percent": "%", "pct": "%", "kgs": "kg", "lbs": "lb",
    "[lb_av]": "lb", "pounds": "lb", "inch": "in", "inches": "in", "[in_i]": "in", "l/min": "L/min",
}  # fmt: skip
"""How units are written elsewhere, in lower case."""
ALIASES: dict[str, str] = {
    "hr": "heart_rate", "pulse": "heart_rate", "pr": "heart_rate", "heartrate": "heart_rate", "pulserate": "heart_rate",
    "sbp": "blood_pressure_systolic", "sysbp": "blood_pressure_systolic", "systolic": "blood_pressure_systolic",
    "systolicbp": "blood_pressure_systolic", "bpsystolic": "blood_pressure_systolic", "nbpsys": "blood_pressure_systolic",
    "bloodpressuresystolic": "blood_pressure_systolic", "systolicbloodpressure": "blood_pressure_systolic",
    "dbp": "blood_pressure_diastolic", "diabp": "blood_pressure_diastolic", "diastolic": "blood_pressure_diastolic",
    "diastolicbp": "blood_pressure_diastolic", "bpdiastolic": "blood_pressure_diastolic",
    "bloodpressurediastolic": "blood_pressure_diastolic", "diastolicbloodpressure": "blood_pressure_diastolic",
    "nbpdias": "blood_pressure_diastolic", "temp": "temperature", "temperature": "temperature", "bodytemp": "temperature",
    "bodytemperature": "temperature", "spo2": "spo2", "sao2": "spo2", "o2sat": "spo2", "oxysat": "spo2", "oxygensaturation": "spo2",
    "rr": "respiratory_rate", "resp": "respiratory_rate", "resprate": "respiratory_rate", "respiratoryrate": "respiratory_rate",
    "o2": "supplemental_oxygen", "o2flow": "supplemental_oxygen", "supplementaloxygen": "supplemental_oxygen",
    "avpu": "consciousness", "acvpu": "consciousness", "consciousness": "consciousness", "weight": "weight", "wt": "weight",
    "bodyweight": "weight", "height": "height", "ht": "height",
}  # fmt: skip
"""Names of signs elsewhere, in lower case without anything but letters and digits."""


def units_of(sign: str) -> tuple[str, ...]:
    """The units a sign may be in, the usual one first."""
    return tuple(one.unit for one in SIGN_UNITS if one.sign == sign)


def sign_unit(sign: str, unit: str) -> SignUnit | None:
    """The unit of a sign as somebody wrote it ("" = the usual one); None where the table has none."""
    wanted = SPELLINGS.get(unit.lower(), unit)
    return next((one for one in SIGN_UNITS if one.sign == sign and (not unit or one.unit == wanted)), None)


def sign_of(name: str) -> str:
    """The sign that a column or test of this name means, "" where it means none."""
    plain = "".join(letter for letter in name.lower() if letter.isalnum())
    return name if name in SIGN_BY_NAME else ALIASES.get(plain, "")
