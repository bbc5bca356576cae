"""A package's files: named and split as they may be, define.xml kind or hostile, qualifiers and domains beside the usual."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ml.sdtm import NotAPackage, Package, read_package
from tests.support.random_trial import rows_of, write
from tests.support.sdtm_checks import SMALL, account, checked, noted, of_kind, read, refused, values


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Package:
    return read(tmp_path_factory.mktemp("plain"), rows_of(SMALL))


@pytest.mark.parametrize("options", [{"version": 8}, {"split": True}, {"upper": True}, {"version": 8, "split": True}])
def test_versions_splits_and_names_of_files_make_no_difference(
    plain: Package, tmp_path: Path, options: dict[str, Any]
) -> None:
    assert values(read(tmp_path, rows_of(SMALL), **options)) == values(plain)


def test_names_of_columns_and_domains_in_small_letters_make_no_difference(plain: Package, tmp_path: Path) -> None:
    rows = {
        domain: [{name.lower(): v.lower() if name == "DOMAIN" else v for name, v in row.items()} for row in body]
        for domain, body in rows_of(SMALL).items()
    }
    assert values(read(tmp_path, rows)) == values(plain)


def test_files_named_anything_are_known_by_what_is_in_them(plain: Package, tmp_path: Path) -> None:
    folder = write(tmp_path / "deep" / "sdtm", rows_of(SMALL))
    for number, path in enumerate(sorted(folder.iterdir())):
        path.rename(folder / f"File {number} (final).Xpt")
    (tmp_path / "__MACOSX").mkdir()
    (tmp_path / "__MACOSX" / "._ae.xpt").write_bytes(b"junk")
    assert values(checked(read_package(tmp_path))) == values(plain)


def test_a_file_that_cannot_be_read_is_named_and_its_domain_is_not_whole(plain: Package, tmp_path: Path) -> None:
    folder = write(tmp_path, rows_of(SMALL), split=True)
    data = (folder / "lbhe.xpt").read_bytes()
    (folder / "lbhe.xpt").write_bytes(data[: len(data) // 2 + 1])
    (folder / "vs.xpt").write_bytes(b"")
    package = checked(read_package(folder))
    assert {(r.row, r.rule, r.count) for r in package.refusals} == {
        ("lbhe.xpt", "unreadable_file", 0), ("vs.xpt", "unreadable_file", 0)
    }  # fmt: skip
    assert {a.domain for a in package.accounts if a.unreadable} == {"LB", "VS"}
    assert package.whole == {"DM", "AE", "LB", "CM", "EX", "DS", "SV"} - {"LB"}
    assert 0 < account(package)["LB"][0] < account(plain)["LB"][0]


def test_a_package_of_two_studies_or_none_is_refused(tmp_path: Path) -> None:
    rows = rows_of(SMALL)
    for row in rows["dm"][:3]:
        row["STUDYID"] = "OTHER"
    with pytest.raises(NotAPackage, match="names 2 studies"):
        read_package(write(tmp_path, rows))
    assert read_package(tmp_path, trial_id="MINE").trial_id == "MINE"


DEFINE = """<?xml version="1.0"?>{doctype}
<ODM xmlns="http://www.cdisc.org/ns/odm/v1.3" xmlns:def="http://www.cdisc.org/ns/def/v2.0"><Study OID="S"><MetaDataVersion OID="M" Name="n">
<ItemGroupDef OID="IG.AE" Name="AE" Domain="AE"><Description><TranslatedText>Events &amp; more{entity}</TranslatedText></Description>
<ItemRef ItemOID="IT.AESEV"/></ItemGroupDef>
<ItemDef OID="IT.AESEV" Name="AESEV"><Description><TranslatedText>Severity</TranslatedText></Description>
<CodeListRef CodeListOID="CL.SEV"/></ItemDef>
<CodeList OID="CL.SEV" Name="Severity">
<CodeListItem CodedValue="1"><Decode><TranslatedText>Mild</TranslatedText></Decode></CodeListItem>
<CodeListItem CodedValue="2"><Decode><TranslatedText>Moderate</TranslatedText></Decode></CodeListItem>
<CodeListItem CodedValue="3"><Decode><TranslatedText>Severe</TranslatedText></Decode></CodeListItem>
</CodeList></MetaDataVersion></Study></ODM>"""
CODES = {"MILD": "1", "MODERATE": "2", "SEVERE": "3"}


def test_codelists_say_what_codes_mean(plain: Package, tmp_path: Path) -> None:
    rows = rows_of(SMALL)
    for row in rows["ae"]:
        row["AESEV"] = CODES[row["AESEV"]]
    assert refused(read(tmp_path, rows)) == {("AE", "unknown_severity"): len(rows["ae"])}
    (tmp_path / "define.xml").write_text(DEFINE.format(doctype="", entity=""))
    package = read(tmp_path, rows)
    assert values(package) == values(plain)
    assert {a.domain: a.label for a in package.accounts}["AE"] == "Events & more"
    assert noted(package)["AE", "decoded"] == len(rows["ae"])


@pytest.mark.parametrize(
    "text",
    [
        "", "<", "not xml", "\0\0", "<a>" * 500, "<?xml version='1.0' encoding='no-such'?><a/>",
        DEFINE.format(doctype='<!DOCTYPE ODM [<!ENTITY e SYSTEM "file:///etc/hostname">]>', entity="&e;"),
        DEFINE.format(doctype='<!DOCTYPE ODM SYSTEM "http://127.0.0.1:9/x.dtd">', entity=""),
        DEFINE.format(doctype='<!DOCTYPE ODM [<!ENTITY a "x"><!ENTITY b "&a;&a;&a;&a;">]>', entity="&b;"),
        DEFINE.format(doctype='<!DOCTYPE ODM [<!ENTITY % p SYSTEM "file:///etc/hostname"> %p;]>', entity=""),
    ],
)  # fmt: skip
def test_a_broken_or_hostile_define_is_not_read(plain: Package, tmp_path: Path, text: str) -> None:
    (tmp_path / "Define.XML").write_text(text)
    package = read(tmp_path, rows_of(SMALL))
    assert values(package) == values(plain)
    assert [n.rule for n in package.notes if n.domain == "DEFINE"] == ["define_unread"]
    assert not any(account.label for account in package.accounts)


def test_qualifiers_fill_what_their_rows_leave_empty(tmp_path: Path) -> None:
    rows = rows_of(SMALL)
    first, second = rows["ae"][:2]
    first["AESEV"] = ""
    supp = [
        {"STUDYID": "RANDOM01", "RDOMAIN": "AE", "USUBJID": row["USUBJID"], "IDVAR": "AESEQ", "IDVARVAL": f"{row['AESEQ']:g}",
         "QNAM": name, "QLABEL": name, "QVAL": "4", "QORIG": origin}
        for row, name, origin in (
            (first, "AETOXGR", "CRF"), (second, "AESEV", "CRF"), (second, "AEWHY", "CRF"), (second, "AETRTEM", "DERIVED"),
            ({"USUBJID": "nobody", "AESEQ": 1}, "AETOXGR", "CRF"),
        )
    ]  # fmt: skip
    package = read(tmp_path, {**rows, "suppae": supp})
    assert refused(package) == {("SUPPAE", "no_place"): 2, ("SUPPAE", "derived"): 1, ("SUPPAE", "no_parent"): 1}
    (event,) = {e.value["severity"] for e in package.events if f"AE:{first['USUBJID']}:{first['AESEQ']:g}" in e.rows}
    assert event == "grade_4"
    assert account(package)["SUPPAE"] == (5, 1, 4)


def test_characteristics_visits_and_design(tmp_path: Path) -> None:
    rows = rows_of(SMALL)
    name = rows["dm"][0]["USUBJID"]
    common = {"STUDYID": "RANDOM01", "USUBJID": name}
    rows["sc"] = [
        {
            **common,
            "DOMAIN": "SC",
            "SCSEQ": 1.0,
            "SCTESTCD": "EDLEVEL",
            "SCTEST": "Years of education",
            "SCORRES": "12",
            "SCORRESU": "YEARS",
        }
    ]
    rows["ts"] = [{"STUDYID": "RANDOM01", "DOMAIN": "TS", "TSPARMCD": "TITLE", "TSVAL": "A trial of nothing"}]
    rows["ta"] = [{"STUDYID": "RANDOM01", "DOMAIN": "TA", "ARMCD": "PBO"}]
    rows["qs"] = [{**common, "DOMAIN": "QS", "QSSEQ": 1.0}]
    rows["zz"] = [{**common, "DOMAIN": "ZZ", "ZZSEQ": 1.0}]
    package = read(tmp_path, rows)
    assert of_kind(package, "characteristic")[name].value["term"] == "Years of education: 12 YEARS"
    assert package.title == "A trial of nothing"
    kept = {a.domain: (a.carried, a.reference, a.events) for a in package.accounts}
    assert (kept["TS"], kept["TA"], kept["SV"][2]) == ((1, 1, 0), (1, 1, 0), 0)
    assert refused(package) == {("QS", "no_place"): 1, ("ZZ", "unknown_domain"): 1}


def test_what_a_column_cannot_hold_does_not_cost_the_row(tmp_path: Path) -> None:
    rows = rows_of(SMALL)
    rows["dm"][0]["AGE"] = 999.0
    rows["ae"][0]["AETERM"] = "long " * 100
    package = read(tmp_path, rows, version=8)
    assert not refused(package)
    assert noted(package)["DM", "left_out"] == 1
    assert noted(package)["AE", "cut"] >= 1
