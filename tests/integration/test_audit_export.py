"""A damaged export is refused each time, and the record is named: every damage at the first, a middle and the last record."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from apps.audit import checkpoints, export, signer
from apps.audit.models import AuditEvent, AuditSequence
from apps.core.lake import lake as the_lake
from clinical_portal.env import BASE_DIR
from tests.support.audit_export import fresh_lake, lines, note, resealed, resealed_lists, rewrite, unpacked, verdict

pytestmark = pytest.mark.django_db
COUNT = 21
PLACES = {"first": 0, "middle": 10, "last": COUNT - 1}


@pytest.fixture(autouse=True)
def _lake(lake: str, settings: Any) -> Iterator[None]:
    fresh_lake(settings, lake)
    yield
    the_lake.cache_clear()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An export of 21 records of two trials, sealed under three checkpoints."""
    for number in range(COUNT):
        note(number, trial="OTHER" if number % 4 == 2 else "DEMO")
        if number in (5, 13):
            checkpoints.seal()
    return unpacked(tmp_path)


def identify(folder: Path, seq: int) -> str:
    return str(AuditSequence.objects.get(seq=seq).event_id)


def change_actor(event: dict[str, Any]) -> None:
    event["actor"] = "somebody else"


def edit(kept: list[str], at: int) -> list[str]:
    return [
        line.replace('"actor":"system:test"', '"actor":"somebody"') if n == at else line for n, line in enumerate(kept)
    ]


def edit_and_reseal(kept: list[str], at: int) -> list[str]:
    return [resealed(line, change_actor) if n == at else line for n, line in enumerate(kept)]


def edit_leaf(kept: list[str], at: int) -> list[str]:
    told = json.loads(kept[at])
    return [*kept[:at], kept[at].replace(told["leaf"], "0" * 64), *kept[at + 1 :]]


def spoil(kept: list[str], at: int) -> list[str]:
    return [*kept[:at], kept[at][:-9], *kept[at + 1 :]]


def respell(kept: list[str], at: int) -> list[str]:
    """The same record with a second value for a name: one program reads the first, another the last."""
    return [*kept[:at], kept[at].replace('"actor":', '"actor":"x","actor":', 1), *kept[at + 1 :]]


def delete(kept: list[str], at: int) -> list[str]:
    return kept[:at] + kept[at + 1 :]


def delete_and_renumber(kept: list[str], at: int) -> list[str]:
    rest = delete(kept, at)
    return [resealed(line, lambda _: None, seq) for seq, line in enumerate(rest)]


def insert(kept: list[str], at: int) -> list[str]:
    forged = resealed(kept[at], lambda event: event.update(id="01900000-0000-7000-8000-000000000000"))
    return [*kept[: at + 1], forged, *kept[at + 1 :]]


def insert_and_renumber(kept: list[str], at: int) -> list[str]:
    return [resealed(line, lambda _: None, seq) for seq, line in enumerate(insert(kept, at))]


def repeat(kept: list[str], at: int) -> list[str]:
    return [*kept[: at + 1], *kept[at:]]


def move(kept: list[str], at: int) -> list[str]:
    other = at + 1 if at + 1 < len(kept) else at - 1
    changed = list(kept)
    changed[at], changed[other] = changed[other], changed[at]
    return changed


def move_and_renumber(kept: list[str], at: int) -> list[str]:
    return [resealed(line, lambda _: None, seq) for seq, line in enumerate(move(kept, at))]


def cut(kept: list[str], at: int) -> list[str]:
    return kept[:at]


