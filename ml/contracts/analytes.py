# ruff: noqa: E501 - a table reads best with one row a line
"""Laboratory analytes and the closed table of units.

Codes: LOINC. Units: UCUM. A unit that is not in the table is refused, never guessed. Sources of the factors: molar mass
where one is given (checked by test within 0.5 %), else a power of ten, a valence, or the definition of the katal.
Limits: `impossible_*` = MIMIC-Extract outlier limits corrected by physics; `implausible_*` = the wider of ricu's limits
and the reach of CTCAE grade 4. LOINC codes are used under the LOINC licence (https://loinc.org/license).
"""

from __future__ import annotations

from dataclasses import dataclass

UNITS_VERSION = 3


@dataclass(frozen=True, slots=True)
class Analyte:
    """One laboratory quantity. Limits are inclusive, in `unit` (UCUM); `decimals` is its fixed-point resolution."""

    name: str
    label: str
    loinc: str
    unit: str
    decimals: int
    impossible_below: float
    impossible_above: float
    implausible_below: float
    implausible_above: float
    reference_low: float | None
    reference_high: float | None
    synonyms: tuple[str, ...]
    molar_mass: float | None = None
    valence: int | None = None


@dataclass(frozen=True, slots=True)
class UnitRule:
    """value in canonical unit = value reported × factor."""

    analyte: str
    unit: str
    factor: float


def _a(
    name: str,
    label: str,
    loinc: str,
    unit: str,
    decimals: int,
    impossible: tuple[float, float],
    implausible: tuple[float, float],
    reference: tuple[float | None, float | None],
    synonyms: str,
    molar_mass: float | None = None,
    valence: int | None = None,
) -> Analyte:
    """One row of the table; limits as pairs, synonyms parted by bars."""
    limits = (*impossible, *implausible, *reference)
    return Analyte(name, label, loinc, unit, decimals, *limits, tuple(synonyms.split("|")), molar_mass, valence)


