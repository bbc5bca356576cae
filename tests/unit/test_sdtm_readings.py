"""What can mean one thing only is read, and said: in which rows, why, and what would mend it."""

from __future__ import annotations

from pathlib import Path

import pytest

from ml.contracts.analytes import ANALYTE_BY_NAME, unit_rule
from ml.sdtm import remarks
from ml.sdtm.dates import SAID_UNKNOWN, NotADate
from ml.sdtm.dates import read as read_date
from ml.sdtm.rows import Note
from ml.sdtm.rules import WANTED, WITHOUT
from tests.support.random_trial import rows_of
from tests.support.sdtm_checks import SMALL, noted, read, refused


def test_a_date_said_to_be_unknown_is_none() -> None:
    assert {read_date(text) for word in SAID_UNKNOWN for text in (word, f" {word.lower()} ")} == {(None, "")}
    with pytest.raises(NotADate):
        read_date("soon")


def test_an_event_of_unknown_onset_counts_from_its_recording(tmp_path: Path) -> None:
    rows = rows_of(SMALL)
    rows["ae"] = rows["ae"][:2]
    rows["ae"][0]["AESTDTC"], rows["ae"][1]["AESTDTC"] = "UNK", "soon"
    rows["ae"][0]["AEENDTC"] = rows["ae"][1]["AEENDTC"] = ""
    package = read(tmp_path, rows)
    assert refused(package) == {("AE", "not_a_date"): 1}
    (event,) = [event for event in package.events if event.topic == "adverse-events"]
    assert event.value["date_precision"] == "unknown"
    assert event.value["event_timestamp"][:10] == rows["ae"][0]["AEDTC"]
    assert noted(package)["AE", "date_said_unknown"] == 1


@pytest.mark.parametrize(
    ("said", "grade"),
    [("Grade 4", "grade_4"), ("CTCAE grade 2", "grade_2"), ("Grade 6", None), ("2", None), ("SCHWER", None)],
)
def test_a_grade_in_place_of_a_severity(tmp_path: Path, said: str, grade: str | None) -> None:
    rows = rows_of(SMALL)
    rows["ae"] = [{**rows["ae"][0], "AESEV": said, "AESLIFE": "N", "AESDTH": "N", "AEOUT": "RECOVERED"}]
    package = read(tmp_path, rows)
    found = {event.value["severity"] for event in package.events if event.topic == "adverse-events"}
    assert found == ({grade} if grade else set())
    assert refused(package)["AE", "unknown_severity"] == (grade is None)
    assert noted(package)["AE", "severity_by_grade"] == (grade is not None)


@pytest.mark.parametrize(
    ("said", "value"), [("36,6", 36.6), ("0,125", 0.125), ("-1,5", -1.5), ("1,2345", 1.2345), ("1,234", None)]
)
def test_a_comma_is_decimal_only_where_it_can_mean_nothing_else(tmp_path: Path, said: str, value: float | None) -> None:
    rows = rows_of(SMALL)
    first = {**rows["lb"][0], "LBORRES": said, "LBSTRESC": "", "LBSTRESN": None}
    rows["lb"] = [first]
    package = read(tmp_path, rows)
    (event,) = [event for event in package.events if event.topic == "lab-results"]
    assert event.value["value"] == value
    assert event.value.get("value_text") == (said if value is None else None)
    assert noted(package)["LB", "decimal_comma"] == (value is not None)


def test_an_end_before_its_beginning_is_said(tmp_path: Path) -> None:
    rows = rows_of(SMALL)
    rows["ae"] = [{**rows["ae"][0], "AEENDTC": "2001-01-01"}]
    rows["cm"] = [{**rows["cm"][0], "CMSTDTC": "2019-02", "CMENDTC": "2019-01"}]
    package = read(tmp_path, rows)
    assert (noted(package)["AE", "ends_before_it_begins"], noted(package)["CM", "ends_before_it_begins"]) == (1, 1)
    for event in package.events:
        if event.topic == "adverse-events" and (end := event.value.get("end_timestamp")):
            assert end == event.value["event_timestamp"]


@pytest.mark.parametrize(
    ("analyte", "unit", "factor"),
    [("wbc", "G/L", 1.0), ("rbc", "T/L", 1.0), ("hemoglobin", "G/L", 0.1), ("ast", "u/l", 1.0)],
)
def test_units_as_laboratories_outside_america_write_them(analyte: str, unit: str, factor: float) -> None:
    rule = unit_rule(ANALYTE_BY_NAME[analyte], unit)
    assert rule is not None
    assert rule.factor == factor


def test_a_remark_names_rows_and_says_what_follows(tmp_path: Path) -> None:
    rows = rows_of(SMALL)
    for row in rows["ae"]:
        del row["AEDTC"]
    for row in rows["lb"][:5]:
        row["LBDTC"] = "UNK"
    said = remarks(read(tmp_path, rows).notes)
    (column,) = [one for one in said if one.startswith("AE")]
    assert "AEDTC (an event counts as known on the day on which it began)" in column
    names = [f"LB:{row['USUBJID']}:{row['LBSEQ']:g}" for row in rows["lb"][:3]]
    assert any(one.startswith(f"LB (5 times, first in {', '.join(names)}) has a text for a date") for one in said), said


def test_a_remark_ends_with_what_would_mend_it_however_much_it_concerns() -> None:
    notes = [
        Note("CM", "date_left_out", f"CMSTDTC: '2021-13-{day:02d}' is no date of the calendar.", 1) for day in range(40)
    ]
    (said,) = remarks(notes)
    assert len(said) < 400
    assert said.endswith("; and 37 more. Correct the date.")


def test_every_column_that_is_read_has_a_consequence() -> None:
    assert {choice[0] for choices in WANTED.values() for choice in choices} == set(WITHOUT)
