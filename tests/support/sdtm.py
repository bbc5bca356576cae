"""A small SDTM package, written as SAS transport files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pyreadstat

STUDY = "SMALL01"
A, B = "SMALL01-1-001", "SMALL01-2-002"

DOMAINS: dict[str, list[dict[str, Any]]] = {
    "dm": [
        {"DOMAIN": "DM", "USUBJID": A, "SITEID": "1", "AGE": 70.0, "SEX": "F", "RACE": "WHITE", "ETHNIC": "", "ARMCD": "ACT",
         "ARM": "Active", "DMDTC": "2020-01-01", "RFSTDTC": "2020-01-10", "RFPENDTC": "2020-03-01"},
        {"DOMAIN": "DM", "USUBJID": B, "SITEID": "2", "AGE": None, "SEX": "M", "RACE": "", "ETHNIC": "", "ARMCD": "Scrnfail",
         "ARM": "Screen Failure", "DMDTC": "2020-01-02", "RFSTDTC": "", "RFPENDTC": "2020-01-09T10:00"},
    ],
    "ae": [
        {"DOMAIN": "AE", "USUBJID": A, "AESEQ": 1.0, "AETERM": "bad head", "AEDECOD": "HEADACHE", "AEBODSYS": "NERVOUS", "AESEV": "MILD",
         "AESER": "N", "AESDTH": "N", "AEOUT": "RECOVERED/RESOLVED", "AEDTC": "2020-02-01",
         "AESTDTC": "2020-01-20", "AEENDTC": "2020-01-25"},
        {"DOMAIN": "AE", "USUBJID": A, "AESEQ": 2.0, "AETERM": "stroke", "AEDECOD": "STROKE", "AEBODSYS": "NERVOUS", "AESEV": "SEVERE",
         "AESER": "Y", "AESDTH": "Y", "AEOUT": "FATAL", "AEDTC": "2020-02-01", "AESTDTC": "2020-01", "AEENDTC": "2020-02-20"},
        {"DOMAIN": "AE", "USUBJID": A, "AESEQ": 3.0, "AETERM": "odd", "AEDECOD": "ODD", "AEBODSYS": "", "AESEV": "TERRIBLE",
         "AESER": "N", "AESDTH": "N", "AEOUT": "", "AEDTC": "2020-02-01", "AESTDTC": "2020-01-30", "AEENDTC": ""},
        {"DOMAIN": "AE", "USUBJID": "nobody", "AESEQ": 1.0, "AETERM": "x", "AEDECOD": "X", "AEBODSYS": "", "AESEV": "MILD",
         "AESER": "N", "AESDTH": "N", "AEOUT": "", "AEDTC": "2020-02-01", "AESTDTC": "2020-01-30", "AEENDTC": ""},
    ],
    "vs": [
        {"DOMAIN": "VS", "USUBJID": A, "VSSEQ": float(n), "VSTESTCD": test, "VSORRES": value, "VSORRESU": unit, "VSSTAT": stat,
         "VISITNUM": 3.0, "VISIT": "BASELINE", "VSDTC": date, "VSTPT": point, "VSTPTNUM": number}
        for n, test, value, unit, stat, date, point, number in (
            (1, "SYSBP", "131", "mmHg", "", "2020-01-10", "LYING", 815.0),
            (2, "DIABP", "64", "mmHg", "", "2020-01-10", "LYING", 815.0),
            (3, "SYSBP", "129", "mmHg", "", "2020-01-10", "STANDING", 816.0),
            (4, "SYSBP", "127", "mmHg", "", "2020-01-10", "STANDING", 816.0),
            (5, "TEMP", "97.2", "F", "", "2020-01-10", "", None),
            (6, "WEIGHT", "120", "LB", "", "2020-01-10", "", None),
            (7, "PULSE", "", "", "NOT DONE", "2020-01-10", "", None),
            (8, "TEMP", "warm", "F", "", "2020-01-10", "", None),
            (9, "TEMP", "310", "K", "", "2020-01-10", "", None),
            (10, "WAIST", "90", "cm", "", "2020-01-10", "", None),
        )
    ],
    "lbch": [
        {"DOMAIN": "LB", "USUBJID": A, "LBSEQ": float(n), "LBTESTCD": test, "LBCAT": category, "LBORRES": value, "LBORRESU": unit,
         "LBORNRLO": low, "LBORNRHI": high, "LBSTRESC": value, "LBSTRESU": standard, "VISITNUM": 3.0, "LBDTC": date}
        for n, test, category, value, unit, low, high, standard, date in (
            (1, "ALB", "CHEMISTRY", "3.8", "g/dL", "3.3", "4.9", "g/L", "2020-01-10T14:45"),
            (2, "BILI", "CHEMISTRY", "<0.2", "mg/dL", "", "1.2", "umol/L", "2020-01-10"),
            (3, "HBA1C", "", "5.6", "", "4.3", "6.1", "%", ""),
        )
    ],
    "lbur": [
        {"DOMAIN": "LB", "USUBJID": A, "LBSEQ": 4.0, "LBTESTCD": "PH", "LBCAT": "URINALYSIS", "LBORRES": "5", "LBORRESU": "",
         "LBORNRLO": "5", "LBORNRHI": "8", "LBSTRESC": "5", "LBSTRESU": "", "VISITNUM": 3.0, "LBDTC": "2020-13-45"},
        {"DOMAIN": "LB", "USUBJID": A, "LBSEQ": 5.0, "LBTESTCD": "PH", "LBCAT": "URINALYSIS", "LBORRES": "5.5", "LBORRESU": "",
         "LBORNRLO": "5", "LBORNRHI": "8", "LBSTRESC": "5.5", "LBSTRESU": "", "VISITNUM": 3.0, "LBDTC": "2020-01-10"},
    ],
    "cm": [
        {"DOMAIN": "CM", "USUBJID": A, "CMSEQ": float(n), "CMTRT": "ASPIRIN",
         "CMINDC": "PAIN", "CMDOSE": dose, "CMDOSU": "mg",
         "CMDOSFRQ": "QD", "CMROUTE": "ORAL", "CMDTC": "2020-01-05", "CMSTDTC": start, "CMENDTC": end}
        for n, dose, start, end in (
            (1, 100.0, "2003", ""),
            (2, 100.0, "2003", "2020-01"),
            (3, None, "", "2020-02-01"),
            (4, 50.0, "2020-01", ""),
        )
    ],
    "ex": [
        {"DOMAIN": "EX", "USUBJID": A, "EXSEQ": 1.0, "EXTRT": "PLACEBO", "EXDOSE": 0.0, "EXDOSU": "mg", "EXDOSFRQ": "QD",
         "EXROUTE": "TRANSDERMAL", "EXSTDTC": "2020-01-10", "EXENDTC": "2020-01-24"},
    ],
    "ds": [
        {"DOMAIN": "DS", "USUBJID": A, "DSSEQ": 1.0, "DSTERM": "DEATH", "DSDECOD": "DEATH", "DSCAT": "DISPOSITION EVENT",
         "DSDTC": "2020-02-21", "DSSTDTC": "2020-02-20"},
        {"DOMAIN": "DS", "USUBJID": A, "DSSEQ": 2.0, "DSTERM": "LAB", "DSDECOD": "FINAL LAB VISIT", "DSCAT": "OTHER EVENT",
         "DSDTC": "2020-02-21", "DSSTDTC": "2020-02-20"},
    ],
    "mh": [
        {"DOMAIN": "MH", "USUBJID": A, "MHSEQ": 1.0, "MHTERM": "GALL STONES", "MHDECOD": "", "MHDTC": "2020-01-01", "MHSTDTC": "2012-05"},
    ],
    "sv": [{"DOMAIN": "SV", "USUBJID": A, "VISITNUM": 3.0, "SVSTDTC": "2020-01-10"}],
    "suppds": [
        {"RDOMAIN": "DS", "USUBJID": A, "IDVAR": "DSSEQ", "IDVARVAL": number, "QNAM": "WHY",
         "QLABEL": "REASON", "QVAL": "16", "QORIG": "CRF"}
        for number in ("1", "9")
    ],
    "suppae": [
        {"RDOMAIN": "AE", "USUBJID": A, "IDVAR": "AESEQ", "IDVARVAL": "1", "QNAM": "AETRTEM",
         "QLABEL": "T", "QVAL": "Y", "QORIG": "DERIVED"}
    ],
    "zz": [{"DOMAIN": "ZZ", "USUBJID": A, "ZZSEQ": 1.0}],
}  # fmt: skip


def write_package(folder: Path, domains: dict[str, list[dict[str, Any]]] | None = None) -> Path:
    """Write the package (or another) to `folder`; the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in (DOMAINS if domains is None else domains).items():
        frame = pd.DataFrame([{"STUDYID": STUDY, **row} for row in rows])
        for column in frame.columns:
            if frame[column].isna().all():
                frame[column] = frame[column].astype(float)
        pyreadstat.write_xport(frame, str(folder / f"{name}.xpt"), table_name=name.upper()[:8], file_format_version=5)
    return folder