# fmt: off
ANALYTES: tuple[Analyte, ...] = (
    _a("sodium", "Sodium", "2951-2", "mmol/L", 1, (0, 250), (110, 175), (136, 145), "SODIUM|NA", valence=1),
    _a("potassium", "Potassium", "2823-3", "mmol/L", 2, (0, 15), (1, 10), (3.5, 5.0), "K|POTASSIUM", valence=1),
    _a("chloride", "Chloride", "2075-0", "mmol/L", 1, (0, 300), (70, 140), (98, 106), "CL|CHLORIDE", valence=1),
    _a("bicarbonate", "Bicarbonate", "2028-9", "mmol/L", 1, (0, 100), (5, 50), (21, 30), "CO2|HCO3|BICARB|BICARBONATE", valence=1),
    _a("urea_nitrogen", "Urea nitrogen", "3094-0", "mg/dL", 1, (0, 400), (0, 275), (7, 20), "BUN|UREAN|UREA NITROGEN", 28.01),
    _a("creatinine", "Creatinine", "2160-0", "mg/dL", 3, (0, 66), (0, 20), (0.4, 1.5), "CREAT|CREATININE", 113.12),
    _a("glucose", "Glucose", "2345-7", "mg/dL", 1, (0, 2200), (10, 1200), (70, 140), "GLUC|GLUCOSE", 180.156),
    _a("calcium", "Calcium, total", "17861-6", "mg/dL", 2, (0, 40), (4, 20), (8.6, 10.2), "CA|CALCIUM", 40.078, 2),
    _a("calcium_ionised", "Calcium, ionised", "1994-3", "mmol/L", 3, (0, 10), (0.4, 3), (1.2, 1.4), "CAION|IONISED CALCIUM|IONIZED CALCIUM", valence=2),
    _a("magnesium", "Magnesium", "19123-9", "mg/dL", 2, (0, 22), (0.3, 12), (1.3, 2.7), "MG|MAGNESIUM", 24.305, 2),
    _a("phosphate", "Phosphate", "2777-1", "mg/dL", 2, (0, 40), (0, 22), (2.5, 4.5), "PHOS|PHOSPHATE|PHOSPHORUS", 30.974),
    _a("albumin", "Albumin", "1751-7", "g/dL", 2, (0, 12), (0.5, 7), (3.5, 5.5), "ALB|ALBUMIN"),
    _a("protein", "Protein, total", "2885-2", "g/dL", 2, (0, 20), (2, 14), (5.5, 8.0), "PROT|PROTEIN|TOTAL PROTEIN"),
    _a("bilirubin", "Bilirubin, total", "1975-2", "mg/dL", 3, (0, 100), (0, 66), (0.2, 1.2), "BILI|BILIRUBIN|TOTAL BILIRUBIN|BILIRUBIN_TOTAL", 584.66),
    _a("bilirubin_direct", "Bilirubin, direct", "1968-7", "mg/dL", 3, (0, 100), (0, 66), (0.1, 0.3), "BILDIR|DIRECT BILIRUBIN|BILIRUBIN_DIRECT", 584.66),
    _a("alt", "ALT", "1742-6", "U/L", 1, (0, 20000), (0, 11000), (7, 55), "ALT|SGPT|ALANINE AMINOTRANSFERASE"),
    _a("ast", "AST", "1920-8", "U/L", 1, (0, 30000), (0, 22000), (8, 48), "AST|SGOT|ASPARTATE AMINOTRANSFERASE"),
    _a("alp", "Alkaline phosphatase", "6768-6", "U/L", 1, (0, 10000), (0, 4000), (45, 130), "ALP|ALKALINE PHOSPHATASE"),
    _a("ggt", "GGT", "2324-2", "U/L", 1, (0, 20000), (0, 5000), (8, 50), "GGT|GAMMA GLUTAMYL TRANSFERASE"),
    _a("ldh", "LDH", "2532-0", "U/L", 1, (0, 100000), (0, 20000), (110, 240), "LDH|LACTATE DEHYDROGENASE"),
    _a("ck", "Creatine kinase", "2157-6", "U/L", 1, (0, 500000), (0, 100000), (30, 170), "CK|CPK|CREATINE KINASE"),
    _a("lipase", "Lipase", "3040-3", "U/L", 1, (0, 100000), (0, 20000), (40, 240), "LIPASE"),
    _a("amylase", "Amylase", "1798-8", "U/L", 1, (0, 100000), (0, 20000), (25, 125), "AMYLASE"),
    _a("urate", "Urate", "3084-1", "mg/dL", 2, (0, 60), (0, 30), (2.2, 7.7), "URATE|URIC ACID", 168.11),
    _a("lactate", "Lactate", "2524-7", "mmol/L", 2, (0, 50), (0, 33), (0.5, 2.2), "LACT|LACTATE|LACTIC ACID|LACTICAC", 90.08),
    _a("hemoglobin", "Haemoglobin", "718-7", "g/dL", 2, (0, 30), (2, 25), (12.3, 17.5), "HGB|HB|HEMOGLOBIN|HAEMOGLOBIN", 16114.0),
    _a("hematocrit", "Haematocrit", "4544-3", "%", 2, (0, 100), (10, 75), (35.9, 50.4), "HCT|HEMATOCRIT|HAEMATOCRIT"),
    _a("rbc", "Erythrocytes", "789-8", "10*12/L", 2, (0, 20), (0.5, 10), (4.1, 5.9), "RBC|ERYTHROCYTES"),
    _a("wbc", "Leukocytes", "26464-8", "10*9/L", 2, (0, 1100), (0, 500), (3.5, 10.5), "WBC|LEUKOCYTES"),
    _a("neutrophils", "Neutrophils", "751-8", "10*9/L", 3, (0, 1000), (0, 400), (1.8, 7.8), "NEUT|NEUTROPHILS|ANC"),
    _a("lymphocytes", "Lymphocytes", "731-0", "10*9/L", 3, (0, 1000), (0, 400), (1.0, 4.8), "LYM|LYMPHOCYTES"),
    _a("monocytes", "Monocytes", "742-7", "10*9/L", 3, (0, 500), (0, 100), (0.2, 1.0), "MONO|MONOCYTES"),
    _a("eosinophils", "Eosinophils", "711-2", "10*9/L", 3, (0, 500), (0, 100), (0.0, 0.5), "EOS|EOSINOPHILS"),
    _a("basophils", "Basophils", "704-7", "10*9/L", 3, (0, 200), (0, 50), (0.0, 0.2), "BASO|BASOPHILS"),
    _a("platelets", "Platelets", "26515-7", "10*9/L", 1, (0, 3000), (1, 2200), (150, 450), "PLAT|PLT|PLATELETS"),
    _a("inr", "INR", "6301-6", "1", 2, (0, 50), (0.5, 20), (0.8, 1.2), "INR"),
    _a("aptt", "aPTT", "14979-9", "s", 1, (0, 400), (10, 250), (25, 37), "APTT|PTT"),
    _a("fibrinogen", "Fibrinogen", "3255-7", "mg/dL", 1, (0, 3000), (20, 1500), (200, 400), "FIBRINOGEN|FIBRINO"),
    _a("crp", "C-reactive protein", "1988-5", "mg/L", 2, (0, 2000), (0, 800), (0, 4.9), "CRP|C REACTIVE PROTEIN"),
    _a("hba1c", "HbA1c", "4548-4", "%", 2, (0, 30), (3, 20), (3.8, 6.4), "HBA1C|HEMOGLOBIN A1C"),
    _a("tsh", "TSH", "3016-3", "m[IU]/L", 3, (0, 1000), (0, 200), (0.4, 4.2), "TSH|THYROTROPIN"),
    _a("cholesterol", "Cholesterol", "2093-3", "mg/dL", 1, (0, 3000), (30, 1500), (None, 200), "CHOL|CHOLESTEROL", 386.65),
    _a("triglycerides", "Triglycerides", "2571-8", "mg/dL", 1, (0, 20000), (10, 10000), (None, 150), "TRIG|TRIGLYCERIDES", 885.4),
    _a("troponin_i", "Troponin I", "10839-9", "ng/mL", 4, (0, 10000), (0, 1000), (0, 0.04), "TROPONI|TROPONIN I|TROPONINI"),
    _a("bnp", "BNP", "30934-4", "pg/mL", 1, (0, 100000), (0, 70000), (0, 99), "BNP"),
    _a("ph", "pH, arterial", "2744-1", "1", 3, (6, 8.5), (6.5, 8.0), (7.35, 7.45), "PH_ARTERIAL|ARTERIAL PH"),
    _a("egfr", "eGFR", "33914-3", "mL/min/{1.73_m2}", 1, (0, 400), (0, 200), (60, None), "EGFR|GFR"),
)

