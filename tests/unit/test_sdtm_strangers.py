"""Packages as strangers make them: each is read as far as it can be, every row accounted for, nothing guessed unsaid."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from ml.sdtm import NOTES, RULES, Package, read_package
from tests.support.random_trial import Rows, Trial, rows_of, write
from tests.support.sdtm import A, write_package
from tests.support.sdtm_checks import SMALL, account, checked, noted, of_kind, read, refused, values
from tests.support.study_rows import facts_of, profile_of


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Package:
    return read(tmp_path_factory.mktemp("plain"), rows_of(SMALL))


def test_a_whole_package_leaves_nothing_to_say(plain: Package) -> None:
    assert not plain.refusals
    assert {rule for _, rule in noted(plain)} == {"domain_absent"}
    assert {note.domain for note in plain.notes} == {"MH", "SC"}


def test_without_dm_subjects_sites_and_enrolment_follow_from_the_rest(plain: Package, tmp_path: Path) -> None:
    package = read(tmp_path, rows_of(Trial(seed=5, subjects=12, treatment=56, without=("dm", "vs", "cm"))))
    assert (package.subjects, package.sites) == (plain.subjects, 1)
    assert {"DM", "VS", "CM"} == {n.domain for n in package.notes if n.rule == "domain_absent"} - {"MH", "SC"}
    assert "DM" not in package.whole
    enrolled = of_kind(package, "enrolment")
    assert len(enrolled) == 12
    assert {event.value["trial_site_id"] for event in enrolled.values()} == {"UNKNOWN"}
    assert {event.domain for event in enrolled.values()} == {"DM"}
    # Screening is the first visit of each: the same day as DM said.
    before = of_kind(plain, "enrolment")
    assert {n: e.value["timestamp"] for n, e in enrolled.items()} == {
        n: e.value["timestamp"] for n, e in before.items()
    }
    assert noted(package)["DM", "enrolled_by_rule"] == 12
    assert not refused(package)


@pytest.mark.parametrize("domain", ["ae", "vs", "lb", "cm", "ex", "ds", "sv"])
def test_any_domain_may_be_missing(plain: Package, tmp_path: Path, domain: str) -> None:
    package = read(tmp_path, rows_of(Trial(seed=5, subjects=12, treatment=56, without=(domain,))))
    there = account(plain)
    del there[domain.upper()]
    assert account(package) == there
    assert not refused(package)


def test_without_dispositions_follow_up_ends_with_the_part_or_the_last_contact(tmp_path: Path) -> None:
    rows = rows_of(Trial(seed=5, subjects=12, treatment=56, without=("ds",)))
    for row in rows["dm"][:6]:
        row["RFPENDTC"] = row["RFENDTC"] = row["DTHDTC"] = ""
    package = read(tmp_path, rows)
    ends = of_kind(package, "disposition")
    assert len(ends) == 12
    last: dict[str, str] = {}
    for body in rows.values():
        for row in body:
            days = [
                str(row[c])[:10]
                for c in row
                if c in {"VSDTC", "LBDTC", "SVENDTC", "EXENDTC", "AEDTC", "AESTDTC", "CMDTC", "DMDTC"}
            ]
            last[row["USUBJID"]] = max([last.get(row["USUBJID"], ""), *days])
    for row in rows["dm"][:6]:
        assert ends[row["USUBJID"]].value["timestamp"][:10] == last[row["USUBJID"]]
    for row in rows["dm"][6:]:
        assert ends[row["USUBJID"]].value["timestamp"][:10] == row["RFPENDTC"]
        assert ends[row["USUBJID"]].value.get("status") == ("died" if row["DTHDTC"] else None)


def test_the_last_disposition_counts_and_a_death_most(tmp_path: Path) -> None:
    rows = rows_of(SMALL)
    one, other = (row["USUBJID"] for row in rows["dm"][:2])
    rows["ds"] = [
        {"STUDYID": "RANDOM01", "DOMAIN": "DS", "USUBJID": name, "DSSEQ": float(n), "DSDECOD": said, "DSTERM": said,
         "DSCAT": "DISPOSITION EVENT", "EPOCH": epoch, "DSSTDTC": day}
        for n, (name, said, epoch, day) in enumerate((
            (one, "COMPLETED", "SCREENING", "2019-04-01"), (one, "COMPLETED", "TREATMENT", "2019-08-01"),
            (one, "WITHDRAWAL BY SUBJECT", "FOLLOW-UP", "2019-08-20"),
            (other, "DEATH", "TREATMENT", "2019-06-01"), (other, "WITHDRAWAL BY SUBJECT", "TREATMENT", "2019-06-02"),
        ))
    ]  # fmt: skip
    package = read(tmp_path, rows)
    assert refused(package) == {("DS", "earlier_disposition"): 3}
    ends = of_kind(package, "disposition")
    assert (ends[one].value["status"], ends[one].value["timestamp"]) == ("withdrawn", "2019-08-20T12:00:00Z")
    assert (ends[other].value["status"], ends[other].value["timestamp"]) == ("died", "2019-06-01T12:00:00Z")


def test_screen_failures_and_never_treated_have_no_first_dose(tmp_path: Path) -> None:
    rows = rows_of(Trial(seed=5, subjects=30, treatment=28, screen_failures=0.2, never_treated=0.1))
    package = read(tmp_path, rows)
    untreated = {row["USUBJID"] for row in rows["dm"] if row["ARMCD"] in ("SCRNFAIL", "NOTTRT")}
    assert 0 < len(untreated) < 30
    assert {name for name, event in of_kind(package, "arm").items() if not event.value["treated"]} == untreated
    dosed = {event.patient_id for event in package.events if event.value.get("outcome") == "taken"}
    assert dosed == {row["USUBJID"] for row in rows["dm"]} - untreated
    status = {row["USUBJID"]: "screen_failure" if row["ARMCD"] == "SCRNFAIL" else "withdrawn" for row in rows["dm"]}
    ends = of_kind(package, "disposition")
    assert {name: ends[name].value["status"] for name in untreated} == {name: status[name] for name in untreated}


def _broken(rows: Rows) -> None:
    rows["vs"][0]["VSDTC"] = "2019-02-30"
    rows["lb"][0]["LBDTC"] = "9999-12-31"
    rows["lb"][1]["LBDTC"] = "2119-05-05"
    rows["lb"][2]["LBDTC"] = rows["lb"][2]["LBDTC"][:7]
    rows["ae"][0]["AESTDTC"] = "0000-01-01"
    rows["ae"][1]["AESTDTC"] = ""
    rows["ae"][2]["AEENDTC"] = "soon"
    rows["ex"][0]["EXSTDTC"] = "31/12/2019"
    rows["cm"][0]["CMDTC"] = "1019-01-01"


def test_broken_dates_are_told_from_elsewhere_by_the_table_or_refused(tmp_path: Path) -> None:
    rows = rows_of(SMALL)
    _broken(rows)
    package = read(tmp_path, rows)
    assert refused(package) == {("AE", "not_a_date"): 1}
    assert "'0000-01-01' lies outside" in package.refusals[0].message
    assert noted(package) == {
        ("VS", "dated_by_visit"): 1, ("LB", "dated_by_visit"): 2, ("LB", "narrowed"): 1, ("AE", "dated_by_recording"): 1,
        ("AE", "date_left_out"): 1, ("EX", "dated_by_treatment"): 1, ("CM", "date_left_out"): 1,
        ("MH", "domain_absent"): 0, ("SC", "domain_absent"): 0,
    }  # fmt: skip
    lab = {e.value["record_id"]: e.value for e in package.events if e.topic == "lab-results"}
    first = f"LB:{rows['lb'][0]['USUBJID']}"
    days = {
        number: (lab[f"{first}:{number}"]["timestamp"][:10], lab[f"{first}:{number}"]["date_precision"])
        for number in (1, 2, 3, 4)
    }
    day = rows["lb"][3]["LBDTC"][:10]
    assert days == {1: (day, "unknown"), 2: (day, "unknown"), 3: (day, "month"), 4: (day, "time")}


def test_study_days_stand_for_dates_where_there_are_none(plain: Package, tmp_path: Path) -> None:
    rows = rows_of(SMALL)
    first = {row["USUBJID"]: row["RFSTDTC"] for row in rows["dm"]}
    for row in rows["vs"]:
        reference = first[row["USUBJID"]]
        if reference:
            gap = (date.fromisoformat(row["VSDTC"]) - date.fromisoformat(reference)).days
            row["VSDY"] = float(gap + 1 if gap >= 0 else gap)
            row["VSDTC"] = ""
        row["VISITNUM"], row["VISIT"] = None, ""
    package = read(tmp_path, rows)
    assert noted(package)["VS", "dated_by_study_day"] > 0

    def when(one: Package) -> Counter[tuple[str, str, str]]:
        return Counter(
            (e.patient_id, e.value["timestamp"], e.value["date_precision"])
            for e in one.events
            if e.topic == "patient-vitals"
        )

    assert when(package) == when(plain)
    rows["vs"][0]["VSDY"] = 0.0
    assert refused(read(tmp_path, rows)) == {("VS", "no_date"): 1}


def test_the_future_and_another_century_are_no_dates(tmp_path: Path) -> None:
    rows = rows_of(Trial(seed=5, subjects=12, treatment=56, without=("sv",)))
    rows["ds"][0]["DSSTDTC"] = rows["ds"][0]["DSDTC"] = "2025-01-01"
    rows["ae"][0]["AEDTC"] = "2091-01-01"
    package = checked(read_package(write(tmp_path, rows), now=1_600_000_000))
    assert package.last < 1_600_000_000
    assert noted(package)["DS", "ended_by_reference"] == 1
    assert noted(package)["AE", "date_left_out"] == 1


def test_units_of_every_spelling_come_to_the_same_values(plain: Package, tmp_path: Path) -> None:
    other = read(tmp_path, rows_of(Trial(seed=5, subjects=12, treatment=56, units="other")))
    assert not refused(other)
    assert ("LB", "unit_unknown") not in noted(other)
    us, them = (facts_of(package, profile_of(package)) for package in (plain, other))
    for signal in sorted(set(us.signal.tolist())):
        ours, theirs = (f.value[f.signal == signal] for f in (us, them))
        assert len(ours) == len(theirs), signal
        # Rounded at the source in either unit: within 1 % of the middle one, or the last digit.
        assert abs(float(ours.mean()) - float(theirs.mean())) <= max(1.0, 0.01 * abs(float(ours.mean()))), signal


@pytest.mark.parametrize(
    ("change", "rule", "value"),
    [
        ({"LBORRES": "<0.2"}, None, (None, "<0.2", "mg/dL")),
        ({"LBORRES": "NEGATIVE", "LBORRESU": ""}, None, (None, "NEGATIVE", None)),
        ({"LBORRESU": "furlong"}, "unit_unknown", (0.5, None, "furlong")),
        ({"LBORRESU": "furlong", "LBSTRESN": 8.6, "LBSTRESU": "umol/L"}, "standardised", (8.6, None, "umol/L")),
        ({"LBORRESU": "", "LBSTRESC": "0.5", "LBSTRESU": "mg/dL"}, "unit_by_standard", (0.5, None, "mg/dL")),
        ({"LBORRES": "", "LBSTRESN": 8.6, "LBSTRESU": "umol/L"}, "standardised", (8.6, None, "umol/L")),
        ({"LBTESTCD": "ODDITY"}, "test_as_reported", (0.5, None, "mg/dL")),
        ({"LBTESTCD": "TBIL", "LBTEST": "Bilirubin"}, "decoded", (0.5, None, "mg/dL")),
        ({"LBORRES": 0.5}, None, (0.5, None, "mg/dL")),
    ],
)
def test_which_laboratory_result_is_carried(
    tmp_path: Path, change: dict[str, Any], rule: str | None, value: tuple[float | None, str | None, str | None]
) -> None:
    row = {
        "DOMAIN": "LB",
        "USUBJID": A,
        "LBSEQ": 1.0,
        "LBTESTCD": "BILI",
        "LBORRES": "0.5",
        "LBORRESU": "mg/dL",
        "LBDTC": "2020-01-10",
    }
    package = checked(read_package(write_package(tmp_path, {"lb": [{**row, **change}]})))
    (event,) = [e.value for e in package.events if e.topic == "lab-results"]
    assert (event["value"], event.get("value_text"), event["unit"]) == value
    assert {r for d, r in noted(package) if d == "LB"} - {"column_absent"} == ({rule} if rule else set())


@pytest.mark.parametrize(
    ("change", "outcome"),
    [
        ({}, ("blood_pressure_systolic", 120.0)),
        ({"VSORRESU": "kPa", "VSORRES": "16"}, ("blood_pressure_systolic", 120.009869)),
        ({"VSORRESU": "mm Hg"}, ("blood_pressure_systolic", 120.0)),
        ({"VSTESTCD": "SBP"}, ("blood_pressure_systolic", 120.0)),
        ({"VSTESTCD": "X1", "VSTEST": "Systolic Blood Pressure"}, ("blood_pressure_systolic", 120.0)),
        ({"VSTESTCD": "HEIGHT", "VSORRES": "1.7", "VSORRESU": "m"}, ("height", 170.0)),
        ({"VSORRESU": "", "VSSTRESN": 118.0, "VSSTRESU": "mmHg"}, ("blood_pressure_systolic", 118.0)),
        ({"VSORRESU": "psi"}, "unknown_unit"),
        ({"VSORRESU": ""}, "unknown_unit"),
        ({"VSORRES": "high"}, "not_a_number"),
        ({"VSORRES": ""}, "no_result"),
        ({"VSTESTCD": "BMI"}, "unknown_test"),
        ({"VSSTAT": "NOT DONE"}, "not_done"),
        ({"USUBJID": ""}, "no_subject"),
    ],
)
def test_which_vital_sign_is_carried(tmp_path: Path, change: dict[str, Any], outcome: Any) -> None:
    row = {
        "DOMAIN": "VS",
        "USUBJID": A,
        "VSSEQ": 1.0,
        "VSTESTCD": "SYSBP",
        "VSTEST": "",
        "VSORRES": "120",
        "VSORRESU": "mmHg",
        "VSDTC": "2020-01-10",
    }
    other = {"DOMAIN": "EX", "USUBJID": A, "EXSEQ": 1.0, "EXTRT": "X", "EXSTDTC": "2020-01-10"}
    package = checked(read_package(write_package(tmp_path, {"vs": [{**row, **change}], "ex": [other]})))
    if isinstance(outcome, str):
        assert refused(package) == {("VS", outcome): 1}
    else:
        (event,) = [e.value for e in package.events if e.topic == "patient-vitals"]
        assert event[outcome[0]] == outcome[1]


def test_repeated_and_unnumbered_rows_are_told_apart_and_doubled_ones_refused(tmp_path: Path) -> None:
    rows = rows_of(SMALL)
    rows["ae"].append(dict(rows["ae"][0]))
    rows["ae"].append({**rows["ae"][0], "AEDECOD": "ANOTHER"})
    for row in rows["cm"]:
        del row["CMSEQ"]
    package = read(tmp_path, rows)
    assert refused(package) == {("AE", "twice"): 1}
    assert noted(package)["AE", "renumbered"] == 1
    assert noted(package)["CM", "renumbered"] == len(rows["cm"])
    records = Counter((e.topic, e.value["record_id"], e.known_at) for e in package.events)
    assert max(records.values()) == 1


def test_a_repeated_visit_lies_between_its_days(tmp_path: Path) -> None:
    rows = rows_of(SMALL)
    visit, other = rows["sv"][0], rows["sv"][1]
    rows["sv"].append({**visit, "SVSTDTC": other["SVSTDTC"], "SVENDTC": other["SVENDTC"]})
    rows["vs"][0]["VSDTC"] = ""
    package = read(tmp_path, rows)
    assert noted(package)["SV", "visit_twice"] == 1
    (event,) = [e for e in package.events if e.topic == "patient-vitals" and e.value["date_precision"] == "unknown"]
    assert event.value["recorded_at"][:10] == other["SVENDTC"]


def _drop(name: str) -> Callable[[dict[str, Any]], None]:
    return lambda row: row.pop(name, None)


def test_subjects_without_usubjid_are_told_by_subjid(plain: Package, tmp_path: Path) -> None:
    rows = rows_of(SMALL)
    number = {row["USUBJID"]: row["SUBJID"] for row in rows["dm"]}
    for domain, body in rows.items():
        for row in body:
            row["SUBJID"] = number[row["USUBJID"]]
            if domain != "dm":
                _drop("USUBJID")(row)
    assert values(read(tmp_path / "one", rows)) == values(plain)
    for row in rows["dm"]:
        _drop("USUBJID")(row)
    package = read(tmp_path / "two", rows)
    assert package.subjects == plain.subjects
    assert {e.patient_id for e in package.events} == {f"RANDOM01-{subjid}" for subjid in number.values()}


def test_identifiers_that_no_message_can_hold_are_respelled_and_stay_apart(tmp_path: Path) -> None:
    rows = rows_of(SMALL)
    for body in rows.values():
        for row in body:
            row["USUBJID"] = row["USUBJID"].replace("-", "/")
            row["STUDYID"] = "MY STUDY"
    package = read(tmp_path, rows)
    assert package.trial_id.startswith("MY-STUDY-")
    assert len({e.patient_id for e in package.events}) == 12
    assert not refused(package)


def test_numbers_as_texts_and_texts_as_numbers(plain: Package, tmp_path: Path) -> None:
    rows = rows_of(SMALL)
    for row in rows["vs"]:
        row["VSORRES"], row["VSSEQ"], row["VISITNUM"] = float(row["VSORRES"]), f"{row['VSSEQ']:g}", str(row["VISITNUM"])
    for row in rows["dm"]:
        row["AGE"], row["SITEID"] = str(row["AGE"]), float(row["SITEID"])
    for row in rows["ex"]:
        row["EXDOSE"] = "some"
    package = read(tmp_path, rows)
    assert account(package) == account(plain)
    assert noted(package)["EX", "not_numeric"] == len(rows["ex"])
    signs = [e.value.get("blood_pressure_systolic") for e in package.events if e.topic == "patient-vitals"]
    assert signs == [e.value.get("blood_pressure_systolic") for e in plain.events if e.topic == "patient-vitals"]
    ages = {name: e.value["age"] for name, e in of_kind(package, "demographics").items()}
    assert ages == {name: e.value["age"] for name, e in of_kind(plain, "demographics").items()}


@pytest.mark.parametrize(
    "columns",
    [("AEDTC",), ("AESEV",), ("DMDTC", "RFSTDTC"), ("VISITNUM", "VISIT"), ("ARMCD",), ("DSCAT",), ("SITEID",)],
)
def test_any_column_may_be_missing(tmp_path: Path, columns: tuple[str, ...]) -> None:
    package = read(tmp_path, rows_of(Trial(seed=5, subjects=12, treatment=56, without_columns=columns)))
    assert not refused(package)
    assert len(of_kind(package, "enrolment")) == 12


def test_an_event_without_its_recording_is_not_known_before_its_day_has_ended(tmp_path: Path) -> None:
    package = read(tmp_path, rows_of(Trial(seed=5, subjects=12, treatment=56, without_columns=("AEDTC",))))
    events = [e for e in package.events if e.topic == "adverse-events"]
    assert events
    assert all(e.value["recorded_at"] >= e.value["event_timestamp"][:10] + "T23:59:59Z" for e in events)


def test_every_rule_says_why_and_what_would_mend_it() -> None:
    for name, rule in {**RULES, **NOTES}.items():
        assert rule.name == name
        assert rule.why.endswith(".")
        assert rule.cure.endswith(".")
