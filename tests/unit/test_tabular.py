"""Tables of strangers: every value is carried or refused under a rule, whatever the separator, the clock and the unit."""

from __future__ import annotations

import contextlib
import random
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ml.contracts import validate
from ml.tabular import RULES, Mapping, NotATable, TablePackage, guess, open_table, preview, read_table
from ml.tabular.times import BadTime, moment

WIDE: dict[str, Any] = {
    "source": "Ward 7",
    "patient": "id",
    "time": "at",
    "values": [{"column": "hr", "to": "heart_rate"}, {"column": "alt", "to": "lab:ALT", "unit": "U/L"}],
}
LONG: dict[str, Any] = {
    "source": "Lab",
    "patient": "id",
    "time": "at",
    "layout": "long",
    "test": "test",
    "value": "value",
    "unit": "unit",
}


def table(tmp_path: Path, text: str | bytes, mapping: dict[str, Any] = WIDE, **options: Any) -> TablePackage:
    path = tmp_path / "table.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_table(path, Mapping.from_json(mapping), **{"trial_id": "T1", **options})


def adds_up(package: TablePackage) -> None:
    for one in package.accounts:
        assert one.read == one.carried + one.refused
    for event in package.events:
        assert not hasattr(validate(event.topic, orjson.dumps(event.value)), "reasons")


def test_a_mapping_is_json_and_comes_back() -> None:
    for body in (WIDE, LONG | {"tests": {"NBP": "blood_pressure_systolic"}, "replaces": True}):
        made = Mapping.from_json(body)
        assert Mapping.from_json(made.to_json()) == made


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"source": "a/b"}, "no usable name"),
        ({"patient": ""}, "names the patient"),
        ({"time": ""}, "holds the time"),
        ({"zone": "Europe/Nowhere"}, "no time zone"),
        ({"time_format": ""}, "writes times"),
        ({"decimal": ";"}, "decimal sign"),
        ({"values": []}, "No column is mapped"),
        ({"layout": "deep"}, "no layout"),
        ({"version": 9}, "of version 9"),
        ({"values": [{"column": "hr", "to": "pulse"}]}, "no vital sign"),
        ({"values": [{"column": "hr", "to": "heart_rate", "unit": "kPa"}]}, "unknown unit"),
        ({"values": [{"column": "a", "to": "heart_rate"}, {"column": "b", "to": "heart_rate"}]}, "same sign"),
        ({"values": [{"column": "a"}]}, "cannot be read"),
        ({"values": 7}, "cannot be read"),
        ({"known_after_hours": "x"}, "cannot be read"),
        ({"known_after_hours": -1}, "hours"),
        ({"colour": "red"}, "no entry"),
        ({"patient": "\x00"}, "cannot be read"),
    ],
)
def test_a_wrong_mapping_is_a_sentence(change: dict[str, Any], words: str) -> None:
    with pytest.raises(NotATable, match=words) as refused:
        Mapping.from_json(WIDE | change)
    assert refused.value.cure


def test_every_rule_is_reached_and_every_value_accounted_for(tmp_path: Path) -> None:
    rows = """id,at,hr,alt,temp,acv,tz,trial
P1,2026-03-01T10:00,80,31,36.6,A,,T1
P1,2026-03-01T10:00,81,,,,,T1
,2026-03-01T10:00,80,,,,,
a b,2026-03-01T10:00,80,,,,,
P2,,80,,,,,
P2,soon,80,,,,,
P2,2026-03-29T02:30,80,,,,Europe/Madrid,
P2,2026-03-01T10:00,80,,,,Mars/Base,
P2,2030-03-01T10:00,80,,,,,
P2,2026-03-01T10:00,high,,,,,
P2,2026-03-02T10:00,,,,Z,,
P2,2026-03-03T10:00,,,,,,
P2,2026-03-04T10:00,80
P2,2026-03-05T10:00,80,,,,,T2
P2,2026-03-06T10:00,99999999,,,,,
"""
    mapping = WIDE | {
        "trial": "trial",
        "zone_column": "tz",
        "values": [*WIDE["values"], {"column": "temp", "to": "temperature"}, {"column": "acv", "to": "consciousness"}],
    }
    package = table(tmp_path, rows, mapping, now=1_790_000_000)
    adds_up(package)
    rules = {refusal.rule for refusal in package.refusals}
    assert rules == set(RULES) - {"bad_site", "no_test", "unknown_unit"}
    assert all(refusal.cure and refusal.why for refusal in package.refusals)
    assert {one.domain: one.carried for one in package.accounts} == {"LABS": 1, "ROWS": 0, "VITALS": 3}
    (first,) = [event for event in package.events if event.topic == "patient-vitals"]
    assert first.value["consciousness"] == "A"
    long = table(tmp_path, "id,at,test,value,unit\nP1,2026-01-01T00:00,,5,\nP1,2026-01-01T00:00,temp,310,R\n", LONG)
    adds_up(long)
    assert {refusal.rule for refusal in long.refusals} == {"no_test", "unknown_unit"}
    site = table(tmp_path, "id,at,hr,alt\nP1,2026-01-01T00:00,5,\n", WIDE | {"site_value": "a b"})
    assert [refusal.rule for refusal in site.refusals] == ["bad_site"]


