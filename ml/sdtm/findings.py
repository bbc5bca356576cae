"""VS → patient-vitals (one event per subject, visit, date and time point), LB → lab-results, SC → patient-context.

Which result of a row is carried, the first of these that can be read:

| result | unit | note |
|---|---|---|
| --ORRES | --ORRESU | `decimal_comma` where it is written as 36,6 |
| --ORRES | --STRESU, where --STRESC repeats --ORRES | `unit_by_standard` |
| --STRESN, else --STRESC | --STRESU | `standardised` |

Of a vital sign the result must be a number in a unit of `ml.sdtm.signs`, else the row is refused. A laboratory result that is a
text ("<0.2", "NEGATIVE") stays a text; a number in a unit that the table of units does not have is carried as reported
and noted: cleaning sets it aside, nobody guesses.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from typing import Any

from ml.contracts.analytes import analyte_of, unit_rule
from ml.sdtm.columns import number_of
from ml.sdtm.dates import iso
from ml.sdtm.rows import Refused, Study, named, sequence, visit_of
from ml.sdtm.signs import SIGNS, TESTS, WITH_UNIT
from ml.sdtm.xpt import Row

UNITLESS = frozenset({"SPGRAV", "PH", "KETONES", "UROBIL", "ANISO", "MACROCY", "MICROCY", "POIKILO", "POLYCHR", "INR"})
"""LBTESTCD of ratios and ordinal scores: their unit is 1."""
DECIMAL_COMMA = re.compile(r"^[+-]?(?:0,\d+|[1-9]\d*,(?:\d{1,2}|\d{4,}))$", re.ASCII)
"""A number whose comma can only be a decimal one: 36,6. With three digits after it (1,234) it could mean thousands."""
BLOOD = frozenset({"", "BLOOD", "SERUM", "PLASMA", "WHOLE BLOOD", "SERUM OR PLASMA", "SERUM/PLASMA", "VENOUS BLOOD"})
URINE = frozenset({"URINALYSIS", "URINE"})
ARTERY = frozenset({"ARTERIAL BLOOD"})

Reading = tuple[str, float, str | None]
"""(column, value, unit that the message says)"""


def not_done(row: Row, domain: str) -> bool:
    """Whether a finding was planned and not done."""
    return str(row.get(f"{domain}STAT") or "").upper() == "NOT DONE"


def results(row: Row, domain: str) -> Iterator[tuple[str, str, str]]:
    """(result, unit, note) of a row in the order of the table above."""
    said, unit = str(row.get(f"{domain}ORRES") or ""), str(row.get(f"{domain}ORRESU") or "")
    if domain != "SC" and DECIMAL_COMMA.match(said):
        yield said.replace(",", "."), unit, "decimal_comma"
    number, text = row.get(f"{domain}STRESN"), str(row.get(f"{domain}STRESC") or "")
    standard = str(row.get(f"{domain}STRESU") or "")
    if said:
        yield said, unit, ""
        if not unit and standard and text == said:
            yield said, standard, "unit_by_standard"
    if isinstance(number, float):
        yield f"{number:.15g}", standard, "standardised"
    elif text:
        yield text, standard, "standardised"


def vital_signs(study: Study, rows: Iterable[Row]) -> None:
    """All VS rows. Rows of one subject, visit, date and time point make one event; a sign measured twice in it, two."""
    groups: dict[tuple[str, str, str, str], list[tuple[Row, str, Reading]]] = {}
    for name, row in named(study, "VS", rows):
        try:
            study.subject(row)
            reading = _vital(study, row)
        except Refused as refused:
            study.refuse("VS", row, name, refused.rule, refused.what)
            continue
        point = sequence(row, "VSTPTNUM") or str(row.get("VSTPT") or "")
        date = str(row.get("VSDTC") or "") or sequence(row, "VSDY")
        key = (row["USUBJID"], visit_of(row), date, point)
        groups.setdefault(key, []).append((row, name, reading))
    for key, members in groups.items():
        _sets(study, key, members)
    study.at = ""


def _test(study: Study, row: Row) -> str:
    """The CDISC code of a row's vital sign. Refused where it is none."""
    code, name = str(row.get("VSTESTCD") or "").upper(), str(row.get("VSTEST") or "").upper()
    for said in (code, name, study.define.decode("VS", "VSTESTCD", code).upper() if code else ""):
        test = TESTS.get(said, said)
        if test in SIGNS or test in WITH_UNIT:
            if test != code:
                study.note("VS", "decoded", f"VSTESTCD {code or name}: {test}")
            return test
    raise Refused("unknown_test", code or name or "empty")


def _vital(study: Study, row: Row) -> Reading:
    if not_done(row, "VS"):
        raise Refused("not_done", str(row.get("VSTESTCD") or ""))
    test = _test(study, row)
    problem = Refused("no_result", test)
    for result, unit, note in results(row, "VS"):
        number = number_of(result)
        if number is None:
            problem = problem if problem.rule == "unknown_unit" else Refused("not_a_number", f"{test} {result}")
            continue
        reading = _reading(test, number, unit)
        if reading is None:
            problem = Refused("unknown_unit", f"{test} in {unit or 'no unit'}")
            continue
        if note:
            study.note("VS", note, f"{test} in {unit}")
        return reading
    raise problem


def _reading(test: str, number: float, unit: str) -> Reading | None:
    spelled = " ".join(unit.upper().split())
    if test in SIGNS:
        column, factors = SIGNS[test]
        factor = factors.get(spelled)
        return None if factor is None else (column, number if factor == 1 else round(number * factor, 6), None)
    column, units = WITH_UNIT[test]
    told = units.get(spelled)
    return None if told is None else (column, number if told[1] == 1 else round(number * told[1], 6), told[0])


