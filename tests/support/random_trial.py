"""A made-up trial as a real SDTM package, in which nothing foretells anything: every value and every onset is drawn
independently of all others, so that an honest model cannot tell patient-days apart.

What a stranger's package may lack or spell otherwise is an option: units, dates, domains, columns, names, formats.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyreadstat

Rows = dict[str, list[dict[str, Any]]]
ARMS = (("PBO", "Placebo"), ("LOW", "Low dose"), ("HIGH", "High dose"))
DOSES = {"PBO": 0.0, "LOW": 50.0, "HIGH": 80.0}
TERMS = ("HEADACHE", "NAUSEA", "DIZZINESS", "RASH", "COUGH", "FATIGUE", "DIARRHOEA", "BACK PAIN")
DRUGS = ("ASPIRIN", "PARACETAMOL", "METFORMIN", "AMLODIPINE", "OMEPRAZOLE", "IBUPROFEN")
BROKEN = (
    "2019-02-30",
    "0000-05-01",
    "9999-12-31",
    "2019-13-01",
    "unknown",
    "2019-UN-UN",
    "2019-06-10T25:61",
    "31/12/2019",
)

SIGNS: dict[str, tuple[float, float, int, dict[str, tuple[str, float, float]]]] = {
    "SYSBP": (128, 14, 0, {"us": ("mmHg", 1, 0), "other": ("kPa", 0.133322, 0)}),
    "DIABP": (76, 9, 0, {"us": ("mmHg", 1, 0), "other": ("kPa", 0.133322, 0)}),
    "PULSE": (72, 9, 0, {"us": ("BEATS/MIN", 1, 0), "other": ("bpm", 1, 0)}),
    "RESP": (15, 2, 0, {"us": ("BREATHS/MIN", 1, 0), "other": ("/min", 1, 0)}),
    "TEMP": (36.7, 0.3, 1, {"us": ("C", 1, 0), "other": ("F", 1.8, 32)}),
    "WEIGHT": (76, 11, 1, {"us": ("kg", 1, 0), "other": ("LB", 2.2046226, 0)}),
}
"""VSTESTCD → mean, deviation, decimals, and by spelling (unit, factor, offset)."""
LABS: dict[str, tuple[str, float, float, dict[str, tuple[str, float]]]] = {
    "ALT": ("CHEMISTRY", 26, 7, {"us": ("U/L", 1), "other": ("ukat/L", 1 / 60)}),
    "AST": ("CHEMISTRY", 25, 6, {"us": ("U/L", 1), "other": ("IU/L", 1)}),
    "BILI": ("CHEMISTRY", 0.6, 0.15, {"us": ("mg/dL", 1), "other": ("umol/L", 17.104)}),
    "CREAT": ("CHEMISTRY", 0.9, 0.15, {"us": ("mg/dL", 1), "other": ("umol/L", 88.402)}),
    "ALB": ("CHEMISTRY", 4.2, 0.3, {"us": ("g/dL", 1), "other": ("g/L", 10)}),
    "SODIUM": ("CHEMISTRY", 140, 2.5, {"us": ("mmol/L", 1), "other": ("mEq/L", 1)}),
    "GLUC": ("CHEMISTRY", 98, 12, {"us": ("mg/dL", 1), "other": ("mmol/L", 1 / 18.0156)}),
    "HGB": ("HEMATOLOGY", 13.9, 1.1, {"us": ("g/dL", 1), "other": ("g/L", 10)}),
    "WBC": ("HEMATOLOGY", 6.8, 1.5, {"us": ("10^9/L", 1), "other": ("THOU/uL", 1)}),
    "PLAT": ("HEMATOLOGY", 240, 40, {"us": ("10^9/L", 1), "other": ("10^3/uL", 1)}),
}
"""LBTESTCD → category, mean, deviation, and by spelling (unit, factor)."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What is drawn. Times in days; rates per day; shares of subjects.

    `onsets_from`: where a treated subject's adverse events may begin. `counts`: how their number is drawn: `poisson` at
    `rate`, or `uniform` from 0 to twice the mean (subjects then differ, and who had some will have more).
    """

    seed: int = 1
    subjects: int = 120
    sites: int = 6
    screening: int = 14
    treatment: int = 112
    visits_apart: int = 14
    rate: float = 0.03
    onsets_from: Literal["dose", "screening"] = "dose"
    counts: Literal["poisson", "uniform"] = "poisson"
    screen_failures: float = 0.10
    never_treated: float = 0.04
    deaths: float = 0.03
    withdrawals: float = 0.25
    recorded_late: int = 20
    units: Literal["us", "other"] = "us"
    broken_dates: float = 0.0
    without: Collection[str] = ()
    """Domains that the package lacks, lower case."""
    without_columns: Collection[str] = ()
    """Columns that no domain has."""
    study: str = "RANDOM01"


def _date(moment: datetime) -> str:
    return moment.date().isoformat()


def rows_of(trial: Trial) -> Rows:
    """Domain (lower case) → rows."""
    rng = np.random.default_rng(trial.seed)
    rows: Rows = {name: [] for name in ("dm", "ae", "vs", "lb", "cm", "ex", "ds", "sv")}
    for number in range(trial.subjects):
        _subject(trial, rng, rows, number)
    for name in [n for n in rows if n in trial.without]:
        del rows[name]
    for body in rows.values():
        for row in body:
            for column in trial.without_columns:
                row.pop(column, None)
            for column in [c for c in row if c.endswith("DTC") and row[c]]:
                if trial.broken_dates and rng.random() < trial.broken_dates:
                    row[column] = str(rng.choice(BROKEN))
    return rows


def _subject(trial: Trial, rng: np.random.Generator, rows: Rows, number: int) -> None:
    site = f"{int(rng.integers(trial.sites)) + 1:02d}"
    name = f"{trial.study}-{site}-{number + 1:04d}"
    key = {"STUDYID": trial.study, "USUBJID": name}
    screened = datetime(2019, 1, 7, tzinfo=UTC) + timedelta(days=int(rng.integers(200)))
    fate = rng.random()
    failed, untreated = fate < trial.screen_failures, fate < trial.screen_failures + trial.never_treated
    code, arm = (
        ("SCRNFAIL", "Screen Failure") if failed else ("NOTTRT", "Not Treated") if untreated else ARMS[number % 3]
    )
    first = None if untreated else screened + timedelta(days=trial.screening)
    planned = screened + timedelta(days=trial.screening + (trial.treatment if first else 0))
    end, ending = planned, "SCREEN FAILURE" if failed else "WITHDRAWAL BY SUBJECT" if untreated else "COMPLETED"
    if first is not None and rng.random() < trial.withdrawals + trial.deaths:
        end = first + timedelta(days=int(rng.integers(7, trial.treatment)))
        died = rng.random() < trial.deaths / (trial.withdrawals + trial.deaths)
        ending = "DEATH" if died else "WITHDRAWAL BY SUBJECT"
    rows["dm"].append(
        {**key, "DOMAIN": "DM", "SUBJID": f"{number + 1:04d}", "SITEID": site, "AGE": float(rng.integers(21, 85)),
         "SEX": str(rng.choice(["F", "M"])), "RACE": "WHITE", "ETHNIC": "", "ARMCD": code, "ARM": arm,
         "RFSTDTC": _date(first) if first else "", "RFENDTC": _date(end) if first else "", "RFPENDTC": _date(end),
         "DMDTC": _date(screened), "DTHFL": "Y" if ending == "DEATH" else "", "DTHDTC": _date(end) if ending == "DEATH" else ""}
    )  # fmt: skip
    rows["ds"].append(
        {**key, "DOMAIN": "DS", "DSSEQ": 1.0, "DSTERM": ending, "DSDECOD": ending, "DSCAT": "DISPOSITION EVENT",
         "DSDTC": _date(end), "DSSTDTC": _date(end)}
    )  # fmt: skip
    if first is not None:
        rows["ex"].append(
            {**key, "DOMAIN": "EX", "EXSEQ": 1.0, "EXTRT": "PLACEBO" if code == "PBO" else "STUDYDRUG", "EXDOSE": DOSES[code],
             "EXDOSU": "mg", "EXDOSFRQ": "QD", "EXROUTE": "ORAL", "EXSTDTC": _date(first), "EXENDTC": _date(end)}
        )  # fmt: skip
    _visits(trial, rng, rows, key, screened, end)
    _onsets(trial, rng, rows, key, screened if trial.onsets_from == "screening" else first, end)
    for seq in range(int(rng.poisson(2))):
        start = screened + timedelta(days=int(rng.integers(-300, 100)))
        recorded = min(max(start, screened) + timedelta(days=int(rng.integers(0, 14))), end)
        rows["cm"].append(
            {**key, "DOMAIN": "CM", "CMSEQ": float(seq + 1), "CMTRT": str(rng.choice(DRUGS)), "CMDOSE": float(rng.integers(1, 9)) * 10,
             "CMDOSU": "mg", "CMROUTE": "ORAL", "CMDOSFRQ": "QD", "CMINDC": "", "CMDTC": _date(recorded),
             "CMSTDTC": _date(start)[: int(rng.choice([4, 7, 10]))], "CMENDTC": ""}
        )  # fmt: skip


def _visits(
    trial: Trial, rng: np.random.Generator, rows: Rows, key: dict[str, str], screened: datetime, end: datetime
) -> None:
    day, visit = screened, 1
    while day <= end:
        common = {"VISITNUM": float(visit), "VISIT": f"VISIT {visit}"}
        rows["sv"].append({**key, "DOMAIN": "SV", **common, "SVSTDTC": _date(day), "SVENDTC": _date(day)})
        for test, (mean, deviation, decimals, spelled) in SIGNS.items():
            unit, factor, offset = spelled[trial.units]
            value = rng.normal(mean, deviation) * factor + offset
            places = decimals if trial.units == "us" else 1
            rows["vs"].append(
                {**key, "DOMAIN": "VS", "VSSEQ": float(len(rows["vs"]) + 1), "VSTESTCD": test, "VSTEST": test,
                 "VSORRES": f"{value:.{places}f}", "VSORRESU": unit, "VSSTAT": "", **common, "VSDTC": _date(day)}
            )  # fmt: skip
        for test, (category, mean, deviation, labelled) in LABS.items():
            unit, factor = labelled[trial.units]
            rows["lb"].append(
                {**key, "DOMAIN": "LB", "LBSEQ": float(len(rows["lb"]) + 1), "LBTESTCD": test, "LBTEST": test, "LBCAT": category,
                 "LBORRES": f"{max(0.01, rng.normal(mean, deviation)) * factor:.4g}", "LBORRESU": unit,
                 "LBORNRLO": f"{(mean - 3 * deviation) * factor:.4g}", "LBORNRHI": f"{(mean + 3 * deviation) * factor:.4g}",
                 **common, "LBDTC": f"{_date(day)}T{int(rng.integers(7, 12)):02d}:30"}
            )  # fmt: skip
        day += timedelta(days=max(3, trial.visits_apart + int(rng.integers(-2, 3))))
        visit += 1


def _onsets(
    trial: Trial, rng: np.random.Generator, rows: Rows, key: dict[str, str], begin: datetime | None, end: datetime
) -> None:
    if begin is None:
        return
    # Up to the planned end, however the subject fares; what would have begun after the end is not there.
    span = trial.treatment + (trial.screening if trial.onsets_from == "screening" else 0)
    mean = trial.rate * span
    number = int(rng.poisson(mean) if trial.counts == "poisson" else rng.integers(0, int(2 * mean) + 1))
    for seq in range(number):
        onset = begin + timedelta(days=int(rng.integers(0, span)))
        if onset > end:
            continue
        recorded = onset + timedelta(days=int(rng.integers(0, trial.recorded_late + 1)))
        term = str(rng.choice(TERMS))
        rows["ae"].append(
            {**key, "DOMAIN": "AE", "AESEQ": float(seq + 1), "AETERM": term.lower(), "AEDECOD": term, "AEBODSYS": "GENERAL",
             "AESEV": str(rng.choice(["MILD", "MODERATE", "SEVERE"], p=[0.6, 0.35, 0.05])), "AESER": "N", "AESDTH": "N",
             "AEREL": str(rng.choice(["NONE", "POSSIBLE", "PROBABLE"])), "AEOUT": "RECOVERED/RESOLVED", "AEDTC": _date(recorded),
             "AESTDTC": _date(onset), "AEENDTC": _date(onset + timedelta(days=int(rng.integers(0, 9))))}
        )  # fmt: skip


def write(folder: Path, rows: Rows, *, version: int = 5, split: bool = False, upper: bool = False) -> Path:
    """Write the rows as transport files of `version` 5 or 8. `split`: one laboratory file a category, as large studies do.
    `upper`: files in capitals."""
    parts: Rows = {}
    for name, body in rows.items():
        if split and name == "lb":
            for row in body:
                parts.setdefault("lbch" if row["LBCAT"] == "CHEMISTRY" else "lbhe", []).append(row)
        else:
            parts[name] = body
    folder.mkdir(parents=True, exist_ok=True)
    for name, body in parts.items():
        if body:
            path = folder / (f"{name.upper()}.XPT" if upper else f"{name}.xpt")
            pyreadstat.write_xport(pd.DataFrame(body), str(path), table_name=name.upper(), file_format_version=version)
    return folder