SPELLINGS: dict[str, tuple[str, ...]] = {
    "mg/dL": ("mg/dL", "mg/dl", "MG/DL", "mg%", "mg/100mL", "mg/100 mL", "mg/DL"),
    "g/dL": ("g/dL", "g/dl", "G/DL", "gm/dL", "g%", "g/100mL", "g/100 mL"),
    "g/L": ("g/L", "g/l", "G/L"),
    "mg/L": ("mg/L", "mg/l", "MG/L", "ug/mL", "µg/mL", "μg/mL", "mcg/mL", "UG/ML"),
    "mmol/L": ("mmol/L", "mmol/l", "MMOL/L", "mM", "mmoL/L"),
    "umol/L": ("umol/L", "umol/l", "UMOL/L", "µmol/L", "μmol/L", "mcmol/L", "umoL/L"),
    "meq/L": ("meq/L", "mEq/L", "mEq/l", "MEQ/L", "meq/l"),
    "U/L": ("U/L", "u/L", "u/l", "iu/L", "IU/L", "[IU]/L", "U/l", "IU/l", "UNITS/L", "units/L"),
    "ukat/L": ("ukat/L", "µkat/L", "μkat/L", "ukat/l", "UKAT/L", "mckat/L"),
    "nkat/L": ("nkat/L", "NKAT/L"),
    "10*9/L": ("10*9/L", "10^9/L", "x10^9/L", "10E9/L", "G/L", "G/l", "Gi/L", "G/L cells", "10*3/uL", "10^3/uL", "x10^3/uL", "10*3/µL", "K/uL", "k/uL", "THOU/uL", "GI/L", "10^9/l", "10**9/L", "x10E9/L", "X10^9/L", "x10*9/L", "10(9)/L", "x10(9)/L", "GIGA/L", "giga/L", "10E3/uL", "x10E3/uL", "X10^3/uL", "10^3/µL", "10^3/mcL", "x10^3/mcL", "10^3/mm3", "10*3/mm3", "x10^3/mm3", "10^3/mm^3", "K/mm3", "K/mcL", "thou/uL", "THOU/mcL", "Thou/uL"),
    "/uL": ("/uL", "/µL", "cells/uL", "/mm3", "/mcL", "cells/mcL", "cells/µL", "cells/mm3", "/mm^3", "/cumm"),
    "10*12/L": ("10*12/L", "10^12/L", "x10^12/L", "10E12/L", "T/L", "T/l", "TI/L", "10*6/uL", "10^6/uL", "M/uL", "10^12/l", "10**12/L", "x10E12/L", "X10^12/L", "x10*12/L", "10(12)/L", "x10(12)/L", "TERA/L", "10E6/uL", "x10^6/uL", "x10E6/uL", "X10^6/uL", "10^6/µL", "10^6/mcL", "x10^6/mcL", "10^6/mm3", "10*6/mm3", "x10^6/mm3", "10^6/mm^3", "MILL/uL", "Mill/uL", "M/mm3", "M/mcL"),
    "%": ("%", "percent"),
    "L/L": ("L/L", "fraction", "fraction of 1", "FRACTION OF 1", "Fraction", "FRACTION"),
    "1": ("1", "{INR}", "RATIO", "ratio"),
    "s": ("s", "sec", "seconds", "SEC", "Sec", "SECONDS"),
    "m[IU]/L": ("m[IU]/L", "mIU/L", "mU/L", "u[IU]/mL", "uIU/mL", "µIU/mL", "MIU/L", "uU/mL", "µU/mL", "mcIU/mL", "UIU/ML"),
    "ng/mL": ("ng/mL", "ng/ml", "ug/L", "µg/L", "NG/ML", "mcg/L", "UG/L", "μg/L"),
    "ng/L": ("ng/L", "ng/l", "NG/L"),
    "pg/mL": ("pg/mL", "pg/ml", "PG/ML"),
    "mL/min/{1.73_m2}": ("mL/min/{1.73_m2}", "mL/min/1.73m2", "mL/min/1.73 m2", "mL/min/1.73m^2", "ML/MIN/1.73M2", "ml/min/1.73m2", "mL/min/1.73m**2", "mL/min/1.73 m^2"),
}
"""UCUM unit → the spellings accepted for it, to the letter. The second spelling group of a count is the same quantity."""