#: The damage, and what is said of it.
DAMAGES: dict[str, tuple[Callable[[list[str], int], list[str]], str]] = {
    "edited": (edit, "was edited"),
    "edited, its hash too": (edit_and_reseal, "was edited"),
    "its hash edited": (edit_leaf, "was edited"),
    "spoiled": (spoil, "was edited"),
    "spelled twice": (respell, "was edited"),
    "deleted": (delete, "deleted"),
    "deleted, the others renumbered": (delete_and_renumber, "deleted"),
    "inserted": (insert, "was inserted after record {seq}"),
    "inserted, the others renumbered": (insert_and_renumber, "was inserted after record {seq}"),
    "repeated": (repeat, "was inserted: it repeats"),
    "moved": (move, "was moved"),
    "moved and renumbered": (move_and_renumber, "was moved"),
    "cut": (cut, "the end was cut off"),
}


def names_it(said: str, words: str, seq: int, folder: Path, *, by_id: bool = True) -> None:
    words = words.format(seq=seq)
    sentences = [line for line in said.splitlines() if words in line]
    assert sentences, said
    if "moved" in words:  # of two that changed places either may be said to be the one that moved
        assert any(f"record {one} (" in sentences[0] for one in (seq - 1, seq, seq + 1)), said
    else:
        assert f"record {seq}" in sentences[0], said
    if by_id and "inserted after" not in words and "moved" not in words:
        assert identify(folder, seq) in sentences[0], said


def test_an_export_as_it_was_made_is_verified(folder: Path, capsys: Any) -> None:
    status, said = verdict(folder, capsys)
    assert status == 0, said
    assert "VERIFIED" in said
    assert "21 records give their sealed hashes" in said
    assert "3 checkpoints" in said
    status, said = verdict(folder.parent / "export.zip", capsys, "--key", signer.public_key().text)
    assert status == 0, said
    assert "It came with what it is to prove" not in said


