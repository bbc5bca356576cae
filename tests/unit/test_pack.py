"""A lake as one file and a manifest: the same bytes for the same objects, and nothing altered comes back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ml.lake import Lake, LakeError
from ml.lake.pack import ARCHIVE, MANIFEST, pack, unpack


@pytest.fixture
def full(tmp_path: Path) -> Lake:
    lake = Lake.from_url(tmp_path / "lake")
    for name, data in (("b/two", b"22"), ("a/one", b"1"), ("b/three", b""), ("c/not", b"x")):
        lake.put(name, data)
    return lake


def test_it_comes_back_and_packs_to_the_same_bytes(full: Lake, tmp_path: Path) -> None:
    assert pack(full, ("a/", "b/"), tmp_path / "one", without=("b/two",)) == {"objects": 2, "bytes": 1}
    assert pack(full, ("b/", "a/"), tmp_path / "one") == {"objects": 3, "bytes": 3}
    other = Lake.from_url(tmp_path / "other")
    assert unpack(tmp_path / "one", other) == 3
    assert [(info.path, other.get(info.path)) for info in other.list()] == [
        ("a/one", b"1"),
        ("b/three", b""),
        ("b/two", b"22"),
    ]
    pack(other, ("a/", "b/"), tmp_path / "two")
    for name in (ARCHIVE, MANIFEST):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_what_was_altered_lost_or_is_not_there_is_named(full: Lake, tmp_path: Path) -> None:
    folder = tmp_path / "packed"
    with pytest.raises(LakeError, match="Pull it"):
        unpack(folder, full)
    pack(full, ("a/", "b/"), folder)
    manifest = json.loads((folder / MANIFEST).read_text())
    for wrong, words in (
        ([one | {"sha256": "0" * 64} for one in manifest["files"]], "a/one is not what the manifest says"),
        (manifest["files"][1:], "a/one is not what"),
        ([*manifest["files"], {"path": "z", "sha256": ""}], "lacks z"),
    ):
        (folder / MANIFEST).write_text(json.dumps({"files": wrong}))
        with pytest.raises(LakeError, match=words):
            unpack(folder, Lake.from_url(tmp_path / "new"))
    (folder / ARCHIVE).write_bytes(b"no archive")
    with pytest.raises(LakeError, match="Pull it"):
        unpack(folder, full)
