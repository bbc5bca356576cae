"""SDTM packages: every row carried by an event or refused under a named rule, nothing known before it was recorded."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import orjson
import pytest

from ml.contracts import Accepted, validate
from ml.sdtm import RULES, Event, NotAPackage, Package, read_package
from ml.sdtm.dates import NotADate, end_of, iso, parse, start_of
from tests.support.sdtm import DOMAINS, A, B, write_package


def seconds(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Package:
    return read_package(write_package(tmp_path_factory.mktemp("sdtm")))


@pytest.fixture(scope="module")
def pilot(pilot_dir: Path) -> Package:
    return read_package(pilot_dir)


def events_of(package: Package, row: str) -> list[Event]:
    return [event for event in package.events if row in event.rows]


@pytest.mark.parametrize(
    ("text", "start", "last", "precision"),
    [
        ("2013-12-26T14:45", "2013-12-26T14:45:00", "2013-12-26T14:45:00", "time"),
        ("2013-12-26", "2013-12-26T12:00:00", "2013-12-26T23:59:59", "day"),
        ("2012-02", "2012-02-01T12:00:00", "2012-02-29T23:59:59", "month"),
        ("2003", "2003-01-01T12:00:00", "2003-12-31T23:59:59", "year"),
        ("2003---15", "2003-01-01T12:00:00", "2003-12-31T23:59:59", "year"),
        ("1956", "1956-01-01T12:00:00", "1956-12-31T23:59:59", "year"),
    ],
)
def test_dates_of_any_precision(text: str, start: str, last: str, precision: str) -> None:
    moment = parse(text)
    assert moment is not None
    assert (moment.start, moment.last, moment.precision) == (seconds(start), seconds(last), precision)


@pytest.mark.parametrize(
    "text",
    [
        "2013-02-30",
        "2013-13",
        "02/03/2013",
        "soon",
        "2013-12-26T25:00",
        "0000-01-01",
        "9999-12-31",
        "--12-15",
        "2013-00-10",
        "2013-12-26T10:00+25:00",
        "2013-02-30/2013-03-01",
    ],
)
def test_what_is_no_date_is_said_to_be_none(text: str) -> None:
    with pytest.raises(NotADate):
        parse(text)


def test_partial_dates_become_moments_by_rule() -> None:
    recorded = seconds("2014-03-10T23:59:59")
    dose = parse("2014-03-05")
    assert parse("") is None
    assert start_of(None, recorded) == (seconds("2014-03-10T12:00:00"), "unknown")
    assert start_of(parse("2014-03"), recorded) == (seconds("2014-03-01T12:00:00"), "month")
    assert start_of(parse("2014-03"), recorded, first_dose=dose) == (seconds("2014-03-05T12:00:00"), "month")
    assert start_of(parse("2013"), recorded, first_dose=dose) == (seconds("2013-01-01T12:00:00"), "year")
    assert start_of(parse("2014-07"), recorded)[0] == recorded
    end = parse("2014-03")
    assert end is not None
    assert end_of(end, recorded) == recorded
    assert end_of(end, seconds("2014-05-01T23:59:59")) == seconds("2014-03-31T23:59:59")


def test_rows_carried_and_refused_add_up_in_every_domain(small: Package) -> None:
    for account in small.accounts:
        assert account.read == account.carried + account.refused, account
    assert {a.domain: a.read for a in small.accounts}["LB"] == 5
    assert (small.trial_id, small.subjects, small.sites, small.study_treatments) == ("SMALL01", 2, 2, ("PLACEBO",))
    named = Counter({(r.domain, r.rule): r.count for r in small.refusals})
    assert named == {
        ("AE", "unknown_severity"): 1, ("AE", "unknown_subject"): 1, ("VS", "not_done"): 1, ("VS", "not_a_number"): 1,
        ("VS", "unknown_unit"): 1, ("VS", "unknown_test"): 1, ("DS", "not_a_disposition"): 1,
        ("SUPPDS", "no_parent"): 1, ("SUPPAE", "derived"): 1, ("ZZ", "unknown_domain"): 1,
    }  # fmt: skip
    for refusal in small.refusals:
        assert refusal.rule in RULES
        assert refusal.row in refusal.message
        assert refusal.cure in refusal.message


def test_every_event_keeps_its_contract_names_its_rows_and_is_not_from_the_future(small: Package) -> None:
    records = Counter((e.topic, e.value["record_id"], e.known_at) for e in small.events)
    assert max(records.values()) == 1
    for event in small.events:
        assert isinstance(validate(event.topic, orjson.dumps(event.value)), Accepted)
        assert event.value["source_rows"] == list(event.rows)
        assert event.rows or event.value["record_id"] == f"DS:{B}:end", "only an end by rule has no row"
        assert event.value["recorded_at"] == iso(event.known_at)
        assert (
            event.value[("event_" if event.topic == "adverse-events" else "") + "timestamp"]
            <= event.value["recorded_at"]
        )


def test_an_adverse_event_is_known_when_recorded_and_its_later_end_later(small: Package) -> None:
    (headache,) = events_of(small, f"AE:{A}:1")
    assert headache.value["recorded_at"] == "2020-02-01T23:59:59Z"
    assert headache.value["event_timestamp"] == "2020-01-20T12:00:00Z"
    assert headache.value["end_timestamp"] == "2020-01-25T23:59:59Z"
    assert headache.value["severity"] == "grade_1"
    first, last = events_of(small, f"AE:{A}:2")
    assert first.value["event_timestamp"] == "2020-01-10T12:00:00Z"  # first dose lies in that month
    assert (first.value["severity"], first.value.get("outcome"), first.value.get("end_timestamp")) == (
        "grade_3",
        None,
        None,
    )
    assert (last.value["severity"], last.value["outcome"]) == ("grade_5", "FATAL")
    assert last.value["recorded_at"] == "2020-02-20T23:59:59Z"
    assert first.value["record_id"] == last.value["record_id"]


def test_vital_signs_of_one_time_point_are_one_event_and_a_sign_twice_makes_two(small: Package) -> None:
    vitals = [e for e in small.events if e.topic == "patient-vitals"]
    assert len(vitals) == 4
    lying = next(e for e in vitals if e.value["source"] == "LYING")
    assert (lying.value["blood_pressure_systolic"], lying.value["blood_pressure_diastolic"]) == (131, 64)
    assert lying.rows == (f"VS:{A}:1", f"VS:{A}:2")
    body = next(e for e in vitals if "weight" in e.value)
    assert (body.value["weight_unit"], body.value["temperature_unit"]) == ("[lb_av]", "[degF]")
    standing = [e for e in vitals if e.value["source"] == "STANDING"]
    assert sorted(e.value["blood_pressure_systolic"] for e in standing) == [127, 129]
    assert len({e.value["record_id"] for e in vitals}) == 4


def test_laboratory_results_keep_text_units_and_specimen(small: Package) -> None:
    labs = {e.value["record_id"]: e.value for e in small.events if e.topic == "lab-results"}
    albumin = labs[f"LB:{A}:1"]
    assert (albumin["value"], albumin["unit"], albumin["reference_range"]) == (3.8, "g/dL", "3.3-4.9")
    assert (albumin["timestamp"], albumin["recorded_at"]) == ("2020-01-10T14:45:00Z", "2020-01-10T23:59:59Z")
    bilirubin = labs[f"LB:{A}:2"]
    assert (bilirubin["value"], bilirubin["value_text"], bilirubin["reference_range"]) == (None, "<0.2", "<=1.2")
    assert (labs[f"LB:{A}:3"]["unit"], labs[f"LB:{A}:3"]["recorded_at"]) == ("%", "2020-01-10T23:59:59Z")
    assert (labs[f"LB:{A}:5"]["test_name"], labs[f"LB:{A}:5"]["unit"]) == ("URINE PH", "1")


def test_medicines_and_doses(small: Package) -> None:
    medicines = [e.value for e in small.events if e.topic == "medications"]
    (dose, ended) = [m for m in medicines if m["drug_name"] == "PLACEBO"]
    assert (dose["dosage"], dose["outcome"], dose["recorded_at"]) == (0.0, "taken", "2020-01-10T23:59:59Z")
    assert (ended["end_timestamp"], ended["recorded_at"]) == ("2020-01-24T23:59:59Z",) * 2
    told = {row: [e.value for e in events_of(small, f"CM:{A}:{row}")] for row in (1, 2, 3, 4)}
    assert [(m["timestamp"], m["date_precision"]) for m in told[1]] == [("2003-01-01T12:00:00Z", "year")]
    assert [m.get("end_timestamp") for m in told[2]] == ["2020-01-05T23:59:59Z"]
    assert [(m["timestamp"], m["dosage"], m.get("end_timestamp")) for m in told[3]] == [
        ("2020-01-05T12:00:00Z", None, None),
        ("2020-01-05T12:00:00Z", None, "2020-02-01T23:59:59Z"),
    ]


def test_context_is_known_when_it_was_collected(small: Package) -> None:
    context = [e for e in small.events if e.topic == "patient-context"]
    arms = {e.patient_id: e.value for e in context if e.value["kind"] == "arm"}
    assert (arms[A]["recorded_at"], arms[A]["treated"]) == ("2020-01-10T23:59:59Z", True)
    assert (arms[B]["recorded_at"], arms[B]["treated"]) == ("2020-01-09T23:59:59Z", False)
    (death, ended) = sorted((e for e in context if e.value["kind"] == "disposition"), key=lambda e: e.patient_id)
    assert (ended.patient_id, ended.value["timestamp"], "status" in ended.value) == (B, "2020-01-09T10:00:00Z", False)
    assert (death.value["status"], death.value["term"]) == ("died", "DEATH; REASON: 16")
    assert death.rows == (f"DS:{A}:1", f"SUPPDS:{A}:1:WHY")
    assert death.value["recorded_at"] == "2020-02-21T23:59:59Z"


def test_the_same_files_give_the_same_events(small: Package, tmp_path: Path) -> None:
    again = read_package(write_package(tmp_path))
    assert again.events == small.events
    renamed = read_package(write_package(tmp_path), trial_id="OTHER")
    assert {e.value["trial_id"] for e in renamed.events} == {"OTHER"}


def test_a_folder_that_is_no_package_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(NotAPackage, match="no SAS transport files"):
        read_package(tmp_path)
    (tmp_path / "vs.xpt").write_bytes(b"not a transport file")
    with pytest.raises(NotAPackage, match=r"can be read\. vs\.xpt is no SAS transport file"):
        read_package(tmp_path)
    write_package(tmp_path, {"ta": [{"DOMAIN": "TA", "ARMCD": "A"}]})
    with pytest.raises(NotAPackage, match="No row of the package names a subject"):
        read_package(tmp_path)
    write_package(tmp_path, {"ae": [{**DOMAINS["ae"][0], "STUDYID": "ONE"}, {**DOMAINS["ae"][1], "STUDYID": "TWO"}]})
    with pytest.raises(NotAPackage, match="names 3 studies"):
        read_package(tmp_path)


def test_the_pilot_rows_add_up_and_ae_vs_cm_refuse_none_but_the_vital_signs_not_done(pilot: Package) -> None:
    accounts = {a.domain: a for a in pilot.accounts}
    read = {"DM": 306, "AE": 961, "VS": 29_643, "LB": 59_580, "CM": 7_510, "EX": 591, "MH": 1_817, "DS": 596}
    assert {domain: accounts[domain].read for domain in read} == read
    for account in pilot.accounts:
        assert account.read == account.carried + account.refused, account
    refused = Counter[tuple[str, str]]()
    for refusal in pilot.refusals:
        refused[refusal.domain, refusal.rule] += refusal.count
    ours = {key: count for key, count in refused.items() if key[0] in read}
    assert ours == {("VS", "not_done"): 8, ("DS", "not_a_disposition"): 290}
    assert (pilot.subjects, pilot.sites, pilot.study_treatments) == (306, 17, ("PLACEBO", "XANOMELINE"))


def test_the_pilots_traps(pilot: Package) -> None:
    labs = [e.value for e in pilot.events if e.topic == "lab-results"]
    assert sum(v["value"] is None for v in labs) == 880
    assert all(v["unit"] for v in labs if v["value"] is not None)
    assert not any(v["test_name"] == "PH" for v in labs)
    doses = [e.value for e in pilot.events if e.topic == "medications" and e.value["drug_name"] == "PLACEBO"]
    assert {v["dosage"] for v in doses} == {0.0}
    onsets = {e.value["record_id"]: e for e in reversed(pilot.events) if e.topic == "adverse-events"}
    exact = [e for e in onsets.values() if e.value["date_precision"] == "day"]
    delay = sorted((e.known_at - seconds(e.value["event_timestamp"][:-1])) // 86_400 for e in exact)
    assert delay[len(delay) // 2] == 12  # the same from the file's own AEDTC and AESTDTC
    assert Counter(e.value["date_precision"] for e in onsets.values()) == {"day": 937, "month": 13, "year": 11}
    visit = [
        e
        for e in pilot.events
        if e.topic == "patient-vitals" and e.value["record_id"].startswith("VS:01-701-1015:3:2014-01-02")
    ]
    assert sorted(e.value["source"] for e in visit) == [
        "AFTER LYING DOWN FOR 5 MINUTES", "AFTER STANDING FOR 1 MINUTE", "AFTER STANDING FOR 3 MINUTES", "BASELINE",
    ]  # fmt: skip
    assert not any("spo2" in e.value for e in pilot.events)