def test_a_stranger_needs_python_and_the_one_file(folder: Path, tmp_path: Path) -> None:
    alone = tmp_path / "alone"
    alone.mkdir()
    shutil.copy(BASE_DIR / "tools" / "verify_audit.py", alone)
    done = subprocess.run(
        [sys.executable, "-I", "-S", "verify_audit.py", str(folder)],
        cwd=alone,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "VERIFIED" in done.stdout


@pytest.mark.parametrize("where", PLACES)
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_export_is_refused_and_the_record_is_named(
    damage: str, where: str, folder: Path, capsys: Any
) -> None:
    seq = PLACES[where]
    do, words = DAMAGES[damage]
    rewrite(folder, do(lines(folder), seq))
    status, said = verdict(folder, capsys)
    assert status == 1, said
    assert "REFUSED" in said
    names_it(said, words, seq, folder)


@pytest.mark.parametrize("where", PLACES)
@pytest.mark.parametrize(
    "damage",
    [
        "edited, its hash too",
        "deleted, the others renumbered",
        "inserted, the others renumbered",
        "moved and renumbered",
    ],
)
def test_the_list_of_leaves_rewritten_too_hides_nothing(damage: str, where: str, folder: Path, capsys: Any) -> None:
    """The second copy of the tree still has the signed root, so the record is named as before."""
    seq, stored = PLACES[where], (folder / "tree.bin").read_bytes()
    do, words = DAMAGES[damage]
    rewrite(folder, do(lines(folder), seq))
    resealed_lists(folder)
    (folder / "tree.bin").write_bytes(stored)
    status, said = verdict(folder, capsys)
    assert status == 1, said
    said = "\n".join(line for line in said.splitlines() if "events.jsonl" in line)
    names_it(said, words, seq, folder, by_id="deleted" not in words)  # its id stands nowhere any more


@pytest.mark.parametrize(("where", "bounds"), [("first", "0 to 5"), ("middle", "6 to 13"), ("last", "14 to 20")])
def test_everything_resealed_is_caught_by_the_signatures(where: str, bounds: str, folder: Path, capsys: Any) -> None:
    """Whoever recomputes every hash is held by the signatures; the checkpoints before it say how far all is well."""
    rewrite(folder, edit_and_reseal(lines(folder), PLACES[where]))
    resealed_lists(folder)
    for name in ("manifest.json", "manifest.note"):
        (folder / name).unlink()
    status, said = verdict(folder, capsys)
    assert status == 1, said
    assert f"the records {bounds} are not those that were signed" in said


def test_an_export_cut_back_to_an_older_checkpoint_needs_one_from_elsewhere(
    folder: Path, tmp_path: Path, capsys: Any
) -> None:
    """Cut with manifest and newest checkpoints, what is left was once true: only what is kept elsewhere tells."""
    newest = tmp_path / "last.note"
    newest.write_bytes(the_lake().get(signer.MEMORY))
    rewrite(folder, lines(folder)[:14])
    resealed_lists(folder)
    rewrite(folder, lines(folder, "checkpoints.jsonl")[:2], "checkpoints.jsonl")
    with (folder / "events.csv").open(newline="") as data:
        kept = list(csv.reader(data))[:15]
    with (folder / "events.csv").open("w", newline="") as out:
        csv.writer(out, lineterminator="\r\n").writerows(kept)
    for name in ("manifest.json", "manifest.note"):
        (folder / name).unlink()
    status, said = verdict(folder, capsys, "--checkpoint", str(newest))
    assert status == 1
    assert "The records 14 to 20 were cut off" in said


def test_a_checkpoint_kept_elsewhere_must_be_on_the_way(folder: Path, tmp_path: Path, capsys: Any) -> None:
    elsewhere = tmp_path / "old.note"
    elsewhere.write_text(json.loads(lines(folder, "checkpoints.jsonl")[0])["note"])
    assert verdict(folder, capsys, "--checkpoint", str(elsewhere))[0] == 0
    other = signer.Checkpoint(checkpoints.newest().origin, 6, bytes(32), "2026-01-01T00:00:00.000000Z")
    elsewhere.write_text(signer.signing_key().sign(other.text))
    status, said = verdict(folder, capsys, "--checkpoint", str(elsewhere))
    assert status == 1
    assert "the records 0 to 5 are not those that were signed" in said
    elsewhere.write_text(elsewhere.read_text().replace("\n6\n", "\n7\n"))
    assert "not signed by the key" in verdict(folder, capsys, "--checkpoint", str(elsewhere))[1]


@pytest.mark.parametrize(
    "name",
    [
        "events.jsonl",
        "events.csv",
        "leaves.txt",
        "tree.bin",
        "checkpoints.jsonl",
        "manifest.json",
        "manifest.note",
        "README.txt",
    ],
)
def test_no_file_can_be_left_out_or_emptied(name: str, folder: Path, capsys: Any) -> None:
    (folder / name).write_bytes(b"")
    assert verdict(folder, capsys)[0] == 1
    (folder / name).unlink()
    status, said = verdict(folder, capsys)
    assert status == 1, said
    assert name.partition(".")[0] in said


@pytest.mark.parametrize("where", PLACES)
@pytest.mark.parametrize("name", ["events.csv", "leaves.txt"])
def test_the_other_lists_are_compared_record_by_record(name: str, where: str, folder: Path, capsys: Any) -> None:
    seq = PLACES[where]
    if name == "leaves.txt":
        kept = lines(folder, name)
        kept[seq] = kept[seq].replace(kept[seq].split()[1], "ab" * 32)
        rewrite(folder, kept, name)
    else:
        with (folder / name).open(newline="") as data:
            rows = list(csv.reader(data))
        rows[seq + 1][3] = "somebody"
        with (folder / name).open("w", newline="") as out:
            csv.writer(out, lineterminator="\r\n").writerows(rows)
    status, said = verdict(folder, capsys)
    assert status == 1
    assert f"{name}: record {seq} ({identify(folder, seq)}) was edited" in said


@pytest.mark.parametrize("where", PLACES)
def test_the_second_copy_of_the_tree_is_compared_too(where: str, folder: Path, capsys: Any) -> None:
    data, seq = bytearray((folder / "tree.bin").read_bytes()), PLACES[where]
    data[32 * (2 * seq - seq.bit_count())] ^= 1  # the leaf of record seq stands behind 2·seq − (ones in seq) nodes
    (folder / "tree.bin").write_bytes(data)
    status, said = verdict(folder, capsys)
    assert status == 1
    assert f"tree.bin: record {seq} " in said


def test_cells_that_would_be_formulas_are_text(folder: Path) -> None:
    with (folder / "events.csv").open(newline="") as data:
        rows = list(csv.DictReader(data))
    assert rows[0]["reason"] == "'=2+2"
    assert not any(cell.startswith(("=", "+", "-", "@")) for row in rows for cell in row.values())


def test_another_key_proves_nothing(folder: Path, capsys: Any, settings: Any) -> None:
    settings.AUDIT_SIGNING_KEY = "HyAdHhsaGRgXFhUUExIREA8ODQwLCgkIBwYFBAMCAQA="
    status, said = verdict(folder, capsys, "--key", signer.public_key().text)
    assert status == 1
    assert "nothing in it is proven" in said


# --- one trial ------------------------------------------------------------------------------------------------------


@pytest.fixture
def of_one_trial(folder: Path) -> Path:
    shutil.rmtree(folder)
    return unpacked(folder.parent, "DEMO")


def test_an_export_of_one_trial_is_verified_and_tells_nothing_of_another(of_one_trial: Path, capsys: Any) -> None:
    status, said = verdict(of_one_trial, capsys)
    assert status == 0, said
    assert "16 records of trial DEMO" in said
    others = AuditEvent.objects.filter(trial="OTHER")
    told = b"".join(path.read_bytes() for path in of_one_trial.iterdir())
    assert others.count() == 5
    for event in others:
        assert str(event.pk).encode() not in told
    assert b"OTHER" not in told


@pytest.mark.parametrize("at", [0, 7, 15])
@pytest.mark.parametrize("damage", ["edited, its hash too", "deleted", "inserted", "repeated", "cut"])
def test_a_damaged_export_of_one_trial_is_refused_and_the_record_is_named(
    damage: str, at: int, of_one_trial: Path, capsys: Any
) -> None:
    seq = int(json.loads(lines(of_one_trial)[at])["seq"])
    do, words = DAMAGES[damage]
    rewrite(of_one_trial, do(lines(of_one_trial), at))
    status, said = verdict(of_one_trial, capsys)
    assert status == 1
    names_it(said, words, seq, of_one_trial)


def test_a_record_cannot_be_passed_off_as_another_trials(of_one_trial: Path, capsys: Any) -> None:
    """Deleted, and its leaf shown as one of the hidden: the signed manifest says which records belong here."""
    rewrite(of_one_trial, delete(lines(of_one_trial), 7))
    leaves = lines(of_one_trial, "leaves.txt")
    leaves[9] = leaves[9].rpartition(" ")[0] + " -"
    rewrite(of_one_trial, leaves, "leaves.txt")
    status, said = verdict(of_one_trial, capsys)
    assert status == 1
    assert f"record 9 ({identify(of_one_trial, 9)}) was deleted" in said, "the manifest still knows its name"


# --- the receipt of one record --------------------------------------------------------------------------------------


@pytest.mark.parametrize("seq", [0, 10, 20])
def test_a_receipt_proves_its_record_and_no_other(seq: int, folder: Path, tmp_path: Path, capsys: Any) -> None:
    made = tmp_path / "receipt.json"
    made.write_text(json.dumps(export.receipt(seq)))
    assert verdict(made, capsys)[0] == 0
    told = json.loads(made.read_text())
    for change in (
        {"event": {**told["event"], "actor": "x"}},
        {"seq": str((seq + 1) % COUNT)},
        {"proof": told["proof"][1:]},
    ):
        made.write_text(json.dumps({**told, **change}))
        status, said = verdict(made, capsys)
        assert status == 1
        assert told["event"]["id"] in said