def test_separators_encodings_and_parquet_say_the_same(tmp_path: Path) -> None:
    text = "id,at,hr,alt\nP1,2026-03-01 10:00,80,31.5\nP2,2026-03-01 11:00,70,\n"
    expected = table(tmp_path, text).events
    assert len(expected) == 5, "two enrolments, two sets of signs, one result"
    for other in (
        text.replace(",", ";").encode("utf-8-sig"),
        text.replace(",", "\t").encode("utf-16"),
        text.replace(",", "|").replace("\n", "\r\n").encode(),
    ):
        assert table(tmp_path, other).events == expected
    import datetime as dt

    path = tmp_path / "table.parquet"
    at = [dt.datetime(2026, 3, 1, 10), dt.datetime(2026, 3, 1, 11)]  # noqa: DTZ001 - a zoneless column
    pq.write_table(pa.table({"id": ["P1", "P2"], "at": at, "hr": [80, 70], "alt": [31.5, None]}), path)
    assert read_table(path, Mapping.from_json(WIDE), trial_id="T1").events == expected
    latin = table(
        tmp_path,
        "id,at,hr,Größe\nP1,2026-03-01,80,180\n".encode("cp1252"),
        WIDE | {"values": [{"column": "Größe", "to": "height"}]},
    )
    assert latin.events[-1].value["height"] == 180


