# ruff: noqa: E501 - a table reads best with one row a line
"""Vital signs as packages spell them: test codes and names, units and their factors. Closed: what is not here is refused."""

from __future__ import annotations

RATE = dict.fromkeys(
    ("BEATS/MIN", "BPM", "BEATS PER MINUTE", "/MIN", "1/MIN", "{BEATS}/MIN", "BEATS PER MIN", "BEATS/MINUTE"), 1.0
)
BREATHS = dict.fromkeys(
    (
        "BREATHS/MIN",
        "BRPM",
        "BREATHS PER MINUTE",
        "/MIN",
        "1/MIN",
        "RESP/MIN",
        "RPM",
        "BREATHS PER MIN",
        "BREATHS/MINUTE",
    ),
    1.0,
)
PRESSURE = {"MMHG": 1.0, "MM HG": 1.0, "MM[HG]": 1.0, "KPA": 7.50061683, "CMHG": 10.0}
"""Pascal by the conventional millimetre of mercury, 133.322387415 Pa."""

SIGNS: dict[str, tuple[str, dict[str, float]]] = {
    "SYSBP": ("blood_pressure_systolic", PRESSURE),
    "DIABP": ("blood_pressure_diastolic", PRESSURE),
    "PULSE": ("heart_rate", RATE),
    "HR": ("heart_rate", RATE),
    "RESP": ("respiratory_rate", BREATHS),
    "OXYSAT": ("spo2", {"%": 1.0, "PERCENT": 1.0, "FRACTION": 100.0, "FRACTION OF 1": 100.0}),
}
"""VSTESTCD → column, and the units (upper case) with their factor to the column's unit."""
WITH_UNIT: dict[str, tuple[str, dict[str, tuple[str, float]]]] = {
    "TEMP": ("temperature", {"C": ("Cel", 1.0), "CEL": ("Cel", 1.0), "°C": ("Cel", 1.0), "DEG C": ("Cel", 1.0), "CELSIUS": ("Cel", 1.0),
                             "F": ("[degF]", 1.0), "[DEGF]": ("[degF]", 1.0), "°F": ("[degF]", 1.0), "DEG F": ("[degF]", 1.0), "FAHRENHEIT": ("[degF]", 1.0)}),
    "WEIGHT": ("weight", {"KG": ("kg", 1.0), "G": ("kg", 0.001), "LB": ("[lb_av]", 1.0), "LBS": ("[lb_av]", 1.0), "[LB_AV]": ("[lb_av]", 1.0), "POUNDS": ("[lb_av]", 1.0), "STONE": ("[lb_av]", 14.0)}),
    "HEIGHT": ("height", {"CM": ("cm", 1.0), "M": ("cm", 100.0), "MM": ("cm", 0.1), "IN": ("[in_i]", 1.0), "INCH": ("[in_i]", 1.0), "[IN_I]": ("[in_i]", 1.0), "INCHES": ("[in_i]", 1.0), "FT": ("[in_i]", 12.0)}),
}  # fmt: skip
"""As above, for columns whose message says the unit: the unit it says, and the factor to that."""
TESTS: dict[str, str] = {
    "SBP": "SYSBP", "DBP": "DIABP", "SYSTOLIC BLOOD PRESSURE": "SYSBP", "DIASTOLIC BLOOD PRESSURE": "DIABP", "PULSE RATE": "PULSE",
    "HEART RATE": "HR", "RR": "RESP", "RESPRATE": "RESP", "RESPIRATORY RATE": "RESP", "SPO2": "OXYSAT", "O2SAT": "OXYSAT",
    "OXYGEN SATURATION": "OXYSAT", "TEMPERATURE": "TEMP", "BODY TEMPERATURE": "TEMP", "WT": "WEIGHT", "BODY WEIGHT": "WEIGHT",
    "HT": "HEIGHT", "BODY HEIGHT": "HEIGHT",
}  # fmt: skip
"""Other codes and names (VSTESTCD, VSTEST, or what the codelist says) → VSTESTCD."""