def _sets(study: Study, key: tuple[str, str, str, str], members: list[tuple[Row, str, Reading]]) -> None:
    layers: list[dict[str, tuple[str, float, str | None]]] = []
    row, study.at, _ = members[0]
    try:
        start, known, precision = study.measured("VS", row)
    except Refused as refused:
        for one, name, _ in members:
            study.refuse("VS", one, name, refused.rule, refused.what)
        return
    for _, name, (column, value, unit) in members:
        layer = next((layer for layer in layers if column not in layer), None)
        if layer is None:
            layer = {}
            layers.append(layer)
        layer[column] = (name, value, unit)
    subject = study.subject(row)
    for index, layer in enumerate(layers):
        signs: dict[str, Any] = {}
        for column, (_, value, unit) in layer.items():
            signs[column] = value
            if unit is not None:
                signs[f"{column}_unit"] = unit
        record = _short(":".join(["VS", subject.usubjid, *key[1:], *([str(index + 1)] if index else [])]))
        source = str(row.get("VSTPT") or row.get("VISIT") or "VISIT")[:64]
        names = [name for name, _, _ in layer.values()]
        study.add(
            "patient-vitals", subject, known, names, timestamp=iso(start), **signs, source=source, date_precision=precision,
            record_id=record,
        )  # fmt: skip


def _short(record: str) -> str:
    """A record's name within the contract's 120 characters; a longer one ends in a digest of the whole."""
    if len(record) <= 120:
        return record
    return f"{record[:99]}~{hashlib.sha256(record.encode()).hexdigest()[:20]}"


def laboratory(study: Study, row: Row, name: str) -> None:
    """An LB row: as reported (LBORRES, LBORRESU, LBORNRLO-HI), else as standardised; known at the end of the day the
    specimen was taken."""
    subject = study.subject(row)
    code = str(row.get("LBTESTCD") or row.get("LBTEST") or "")
    if not_done(row, "LB"):
        raise Refused("not_done", code)
    if not code:
        raise Refused("no_name")
    found = list(results(row, "LB"))
    if not found:
        raise Refused("no_result", code)
    start, known, precision = study.measured("LB", row)
    test = _laboratory_test(study, row, code)
    analyte = analyte_of(test)
    result, unit, note = next((one for one in found if _fits(analyte, *one[:2])), found[0])
    number = number_of(result)
    if number is not None and not unit and code.upper() in UNITLESS:
        unit = "1"
    if note:
        study.note("LB", note, test)
    if analyte is None:
        study.note("LB", "test_as_reported", test)
    elif number is not None and unit_rule(analyte, unit or None) is None:
        study.note("LB", "unit_unknown", f"{test} in {unit or 'no unit'}")
    study.add(
        "lab-results", subject, known, [name], timestamp=iso(start), test_name=test, value=number, unit=unit or None,
        reference_range=_range(row, standard=note == "standardised"), lab_id=str(row.get("LBNAM") or "LB")[:64],
        value_text=result if number is None else None, date_precision=precision, record_id=name,
    )  # fmt: skip


def _fits(analyte: Any, result: str, unit: str) -> bool:
    """Whether a result can be carried as it is: a text, a number of a test that is not in the table in any unit, or one
    in a unit that the table has."""
    if number_of(result) is None:
        return True
    return bool(unit) if analyte is None else unit_rule(analyte, unit or None) is not None


def _laboratory_test(study: Study, row: Row, code: str) -> str:
    """The test's name: its code, or its name or codelist's word where only that is in the table of analytes. A specimen
    other than blood stands before it: a glucose of urine must never be read as one of blood."""
    specimen = str(row.get("LBSPEC") or "").upper()
    if specimen in URINE or (not specimen and str(row.get("LBCAT") or "").upper() in URINE):
        return f"URINE {code}"
    if specimen in ARTERY:
        return "PH_ARTERIAL" if code.upper() == "PH" else code
    if specimen not in BLOOD:
        return f"{specimen} {code}"
    if analyte_of(code) is None:
        for said in (str(row.get("LBTEST") or ""), study.define.decode("LB", "LBTESTCD", code)):
            if said and analyte_of(said) is not None:
                study.note("LB", "decoded", f"LBTESTCD {code}: {said}")
                return said
    return code


def _range(row: Row, *, standard: bool) -> str | None:
    names = ("LBSTNRLO", "LBSTNRHI") if standard else ("LBORNRLO", "LBORNRHI")
    low, high = (f"{value:.15g}" if isinstance(value := row.get(name), float) else str(value or "") for name in names)
    if low and high:
        return f"{low}-{high}"[:60]
    return f">={low}"[:60] if low else f"<={high}"[:60] if high else None


def characteristic(study: Study, row: Row, name: str) -> None:
    """An SC row: what else is known of a subject, as its test and result, known when collected."""
    subject = study.subject(row)
    said = str(row.get("SCTEST") or row.get("SCTESTCD") or "")
    if not_done(row, "SC"):
        raise Refused("not_done", said)
    if not said:
        raise Refused("no_name")
    found = next(results(row, "SC"), None)
    if found is None:
        raise Refused("no_result", said)
    known = study.recorded("SC", row, "SCDTC", None)
    result, unit, _ = found
    study.add(
        "patient-context", subject, known, [name], kind="characteristic", term=f"{said}: {result} {unit}".strip(),
        timestamp=iso(known), date_precision="unknown", record_id=name,
    )  # fmt: skip