CONVERSIONS: dict[str, dict[str, float]] = {
    "mg/dL": {"mg/L": 0.1, "g/L": 100.0, "g/dL": 1000.0},
    "g/dL": {"g/L": 0.1, "mg/dL": 0.001},
    "mg/L": {"mg/dL": 10.0},
    "U/L": {"ukat/L": 60.0, "nkat/L": 0.06},
    "10*9/L": {"/uL": 0.001},
    "%": {"L/L": 100.0},
    "ng/mL": {"ng/L": 0.001, "pg/mL": 0.001},
    "pg/mL": {"ng/L": 1.0, "ng/mL": 1000.0},
}
"""Canonical unit → other units of the same kind of quantity and their factor to it (no molar mass involved)."""
# fmt: on


def _rules() -> tuple[UnitRule, ...]:
    rules: list[UnitRule] = []

    def add(analyte: Analyte, ucum: str, factor: float) -> None:
        rules.extend(UnitRule(analyte.name, spelling, factor) for spelling in SPELLINGS[ucum])

    for analyte in ANALYTES:
        add(analyte, analyte.unit, 1.0)
        for other, factor in CONVERSIONS.get(analyte.unit, {}).items():
            add(analyte, other, factor)
        if analyte.molar_mass is not None:
            if analyte.unit == "mg/dL":
                add(analyte, "mmol/L", analyte.molar_mass / 10.0)
                add(analyte, "umol/L", analyte.molar_mass / 10_000.0)
            elif analyte.unit == "g/dL":
                add(analyte, "mmol/L", analyte.molar_mass / 10_000.0)
            elif analyte.unit == "mmol/L":
                add(analyte, "mg/dL", 10.0 / analyte.molar_mass)
        if analyte.valence is not None:
            if analyte.unit == "mmol/L":
                add(analyte, "meq/L", 1.0 / analyte.valence)
            elif analyte.molar_mass is not None:
                add(analyte, "meq/L", analyte.molar_mass / 10.0 / analyte.valence)
    return tuple(rules)


UNITS: tuple[UnitRule, ...] = _rules()
_RULE = {(rule.analyte, rule.unit): rule for rule in UNITS}
ANALYTE_BY_NAME: dict[str, Analyte] = {analyte.name: analyte for analyte in ANALYTES}
_BY_SYNONYM: dict[str, Analyte] = {
    spelling.casefold(): analyte
    for analyte in ANALYTES
    for spelling in (analyte.name, analyte.label, analyte.loinc, *analyte.synonyms)
}


def analyte_of(test_name: str) -> Analyte | None:
    """The analyte a laboratory means by `test_name` (name, code or listed synonym, case aside); None if not listed."""
    return _BY_SYNONYM.get(test_name.strip().casefold())


def unit_rule(analyte: Analyte, unit: str | None) -> UnitRule | None:
    """The rule that brings `unit` to the analyte's canonical unit; None = not in the closed table (quarantine)."""
    if unit is None:
        return None
    return _RULE.get((analyte.name, unit.strip()))
