"""Part of a lake as one file and a manifest: what a version store carries instead of thousands of small objects.

``objects.tar`` is a plain archive whose bytes follow from the objects alone (names sorted, no times, no owners);
``manifest.json`` names each object with its size and SHA-256, so that a restored lake can be proved to be the packed one.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from ml.lake.store import Lake, LakeError

ARCHIVE, MANIFEST = "objects.tar", "manifest.json"


def pack(lake: Lake, prefixes: Sequence[str], folder: Path, *, without: Collection[str] = ()) -> dict[str, Any]:
    """Write the objects under `prefixes` into `folder`, but for those named in `without`. Returns the manifest's totals."""
    folder.mkdir(parents=True, exist_ok=True)
    names = sorted({info.path for prefix in prefixes for info in lake.list(prefix)} - set(without))
    objects = []
    with tarfile.open(folder / ARCHIVE, "w", format=tarfile.PAX_FORMAT) as archive:
        for name in names:
            data = lake.get(name)
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(data), 0o644
            archive.addfile(entry, io.BytesIO(data))
            objects.append({"path": name, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()})
    totals = {"objects": len(objects), "bytes": sum(int(str(one["size"])) for one in objects)}
    text = json.dumps({**totals, "files": objects}, indent=0, sort_keys=True)
    (folder / MANIFEST).write_text(text + "\n")
    return totals


def unpack(folder: Path, lake: Lake) -> int:
    """Put the packed objects into `lake`; how many. LakeError names what is missing, altered or not in the manifest."""
    try:
        expected = {one["path"]: one for one in json.loads((folder / MANIFEST).read_text())["files"]}
        with tarfile.open(folder / ARCHIVE) as archive:
            return _restore(archive, expected, lake, folder)
    except (OSError, ValueError, tarfile.TarError) as error:
        raise LakeError(f"{folder} holds no packed lake: {error}. Pull it, or run the stage that writes it.") from error


def _restore(archive: tarfile.TarFile, expected: dict[str, dict[str, Any]], lake: Lake, folder: Path) -> int:
    done = 0
    for entry in archive:
        stream = archive.extractfile(entry)
        data = b"" if stream is None else stream.read()
        body = expected.pop(entry.name, None)
        if body is None or hashlib.sha256(data).hexdigest() != body["sha256"]:
            raise LakeError(f"{folder / ARCHIVE}: {entry.name} is not what the manifest says.")
        lake.put(entry.name, data)
        done += 1
    if expected:
        raise LakeError(f"{folder / ARCHIVE} lacks {min(expected)} and {len(expected) - 1} others of the manifest.")
    return done
