"""SAS transport files: read as another reader does, to the last value, or refused in words; never anything else."""

from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyreadstat
import pytest

from ml.sdtm import Account, NotAPackage, UnreadableFile, read_package
from ml.sdtm.xpt import RECORD, read_tables, read_xpt
from tests.support.random_trial import Trial, rows_of, write

FUZZED = 300


def save(path: Path, rows: list[dict[str, Any]], *, version: int = 5, **options: Any) -> Path:
    pyreadstat.write_xport(pd.DataFrame(rows), str(path), file_format_version=version, **options)
    return path


@pytest.mark.parametrize("version", [5, 8])
def test_both_versions_are_read_as_they_were_written(tmp_path: Path, version: int) -> None:
    rows = [
        {"USUBJID": "A", "DOSE": 0.0, "VAL": 1 / 3, "T": "é ü"},
        {"USUBJID": "B", "DOSE": math.nan, "VAL": -1e-12, "T": ""},
        {"USUBJID": "Ć", "DOSE": 54.0, "VAL": 123456789.125, "T": "x" * 150},
    ]
    labels = ["Subject", "L" * (39 if version == 5 else 200), "Value", "Text"]
    path = save(tmp_path / "a.xpt", rows, version=version, table_name="EX", file_label="Exposure", column_labels=labels)
    table = read_xpt(path)
    assert table.rows == [{**row, "DOSE": None if math.isnan(row["DOSE"]) else row["DOSE"]} for row in rows]
    assert (table.name, table.label, [table.labels[c] for c in table.columns]) == ("EX", "Exposure", labels)
    assert table.rows[0]["DOSE"] == 0.0  # pandas.read_sas: 5.4e-79


def test_long_names_of_version_8(tmp_path: Path) -> None:
    path = save(tmp_path / "a.xpt", [{"A_RATHER_LONG_NAME": "x", "b": 1.0}], version=8, table_name="AE")
    assert read_xpt(path).columns == ("A_RATHER_LONG_NAME", "B")


@pytest.mark.parametrize("version", [5, 8])
def test_all_lengths_of_rows_and_all_counts(tmp_path: Path, version: int) -> None:
    for width in (1, 7, 8, 39, 79, 80, 81, 200):
        for count in (1, 2, 9, 10, 11, 81):
            rows = [{"T": f"{n % 10}" * width} for n in range(count)]
            assert read_xpt(save(tmp_path / "a.xpt", rows, version=version)).rows == rows, (width, count)


def test_another_reader_finds_the_same_in_every_file_of_the_pilot(pilot_dir: Path) -> None:
    for path in sorted(pilot_dir.glob("*.xpt")):
        table = read_xpt(path)
        encoding = "cp1252" if table.notes else "utf-8"
        theirs, _ = pyreadstat.read_xport(str(path), encoding=encoding, output_format="dict")
        for name, values in theirs.items():
            plain = [
                v.strip() if isinstance(v, str) else None if v is None or math.isnan(v) else float(v) for v in values
            ]
            assert [row[name.upper()] for row in table.rows] == plain, (path.name, name)


def test_missing_numbers_zeros_and_dates_as_sas_keeps_them(tmp_path: Path) -> None:
    path = save(tmp_path / "a.xpt", [{"N": 1.0}] * 8)
    cells = [b".", b"_", b"A", b"Z", b"\0", b"\x80", b" " * 8, struct.pack(">Q", 0x4110000000000000)]
    data = path.read_bytes()
    begin = data.index(b"OBS     ") - 20 + RECORD
    path.write_bytes(data[:begin] + b"".join(cell.ljust(8, b"\0") for cell in cells) + data[begin + 64 :])
    assert [row["N"] for row in read_xpt(path).rows] == [None, None, None, None, 0.0, 0.0, None, 1.0]
    frame = pd.DataFrame({"AESTDTC": [19834.0, math.nan]})
    pyreadstat.write_xport(frame, str(path), variable_format={"AESTDTC": "DATE9."})
    table = read_xpt(path)
    assert [row["AESTDTC"] for row in table.rows] == ["2014-04-21", ""]
    assert table.notes == (("sas_date", "AESTDTC in a.xpt"),)


def test_nul_bytes_and_windows_letters_become_text(tmp_path: Path) -> None:
    path = save(tmp_path / "a.xpt", [{"T": "abcdef"}, {"T": "naXve"}])
    path.write_bytes(path.read_bytes().replace(b"abcdef", b"ab\0def").replace(b"naXve", b"na\xefve"))
    table = read_xpt(path)
    assert [row["T"] for row in table.rows] == ["ab def", "naïve"]
    assert [rule for rule, _ in table.notes] == ["encoding", "nul_bytes"]