def test_units_are_converted_or_named_on_the_wire(tmp_path: Path) -> None:
    for to, unit, text, expected in (
        ("blood_pressure_systolic", "kPa", "16", {"blood_pressure_systolic": 120.0099}),
        ("temperature", "°F", "98.6", {"temperature": 98.6, "temperature_unit": "[degF]"}),
        ("temperature", "K", "310.15", {"temperature": 37.0, "temperature_unit": "Cel"}),
        ("spo2", "fraction", "0.97", {"spo2": 97.0}),
        ("height", "m", "1.81", {"height": 181.0, "height_unit": "cm"}),
        ("weight", "lbs", "150", {"weight": 150.0, "weight_unit": "[lb_av]"}),
    ):
        mapping = WIDE | {"values": [{"column": "hr", "to": to, "unit": unit}]}
        (event,) = [one for one in table(tmp_path, f"id,at,hr\nP1,2026-03-01,{text}\n", mapping).events if one.rows]
        assert {name: event.value[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("text", "form", "zone", "expected"),
    [
        ("2026-10-25T02:30", "iso", "Europe/Madrid", "2026-10-25T00:30:00"),
        ("2026-10-25T02:30+01:00", "iso", "Europe/Madrid", "2026-10-25T01:30:00"),
        ("03/28/2026 2:05 PM", "mdy", "America/New_York", "2026-03-28T18:05:00"),
        ("28.03.2026 14:05:09", "dmy", "UTC", "2026-03-28T14:05:09"),
        ("28/03/2026", "dmy", "Europe/Madrid", "2026-03-28T12:00:00"),
        ("12/12/2026 12:00 AM", "mdy", "UTC", "2026-12-12T00:00:00"),
        ("1774706709", "epoch_s", "UTC", "2026-03-28T14:05:09"),
        ("1774706709000", "epoch_ms", "UTC", "2026-03-28T14:05:09"),
    ],
)
def test_times(text: str, form: str, zone: str, expected: str) -> None:
    from datetime import UTC, datetime

    found = moment(text, form, zone)
    assert datetime.fromtimestamp(found.at, UTC).replace(tzinfo=None).isoformat() == expected
    assert found.known >= found.at
    assert found.day_only == (":" not in text and "epoch" not in form)


@pytest.mark.parametrize(
    ("text", "form", "rule"),
    [
        ("2026-02-30", "iso", "not_a_time"),
        ("28/03/26", "dmy", "not_a_time"),
        ("2026-03-29T02:30", "iso", "no_such_time"),
        ("1e400", "epoch_s", "not_a_time"),
        ("nan", "epoch_s", "not_a_time"),
        ("9999-01-01", "iso", "not_a_time"),
        ("13:00 PM", "mdy", "not_a_time"),
        ("01/01/2026 13:00 PM", "mdy", "not_a_time"),
    ],
)
def test_times_that_are_none(text: str, form: str, rule: str) -> None:
    with pytest.raises(BadTime) as refused:
        moment(text, form, "Europe/Madrid")
    assert refused.value.rule == rule


def test_when_a_value_was_known(tmp_path: Path) -> None:
    rows = "id,at,hr,alt,rec\nP1,2026-03-01T10:00,80,,2026-03-05T09:00\nP2,2026-03-01T10:00,80,,\n"
    rows += "P3,2026-03-01,80,,\nP4,2026-03-09,80,,2026-03-01\n"
    package = table(tmp_path, rows, WIDE | {"recorded": "rec", "known_after_hours": 2})
    known = {event.patient_id: event.value["recorded_at"] for event in package.events if event.rows}
    assert known["P1"] == "2026-03-05T09:00:00Z"
    assert known["P2"] == "2026-03-01T12:00:00Z"
    assert known["P3"] == "2026-03-02T01:59:59Z", "a date alone is known when its day is over"
    assert known["P4"] == "2026-03-09T12:00:00Z", "nothing is known before it happened"


def test_records_keep_their_names_and_patients_are_enrolled_once(tmp_path: Path) -> None:
    rows = "id,at,hr,alt,no\nP1,2026-03-01T10:00,80,31,7\n"
    first = table(tmp_path, rows)
    later = table(tmp_path, rows.replace("80", "90"), known_patients=frozenset({"P1"}))
    assert [event.value["record_id"] for event in later.events] == [
        event.value["record_id"] for event in first.events if event.rows
    ]
    assert next(event.topic for event in first.events) == "patient-context"
    numbered = table(tmp_path, rows, WIDE | {"row_id": "no"})
    assert numbered.events[-1].value["record_id"].split(":")[2] == "7"
    long_name = table(tmp_path, rows.replace(",7\n", f",{'9' * 300}\n"), WIDE | {"row_id": "no"})
    assert all(len(event.value["record_id"]) <= 120 for event in long_name.events)
    adds_up(long_name)


def test_a_guess_and_its_preview(tmp_path: Path) -> None:
    path = tmp_path / "labs.csv"
    path.write_text(
        "USUBJID,LBDTC,LBTESTCD,LBORRES,LBORRESU,LBORNRLO,LBORNRHI,SITEID\nS-1,2020-01-10T14:45,ALB,3.8,g/dL,3.3,4.9,1\n"
    )
    body = guess(path) | {"source": "Central lab"}
    assert (body["layout"], body["test"], body["value"], body["site"], body["time_format"]) == (
        "long",
        "LBTESTCD",
        "LBORRES",
        "SITEID",
        "iso",
    )
    (row,) = preview(path, Mapping.from_json(body), trial_id="T1")
    assert row.becomes == ("S-1 at 2020-01-10T14:45:00Z: ALB 3.8 g/dL",)
    path.write_text("Patient,Date,Time,HR (bpm),temp_f,Weight (lb)\nP1,03/04/2026,10:00,80,98.6,150\n")
    body = guess(path)
    assert (body["time"], body["time_of_day"]) == ("Date", "Time")
    assert body["time_format"] == "", "is 03/04 in March or April? A person has to say"
    assert {one["column"]: (one["to"], one["unit"]) for one in body["values"]} == {
        "HR (bpm)": ("heart_rate", "/min"),
        "temp_f": ("temperature", "°F"),
        "Weight (lb)": ("weight", "lb"),
    }


def test_files_that_are_no_tables(tmp_path: Path) -> None:
    path = tmp_path / "x"
    for data, words in (
        (b"", "empty"),
        (b"PAR1xx", "damaged"),
        (b"a\nb\n", "names 1 column"),
        (b"a,a\n", "Two columns"),
        (b"a,,b\n", "no usable name"),
        (b"\x00\x01" * 99, "neither text nor Parquet"),
        (b"\xff\xfe" + b"\x00\xd8" * 9, "."),
    ):
        path.write_bytes(data)
        with pytest.raises(NotATable, match=words):
            open_table(path)
    path.write_text("a,b\n1,2\n")
    with pytest.raises(NotATable, match="no column"):
        read_table(path, Mapping.from_json(WIDE), trial_id="T1")


def test_random_bytes_never_raise_anything_else(tmp_path: Path) -> None:
    rng = random.Random(5)
    for _ in range(300):
        cells = [
            "P1",
            "2026-03-01T10:00",
            "80",
            "\x00",
            "\ud7ff",
            '"',
            "'",
            ",",
            "\n",
            "1e999",
            "-",
            "=1",
            "é",
            "\r",
            ";",
            "9" * 30,
        ]
        text = "id,at,hr,alt\n" + "".join(rng.choice(cells) + rng.choice([",", "", "\n"]) for _ in range(60))
        with contextlib.suppress(NotATable):
            adds_up(table(tmp_path, text))
