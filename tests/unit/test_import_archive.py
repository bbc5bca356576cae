"""Zips from strangers: what is harmless comes out, all else is refused in a sentence, and nothing lands elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from apps.core.errors import Invalid
from apps.ingestion.imports import archive
from tests.support.zips import BAD, XPT, _made


@pytest.mark.parametrize("name", BAD)
def test_a_bad_zip_is_refused_in_words(name: str, tmp_path: Path) -> None:
    make, words = BAD[name]
    place = tmp_path / "in" / "sent"
    place.parent.mkdir()
    place.write_bytes(make())
    with pytest.raises(Invalid, match=words) as refused:
        archive.unpack(place, tmp_path / "out")
    assert refused.value.cure
    assert refused.value.code.startswith("zip_")
    assert "\x00" not in str(refused.value)
    assert len(str(refused.value)) < 400
    outside = [
        path
        for path in tmp_path.rglob("*")
        if path.is_file() and path != place and tmp_path / "out" not in path.parents
    ]
    assert outside == []


def test_the_headers_of_a_bomb_are_not_believed(tmp_path: Path) -> None:
    place = tmp_path / "sent"
    bomb = bytearray(BAD["a bomb"][0]())
    for mark, at in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        start = bomb.index(mark) + at
        bomb[start : start + 4] = (100).to_bytes(4, "little")  # "100 bytes, unpacked"
    place.write_bytes(bytes(bomb))
    with pytest.raises(Invalid):
        archive.unpack(place, tmp_path / "out")
    assert sum(path.stat().st_size for path in (tmp_path / "out").rglob("*")) < 12 << 20


def test_folders_letter_case_litter_and_a_second_kind_of_data_do_no_harm(tmp_path: Path) -> None:
    place = tmp_path / "sent"
    place.write_bytes(
        _made(
            ("m5/tabulations/sdtm/DM.XPT", XPT), ("m5/tabulations/sdtm/define.xml", b"<x/>"), ("m5/analysis/adam/adsl.xpt", XPT),
            ("m5/analysis/adam/adtte.xpt", XPT), ("__MACOSX/m5/._dm.xpt", b"x"), ("m5/tabulations/sdtm/csdrg.pdf", b"x"),
        )
    )  # fmt: skip
    done = archive.unpack(place, tmp_path / "out")
    assert sorted(path.name for path in done.folder.iterdir()) == ["DM.XPT", "define.xml"]
    assert (done.files, done.left) == (2, 4)
