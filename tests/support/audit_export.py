"""A small trail, its export unpacked, and ways to damage it."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.db import transaction

from apps.audit import canonical, export, tree
from apps.audit.actors import Actor
from apps.audit.services import record
from apps.core.lake import lake
from tools import verify_audit

SYSTEM = Actor.process("test")


def note(number: int, *, trial: str = "DEMO", **values: Any) -> None:
    """One event in a transaction of its own."""
    with transaction.atomic():
        record(
            by=SYSTEM,
            action="job.started",
            object_type="pipelines.JobRun",
            object_id=f"run {number}",
            trial=trial,
            **{
                "before": {"n": number},
                "after": {"n": number + 1, "text": 'µ, "quoted"\n=1+1'},
                "reason": "=2+2",
                **values,
            },
        )


def unpacked(folder: Path, trial: str | None = None) -> Path:
    """The export of the trail as it is, as a folder."""
    made = folder / "export.zip"
    export.write(target=made, trial=trial, made_by="ana")
    target = folder / "export"
    with zipfile.ZipFile(made) as data:
        data.extractall(target)
    return target


def verdict(path: Path, capsys: Any, *options: str) -> tuple[int, str]:
    """Status and output of the stranger's program."""
    capsys.readouterr()
    status = verify_audit.main([str(path), *options])
    return status, capsys.readouterr().out


def lines(folder: Path, name: str = "events.jsonl") -> list[str]:
    return (folder / name).read_text().splitlines()


def rewrite(folder: Path, new: list[str], name: str = "events.jsonl") -> None:
    (folder / name).write_text("".join(f"{line}\n" for line in new))


def resealed(line: str, change: Callable[[dict[str, Any]], None], seq: int | None = None) -> str:
    """A record changed by somebody who knows how leaves are hashed."""
    told = json.loads(line)
    change(told["event"])
    told["leaf"] = tree.leaf_hash(canonical.encode(told["event"])).hex()
    if seq is not None:
        told["seq"] = str(seq)
    return canonical.encode(told).decode()


def resealed_lists(folder: Path) -> None:
    """Make leaves.txt and tree.bin say what events.jsonl now says: everything but the signatures."""
    told = [json.loads(line) for line in lines(folder)]
    rewrite(folder, [f"{seq} {one['leaf']} {one['event']['id']}" for seq, one in enumerate(told)], "leaves.txt")
    grown, nodes = tree.CompactRange(), []
    for one in told:
        leaf = bytes.fromhex(one["leaf"])
        nodes += [leaf, *grown.append(leaf)]
    (folder / "tree.bin").write_bytes(b"".join(nodes))


def fresh_lake(settings: Any, url: str) -> None:
    """Let the signer begin in this lake, with a key of its own."""
    settings.LAKE_URL = url
    settings.AUDIT_SIGNING_KEY = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
    lake.cache_clear()
