"""Data versions on file: what a model was trained on is kept with DVC, and given back by its digest.

A data version is the SHA-256 of the features' manifest. Its files go into a DVC store under the var folder (without git)
as hard links, so that they cost a name each and no second copy; the lake replaces objects and never changes them, so what
is kept stays as it was. An operator may give the store a remote (`dvc remote add --default …` in it): then versions are
pushed there, and fetched from there when the store itself has lost them.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq
from django.conf import settings

from apps.core.errors import Conflict, Invalid, NotFound, Unavailable
from apps.core.lake import lake as the_lake
from ml.lake import Lake, ObjectMissing
from ml.lake.parquet import parquet_digest
from ml.training.source import features_manifest, labels_manifest

FEATURES = "features"
LABELS = "labels-"
SHORTEST = 8
"""Characters of a digest that name it at least."""
#: Links first, without which each version would be a copy; a store on another file system copies.
CONFIGURATION = """[core]
    no_scm = True
    analytics = false
    check_update = false
[cache]
    type = "hardlink,copy"
"""
Report = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Restored:
    """What was given back: digests, files and rows."""

    trial: str
    data_version: str
    labels_version: str
    files: int
    rows: int


def store() -> Path:
    """The DVC store."""
    return Path(settings.VAR_DIR) / "dvc"


def keep(context: dict[str, Any], report: Report) -> dict[str, Any]:
    """The step. Input: trial. Keeps its present features and labels; what is kept already is not kept again."""
    lake, trial = the_lake(), str(context["trial"])
    data, manifest = _manifest(lake, features_manifest(trial))
    version = hashlib.sha256(data).hexdigest()
    label_data, labels = _manifest(lake, labels_manifest(trial))
    if labels["features"] != manifest["days"]:
        raise Conflict("The labels belong to older features.", cure="Run the labels job again.", code="older_labels")
    folder = store() / trial / version
    parts = {
        FEATURES: {features_manifest(trial): data, **dict.fromkeys(manifest["days"])},
        f"{LABELS}{hashlib.sha256(label_data).hexdigest()}": {labels_manifest(trial): label_data, labels["path"]: None},
    }
    new = [name for name in parts if not (folder / f"{name}.dvc").is_file()]
    if new:
        report(f"data version {version[:12]}", 0, 1)
        _add(lake, {folder / name: parts[name] for name in new})
    return {"kept_version": version, "kept_new": len(new)}


def restore(digest: str, to: Path, *, labels: str = "") -> Restored:
    """Lay a data version into an empty folder as a lake that training reads, every file compared with its manifest.

    `digest` and `labels` (default: the newest labels kept with it) may be shortened. Raises Invalid for a digest too short
    or a folder that is not empty, NotFound where nothing is kept, Conflict where a file is not what the manifest says.
    """
    pointer = _found(digest, list(store().glob(f"*/{digest}*/{FEATURES}.dvc")))
    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise Invalid(f"{to} is not empty.", cure="Name a new folder.", code="not_empty")
    version, trial = pointer.parent.name, pointer.parent.parent.name
    chosen = sorted(pointer.parent.glob(f"{LABELS}{labels}*.dvc"), key=lambda path: path.stat().st_mtime)
    if not chosen:
        raise NotFound(f"No labels {labels} are kept with data version {version[:12]}.", code="no_labels")
    _fetch((pointer, chosen[-1]), to)
    files = sum(path.is_file() for path in to.rglob("*"))
    found = Lake.from_url(to)
    rows = _verify(found, trial, version, chosen[-1].stem.removeprefix(LABELS))
    return Restored(trial, version, chosen[-1].stem.removeprefix(LABELS), files, rows)


def kept() -> list[tuple[str, str]]:
    """(trial, data version) of all that is kept, newest first."""
    found = sorted(store().glob(f"*/*/{FEATURES}.dvc"), key=lambda path: path.stat().st_mtime, reverse=True)
    return [(path.parent.parent.name, path.parent.name) for path in found]


def _manifest(lake: Lake, path: str) -> tuple[bytes, dict[str, Any]]:
    try:
        data = lake.get(path)
    except ObjectMissing as error:
        raise NotFound(f"{path} is not there.", cure="Run the features job first.", code="no_manifest") from error
    return data, json.loads(data)


def _found(digest: str, pointers: list[Path]) -> Path:
    if len(digest) < SHORTEST or not set(digest) <= set("0123456789abcdef"):
        raise Invalid(
            f"{digest!r} is no data version.",
            cure=f"Give its digest, or the first {SHORTEST} characters of it or more.",
        )
    if not pointers:
        raise NotFound(f"Data version {digest} is not kept here.", cure="`manage.py data_version` lists what is.")
    if len(pointers) > 1:
        raise Invalid(f"{digest} begins the names of {len(pointers)} data versions.", cure="Give more characters.")
    return pointers[0]


def _add(lake: Lake, outputs: dict[Path, dict[str, bytes | None]]) -> None:
    """Track each folder of `outputs` with its files (path in the lake → bytes, None = as they lie there)."""
    _begin()
    for folder, files in outputs.items():
        shutil.rmtree(folder, ignore_errors=True)  # what a run that died has left
        for path, data in files.items():
            place = folder / path
            place.parent.mkdir(parents=True, exist_ok=True)
            source = lake.local_path(path)
            if data is None and source is not None:
                _link(source, place)
            else:
                place.write_bytes(lake.get(path) if data is None else data)
    names = [str(folder.relative_to(store())) for folder in outputs]
    _dvc("add", "--quiet", *names)
    if _remote():
        _dvc("push", "--quiet", *(f"{name}.dvc" for name in names))
    for folder in outputs:
        shutil.rmtree(folder)  # the store's cache has them; a second set of names would only be in the way


def _fetch(pointers: Sequence[Path], to: Path) -> None:
    """Check out what the pointers name, and lay it into `to`."""
    names = [str(pointer.relative_to(store())) for pointer in pointers]
    _dvc("pull" if _remote() else "checkout", "--quiet", *names)
    for folder in (pointer.with_suffix("") for pointer in pointers):
        for source in sorted(folder.rglob("*")):
            if source.is_file():
                place = to / source.relative_to(folder)
                place.parent.mkdir(parents=True, exist_ok=True)
                # A copy, not a link: whoever works on what was given back must not be able to change what is kept.
                shutil.copyfile(source, place)
        shutil.rmtree(folder)


def _verify(found: Lake, trial: str, version: str, labels_version: str) -> int:
    """Compare a restored lake with its manifests; the rows of its features."""
    data, manifest = _manifest(found, features_manifest(trial))
    label_data, labels = _manifest(found, labels_manifest(trial))
    wrong = [
        name
        for name, content, digest in (("features", data, version), ("labels", label_data, labels_version))
        if hashlib.sha256(content).hexdigest() != digest
    ]
    if not wrong:
        wrong = [path for path, body in manifest["days"].items() if _digest_of(found, path, trial) != body["sha256"]]
        if hashlib.sha256(found.get(labels["path"])).hexdigest() != labels["sha256"]:
            wrong.append(labels["path"])
    if wrong:
        raise Conflict(
            f"What is kept of data version {version[:12]} is not what it was: {', '.join(wrong[:5])}.", code="altered"
        )
    return int(manifest["rows"])


def _digest_of(found: Lake, path: str, trial: str) -> str:
    """A day's digest: that of the trial's own rows, for a day's object may hold those of other trials, too."""
    try:
        table = pq.read_table(io.BytesIO(found.get(path)), use_threads=False)
    except (ObjectMissing, OSError, ValueError):
        return ""
    return parquet_digest(table.filter(pc.equal(table["trial_id"], trial)))


def _link(source: Path, place: Path) -> None:
    try:
        os.link(source, place)
    except OSError:  # another file system
        shutil.copyfile(source, place)


def _begin() -> None:
    """Make the store, once."""
    config = store() / ".dvc" / "config"
    if not config.is_file():
        config.parent.mkdir(parents=True, exist_ok=True)
        config.write_text(
            CONFIGURATION
        )  # what `dvc init --no-scm` and three `dvc config` would write, without their seconds


def _remote() -> bool:
    """Whether the operator has given the store a default remote."""
    places = (store() / ".dvc" / name for name in ("config", "config.local"))
    return any("remote =" in place.read_text() for place in places if place.is_file())


def _dvc(*arguments: str) -> None:
    done = subprocess.run([sys.executable, "-m", "dvc", *arguments], cwd=store(), capture_output=True, text=True)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise Unavailable(
            f"DVC could not {arguments[0]}: {said[-1][:300] if said else 'it said nothing'}",
            cure=f"Run `dvc {' '.join(arguments)}` in {store()} and mend what it says.",
            code="dvc",
        )