def test_columns_of_one_name_fill_each_other(tmp_path: Path) -> None:
    path = save(tmp_path / "a.xpt", [{"USUBJID": "", "USUBJIX": "A"}, {"USUBJID": "B", "USUBJIX": "C"}])
    path.write_bytes(path.read_bytes().replace(b"USUBJIX", b"usubjid"))
    table = read_xpt(path)
    assert table.columns == ("USUBJID",)
    assert [row["USUBJID"] for row in table.rows] == ["A", "B"]
    assert [rule for rule, _ in table.notes] == ["column_twice"]


def test_every_data_set_of_a_file_is_read(tmp_path: Path) -> None:
    first = save(tmp_path / "a.xpt", [{"USUBJID": "A"}] * 3, table_name="AE").read_bytes()
    second = save(tmp_path / "b.xpt", [{"USUBJID": "B"}] * 2, table_name="VS").read_bytes()
    (tmp_path / "c.xpt").write_bytes(first + second[3 * RECORD :])
    assert [(t.name, len(t.rows)) for t in read_tables(tmp_path / "c.xpt")] == [("AE", 3), ("VS", 2)]
    with pytest.raises(UnreadableFile, match="2 data sets"):
        read_xpt(tmp_path / "c.xpt")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"x",
        b"PK\3\4" + b"\0" * 500,
        b"HEADER RECORD*******",
        b"HEADER RECORD*******LIBRARY HEADER RECORD!!!!!!!" + b"0" * 32,
    ],
)
def test_what_is_no_transport_file_is_named(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "ae.xpt").write_bytes(data)
    with pytest.raises(UnreadableFile, match=r"^ae\.xpt is .*\.$"):
        read_tables(tmp_path / "ae.xpt")


@pytest.mark.parametrize("version", [5, 8])
def test_a_file_cut_anywhere_is_refused(tmp_path: Path, version: int) -> None:
    """But where nothing is lost (the padding of version 8), or a file of version 5 is cut between two rows and two records
    at once: it does not say how many rows it has."""
    rows = [{"USUBJID": f"S{n:04d}", "AETERM": "HEADACHE" * 9, "AESEQ": float(n)} for n in range(60)]
    path = save(tmp_path / "ae.xpt", rows, version=version)
    data = path.read_bytes()
    width = 5 + 72 + 8
    begin = data.index(b"OBS") - 20 + RECORD
    for cut in range(1, len(data), 7 if version == 5 else 13):
        path.write_bytes(data[:cut])
        between = (cut - begin) % width == 0 and (cut - begin) % RECORD == 0 and cut >= begin
        if (version == 5 and between) or (version == 8 and cut >= begin + 60 * width):
            continue
        with pytest.raises(UnreadableFile, match=r"^ae\.xpt is "):
            read_tables(path)


def test_damaged_bytes_end_in_a_package_or_in_words(tmp_path: Path) -> None:
    """Bytes flipped, cut out, doubled at random: the file is refused in words, or read, and then every row is accounted
    for."""
    folder = write(tmp_path, rows_of(Trial(seed=3, subjects=3, treatment=28)))
    files = sorted(folder.glob("*.xpt"))
    whole = {path: path.read_bytes() for path in files}
    rng = np.random.default_rng(7)
    refused = read = 0
    said: list[tuple[str, str]] = []
    accounts: list[Account] = []
    for _ in range(FUZZED):
        path = files[int(rng.integers(len(files)))]
        data = bytearray(whole[path])
        for _ in range(int(rng.integers(1, 20))):
            # Mostly the headers: they decide how all else is read.
            at = int(rng.integers(min(len(data), 3_000) if rng.random() < 0.7 else len(data)))
            data[at] = int(rng.integers(256))
        if rng.random() < 0.2:
            at = int(rng.integers(len(data)))
            data = data[:at] if rng.random() < 0.5 else data[:at] + data[at // 2 :]
        path.write_bytes(bytes(data))
        try:
            read_tables(path)
            read += 1
        except UnreadableFile as error:
            refused += 1
            said.append((path.name, str(error)))
        if refused + read <= 40:
            try:
                accounts += read_package(folder).accounts
            except NotAPackage as error:
                said.append((".", str(error)))
        path.write_bytes(whole[path])
    assert refused > 20
    assert read > 20
    assert all(name in sentence and sentence.endswith(".") for name, sentence in said)
    assert all(a.read == a.carried + a.refused for a in accounts)
