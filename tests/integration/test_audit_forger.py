"""A forger with the whole source and no key: every file of the export rewritten alike, zipped again, given to a stranger.

Every hash that can be computed is computed anew; what cannot be signed anew is left, dropped or spoiled. Each time the
stranger's program refuses it and names the record.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import json
import random
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from apps.audit import checkpoints
from apps.audit.models import AuditSequence
from apps.core.lake import lake as the_lake
from clinical_portal.env import BASE_DIR
from tests.support.audit_export import fresh_lake, lines, note, resealed, resealed_lists, rewrite, unpacked, verdict
from tools.verify_audit import COLUMNS, csv_row

pytestmark = pytest.mark.django_db
COUNT = 18
PLACES = {"first": 0, "middle": 8, "last": COUNT - 1}
Records = list[str]
Seals = list[bytes]
FORGED = "01900000-0000-7000-8000-000000000000"


@pytest.fixture(autouse=True)
def _lake(lake: str, settings: Any) -> Iterator[None]:
    fresh_lake(settings, lake)
    yield
    the_lake.cache_clear()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(COUNT):
        note(number)
        if number in (4, 11):
            checkpoints.seal()
    return unpacked(tmp_path)


def edit(kept: Records, seals: Seals, at: int) -> tuple[Records, Seals]:
    changed = resealed(kept[at], lambda event: event.update(actor="somebody else"))
    return [*kept[:at], changed, *kept[at + 1 :]], seals


def edit_and_break_the_seal(kept: Records, seals: Seals, at: int) -> tuple[Records, Seals]:
    return edit(kept, seals, at)[0], [*seals[:at], bytes(64), *seals[at + 1 :]]


def delete(kept: Records, seals: Seals, at: int) -> tuple[Records, Seals]:
    return kept[:at] + kept[at + 1 :], seals


def delete_with_the_seal(kept: Records, seals: Seals, at: int) -> tuple[Records, Seals]:
    return kept[:at] + kept[at + 1 :], seals[:at] + seals[at + 1 :]


def insert(kept: Records, seals: Seals, at: int) -> tuple[Records, Seals]:
    return [*kept[: at + 1], resealed(kept[at], lambda event: event.update(id=FORGED)), *kept[at + 1 :]], seals


def insert_with_a_seal(kept: Records, seals: Seals, at: int) -> tuple[Records, Seals]:
    return insert(kept, seals, at)[0], [*seals[: at + 1], seals[at], *seals[at + 1 :]]


def move(kept: Records, seals: Seals, at: int) -> tuple[Records, Seals]:
    other = at + 1 if at + 1 < len(kept) else at - 1
    changed = list(kept)
    changed[at], changed[other] = changed[other], changed[at]
    return changed, seals


def move_with_the_seal(kept: Records, seals: Seals, at: int) -> tuple[Records, Seals]:
    other = at + 1 if at + 1 < len(kept) else at - 1
    changed = list(seals)
    changed[at], changed[other] = changed[other], changed[at]
    return move(kept, seals, at)[0], changed


def cut(kept: Records, seals: Seals, at: int) -> tuple[Records, Seals]:
    return kept[:at], seals[:at]


#: What is done to every file alike, and what is said of the record.
FORGERIES: dict[str, tuple[Callable[[Records, Seals, int], tuple[Records, Seals]], str]] = {
    "edited": (edit, "was edited"),
    "edited, its seal spoiled": (edit_and_break_the_seal, "was edited"),
    "deleted": (delete, "deleted"),
    "deleted with its seal": (delete_with_the_seal, "deleted"),
    "inserted": (insert, "was inserted after record {seq}"),
    "inserted with a seal": (insert_with_a_seal, "was inserted after record {seq}"),
    "moved": (move, "was moved"),
    "moved with its seal": (move_with_the_seal, "was moved"),
    "cut": (cut, "cut off"),
}


def leave(folder: Path) -> None:
    """The manifest stays as it was signed."""


def rehash(folder: Path) -> None:
    """The manifest says the hashes that the files have now; its note cannot be signed again."""
    manifest = json.loads((folder / "manifest.json").read_text())
    count = len(lines(folder))
    manifest |= {
        "size": str(count), "records": str(count), "root": base64.b16encode(bytes(32)).decode().lower(),
        "ids": base64.b64encode(b"".join(bytes.fromhex(json.loads(one)["event"]["id"].replace("-", "")) for one in lines(folder))).decode(),
    }  # fmt: skip
    for name in manifest["files"]:
        data = (folder / name).read_bytes()
        manifest["files"][name] = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": str(len(data))}
    (folder / "manifest.json").write_text(json.dumps(manifest))


def drop(folder: Path) -> None:
    for name in ("manifest.json", "manifest.note"):
        (folder / name).unlink()


MANIFESTS = {"left": leave, "rewritten": rehash, "dropped": drop}


def forge(folder: Path, forgery: str, at: int) -> None:
    """Rewrite events, spreadsheet, leaves, tree and seals alike; every record is numbered and hashed anew."""
    data = (folder / "seals.bin").read_bytes()
    records, seals = FORGERIES[forgery][0](lines(folder), [data[n : n + 64] for n in range(0, len(data), 64)], at)
    records = [resealed(line, lambda _: None, seq) for seq, line in enumerate(records)]
    rewrite(folder, records)
    resealed_lists(folder)
    (folder / "seals.bin").write_bytes(b"".join(seals))
    with (folder / "events.csv").open("w", newline="") as out:
        rows = csv.writer(out, lineterminator="\r\n")
        rows.writerow(COLUMNS)
        rows.writerows(csv_row(told["seq"], told["event"]) for told in map(json.loads, records))


def zipped(folder: Path) -> Path:
    made = folder.parent / "forged.zip"
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as out:
        for path in sorted(folder.iterdir()):
            out.write(path, path.name)
    return made


@pytest.mark.parametrize("where", PLACES)
@pytest.mark.parametrize("manifest", MANIFESTS)
@pytest.mark.parametrize("forgery", FORGERIES)
def test_every_file_rewritten_alike_still_names_the_record(
    forgery: str, manifest: str, where: str, folder: Path, capsys: Any
) -> None:
    seq = PLACES[where]
    name = str(AuditSequence.objects.get(seq=seq).event_id)
    forge(folder, forgery, seq)
    MANIFESTS[manifest](folder)
    status, said = verdict(zipped(folder), capsys)
    assert status == 1, said
    words = FORGERIES[forgery][1].format(seq=seq)
    sentences = [line for line in said.splitlines() if words in line]
    if "moved" in words:
        assert any(f"record {one} " in line for one in (seq - 1, seq, seq + 1) for line in sentences), said
    else:
        assert any(f"record {seq}" in line for line in sentences), said
    if manifest == "left" and words in ("was edited", "deleted", "cut off"):
        assert any(name in line for line in sentences), f"the manifest is signed and knows its name: {said}"
    others = {n for n in range(COUNT) if f"record {n} " in said} - {seq - 1, seq, seq + 1}
    assert not others or "moved" in words or words in ("deleted", "cut off") or "inserted" in words, said


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("damage", ["deleted", "edited", "moved"])
def test_a_checkpoint_touched_alone_is_named(damage: str, place: int, folder: Path, capsys: Any) -> None:
    kept = lines(folder, "checkpoints.jsonl")
    size = (5, 12, COUNT)[place]
    if damage == "deleted":
        del kept[place]
    elif damage == "edited":
        kept[place] = kept[place].replace(f"\\n{size}\\n", f"\\n{size - 1}\\n")
    else:
        kept[place], kept[place - 1] = kept[place - 1], kept[place]
    rewrite(folder, kept, "checkpoints.jsonl")
    status, said = verdict(folder, capsys)
    assert status == 1
    words = "stands in the wrong place" if damage == "moved" else f"the checkpoint of {size} records is missing"
    assert words in said


@pytest.mark.parametrize("where", PLACES)
def test_a_seal_touched_alone_is_named(where: str, folder: Path, capsys: Any) -> None:
    data, seq = bytearray((folder / "seals.bin").read_bytes()), PLACES[where]
    data[64 * seq + 40] ^= 1
    (folder / "seals.bin").write_bytes(data)
    status, said = verdict(folder, capsys)
    assert status == 1
    assert f"seals.bin: the seal of record {seq} (" in said


@pytest.mark.parametrize("at", [-2, -3, -95])
def test_no_bit_of_a_note_is_free(at: int, folder: Path, capsys: Any) -> None:
    """Its last letters (padding bits of base64) and the four bytes that say which key: none may change."""
    note_ = (folder / "manifest.note").read_bytes()
    data = bytearray(note_.rstrip(b"\n=") if at == -2 else note_)
    data[at] = data[at] + 1 if data[at] != ord("z") else data[at] - 1
    (folder / "manifest.note").write_bytes(bytes(data) + (b"=\n" if at == -2 else b""))
    assert verdict(folder, capsys)[0] == 1
    (folder / "manifest.note").write_bytes(note_ + b"approved by nobody\n")
    assert verdict(folder, capsys)[0] == 1


@pytest.mark.parametrize("where", PLACES)
def test_an_id_changed_in_the_list_of_leaves_is_named(where: str, folder: Path, capsys: Any) -> None:
    kept, seq = lines(folder, "leaves.txt"), PLACES[where]
    kept[seq] = f"{kept[seq].rpartition(' ')[0]} {FORGED}"
    rewrite(folder, kept, "leaves.txt")
    status, said = verdict(folder, capsys)
    assert status == 1
    assert f"record {seq} ({AuditSequence.objects.get(seq=seq).event_id}) was given the id {FORGED}" in said


def test_noise_in_any_file_is_refused_and_never_a_traceback(folder: Path, tmp_path: Path) -> None:
    """Bits turned, lines doubled, ends cut, nonsense appended: in every file, by a stranger's own Python."""
    random_ = random.Random(7)
    names = sorted(path.name for path in folder.iterdir())
    whole = {name: (folder / name).read_bytes() for name in names}
    script = (
        "import io, sys, contextlib, runpy\n"
        f"sys.argv = ['verify_audit.py']; main = runpy.run_path({str(BASE_DIR / 'tools' / 'verify_audit.py')!r})['main']\n"
        "for path in sys.stdin.read().split():\n"
        "    with contextlib.redirect_stdout(io.StringIO()):\n"
        "        status = main([path])\n"
        "    print(status)\n"
    )
    given = []
    for number in range(60):
        name = names[number % len(names)]
        data = bytearray(whole[name])
        kind = random_.choice(("bit", "double", "cut", "append", "nul", "deep"))
        at = random_.randrange(len(data))
        if kind == "bit":
            data[at] ^= 1 << random_.randrange(8)
        elif kind == "double":
            data[at:at] = data[at : at + 200]
        elif kind == "cut":
            del data[at:]
        elif kind == "append":
            data += random_.choice((b"\r", b"\xff\n", b"[]\n", b"1\n", b'"\n', b"null\n"))
        elif kind == "nul":
            data[at:at] = b"\0\r\n\0"
        else:
            data[at:at] = b"[" * 5000 + b"\n"
        made = tmp_path / f"{number}.zip"
        with zipfile.ZipFile(made, "w") as out:
            for one in names:
                out.writestr(one, bytes(data) if one == name else whole[one])
        given.append(made)
    for receipt in ("[]", "null", "{}", '{"checkpoint": 1}', "[" * 5000):
        made = tmp_path / f"{len(given)}.json"
        made.write_text(receipt)
        given.append(made)
    done = subprocess.run(
        [sys.executable, "-I", "-c", script], input="\n".join(map(str, given)), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.split()) <= {"1", "2"}
    assert len(done.stdout.split()) == len(given)


def test_a_trail_forged_from_end_to_end_is_refused_in_seconds(folder: Path, capsys: Any) -> None:
    """Every record edited: no more seals are looked at than the program says."""
    rewrite(folder, [resealed(line, lambda event: event.update(actor="x")) for line in lines(folder)])
    resealed_lists(folder)
    status, said = verdict(folder, capsys)
    assert status == 1
    assert said.count("was edited") >= COUNT
