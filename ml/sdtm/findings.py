"""VS → patient-vitals (one event per subject, visit, date and time point) and LB → lab-results."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ml.sdtm.dates import Moment, iso, start_of
from ml.sdtm.rows import Refused, Study, Subject, date, name_of, sequence
from ml.sdtm.xpt import Row

VITALS: dict[tuple[str, str], tuple[str, str | None]] = {
    ("SYSBP", "MMHG"): ("blood_pressure_systolic", None),
    ("DIABP", "MMHG"): ("blood_pressure_diastolic", None),
    ("PULSE", "BEATS/MIN"): ("heart_rate", None),
    ("HR", "BEATS/MIN"): ("heart_rate", None),
    ("RESP", "BREATHS/MIN"): ("respiratory_rate", None),
    ("OXYSAT", "%"): ("spo2", None),
    ("TEMP", "C"): ("temperature", "Cel"),
    ("TEMP", "F"): ("temperature", "[degF]"),
    ("WEIGHT", "KG"): ("weight", "kg"),
    ("WEIGHT", "LB"): ("weight", "[lb_av]"),
    ("HEIGHT", "CM"): ("height", "cm"),
    ("HEIGHT", "IN"): ("height", "[in_i]"),
}
"""(VSTESTCD, VSORRESU in upper case) → column and, where the contract has one, its unit column's value."""
VITAL_TESTS = frozenset(test for test, _ in VITALS)

UNITLESS = frozenset({"SPGRAV", "PH", "KETONES", "UROBIL", "ANISO", "MACROCY", "MICROCY", "POIKILO", "POLYCHR", "INR"})
"""LBTESTCD of ratios and ordinal scores: their unit is 1."""
URINE = frozenset({"URINALYSIS", "URINE"})


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if number == number and abs(number) != float("inf") else None


def vital_signs(study: Study, rows: Iterable[Row]) -> None:
    """All VS rows. Rows of one subject, visit, date and time point make one event; a sign measured twice in it, two."""
    groups: dict[tuple[str, str, str, str], list[tuple[Row, str, str, float, str | None]]] = {}
    seen: set[str] = set()
    for row in rows:
        name = name_of("VS", row)
        try:
            if name in seen:
                raise Refused("twice")
            seen.add(name)
            study.subject(row)
            column, value, unit = _vital(row)
            if date(row, "VSDTC") is None:
                study.recorded(row)
        except Refused as refused:
            study.refuse("VS", row, name, refused.rule, refused.what)
            continue
        point = sequence(row, "VSTPTNUM") or str(row.get("VSTPT") or "")
        key = (row["USUBJID"], sequence(row, "VISITNUM"), str(row.get("VSDTC") or ""), point)
        groups.setdefault(key, []).append((row, name, column, value, unit))
    for key, members in groups.items():
        _sets(study, key, members)


def _vital(row: Row) -> tuple[str, float, str | None]:
    if str(row.get("VSSTAT") or "").upper() == "NOT DONE":
        raise Refused("not_done", str(row.get("VSTESTCD")))
    test, result, unit = str(row.get("VSTESTCD") or ""), str(row.get("VSORRES") or ""), str(row.get("VSORRESU") or "")
    if test not in VITAL_TESTS:
        raise Refused("unknown_test", test)
    if not result:
        raise Refused("no_result", test)
    found = VITALS.get((test, unit.upper()))
    if found is None:
        raise Refused("unknown_unit", f"{test} in {unit or 'no unit'}")
    number = _number(result)
    if number is None:
        raise Refused("not_a_number", f"{test} {result}")
    return found[0], number, found[1]


def _sets(study: Study, key: tuple[str, str, str, str], members: list[tuple[Row, str, str, float, str | None]]) -> None:
    layers: list[dict[str, tuple[str, float, str | None]]] = []
    for _, name, column, value, unit in members:
        layer = next((layer for layer in layers if column not in layer), None)
        if layer is None:
            layer = {}
            layers.append(layer)
        layer[column] = (name, value, unit)
    row = members[0][0]
    subject = study.subject(row)
    known = study.recorded(row, "VSDTC")
    start, precision = start_of(date(row, "VSDTC"), known)
    for index, layer in enumerate(layers):
        signs: dict[str, Any] = {}
        for column, (_, value, unit) in layer.items():
            signs[column] = value
            if unit is not None:
                signs[f"{column}_unit"] = unit
        record = ":".join(["VS", subject.usubjid, *key[1:], *([str(index + 1)] if index else [])])
        source = str(row.get("VSTPT") or row.get("VISIT") or "VISIT")[:64]
        names = [name for name, _, _ in layer.values()]
        study.add(
            "patient-vitals", subject, known, names, timestamp=iso(start), **signs, source=source, date_precision=precision,
            record_id=record,
        )  # fmt: skip


def laboratory(study: Study, row: Row, name: str) -> None:
    """An LB row: as reported (LBORRES, LBORRESU, LBORNRLO-HI); known at the end of the day the specimen was taken."""
    subject: Subject = study.subject(row)
    test, result = str(row.get("LBTESTCD") or ""), str(row.get("LBORRES") or "")
    if str(row.get("LBSTAT") or "").upper() == "NOT DONE":
        raise Refused("not_done", test)
    if not test:
        raise Refused("unknown_test", "empty")
    if not result:
        raise Refused("no_result", test)
    moment: Moment | None = date(row, "LBDTC")
    known = study.recorded(row, "LBDTC")
    start, precision = start_of(moment, known)
    number = _number(result)
    # A specimen of urine under the blood's code (PH, GLUC) must never be read as one of blood.
    urine = str(row.get("LBSPEC") or row.get("LBCAT") or "").upper() in URINE
    study.add(
        "lab-results", subject, known, [name], timestamp=iso(start), test_name=f"URINE {test}" if urine else test, value=number,
        unit=_unit(row, test, result, number), reference_range=_range(row), lab_id=str(row.get("LBNAM") or "LB")[:64],
        value_text=result if number is None else None, date_precision=precision, record_id=name,
    )  # fmt: skip


def _unit(row: Row, test: str, result: str, number: float | None) -> str | None:
    unit = str(row.get("LBORRESU") or "")
    if unit or number is None:
        return unit or None
    if test in UNITLESS:
        return "1"
    # Where the standardised result repeats the original one, its unit is the original's too.
    standard = str(row.get("LBSTRESU") or "")
    return standard if standard and str(row.get("LBSTRESC") or "") == result else None


def _range(row: Row) -> str | None:
    low, high = str(row.get("LBORNRLO") or ""), str(row.get("LBORNRHI") or "")
    if low and high:
        return f"{low}-{high}"
    return f">={low}" if low else f"<={high}" if high else None
