"""Where imported files may lie: the folder for imports that an operator names, and what people have sent.

Nothing else is ever opened. What was sent lies under a random name in `VAR_DIR/imports` until its import is done.
"""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from apps.core.errors import Forbidden, Invalid, NotFound

SENT = "imports"
TABLES = (".csv", ".tsv", ".txt", ".parquet")
ZIP = ".zip"
DEPTH, MOST = 3, 200
KEPT_HOURS = 24
UPLOAD_BYTES = 2 << 30


@dataclass(frozen=True, slots=True)
class Found:
    """Something under IMPORT_ROOT that can be imported; `name` is its path there, `form` sdtm or table."""

    name: str
    form: str
    files: int
    size: int
    modified: float


def sent_folder() -> Path:
    """The folder of what people have sent; made where it is not there."""
    folder = Path(settings.VAR_DIR) / SENT
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


def allowed(folder: Path | str) -> Path:
    """The place an operator names on the command line. Forbidden outside IMPORT_ROOT, where one is set."""
    place = Path(folder).resolve()
    if settings.IMPORT_ROOT:
        root = Path(settings.IMPORT_ROOT).resolve()
        if not place.is_relative_to(root):
            raise Forbidden(
                f"{place} lies outside the folder for imports.", cure=f"Put it under {settings.IMPORT_ROOT}."
            )
        _holds_no_way_out(place, root)
    return place


def under_root(name: str) -> Path:
    """The place that a page names, relative to IMPORT_ROOT; links out of it do not count. NotFound in all other cases."""
    if not settings.IMPORT_ROOT or not name or "\x00" in name:
        raise NotFound("There is no such folder for imports.", cure="Choose one from the list.")
    root = Path(settings.IMPORT_ROOT).resolve()
    try:
        place = (root / name).resolve()
        there = place.exists()
    except (OSError, ValueError):
        there = False
    if not there or not place.is_relative_to(root):
        raise NotFound("There is no such folder under the folder for imports.", cure="Choose one from the list.")
    _holds_no_way_out(place, root)
    return place


def _holds_no_way_out(place: Path, root: Path) -> None:
    """Forbidden where a link in a folder leads out of the folder for imports: who fills it must not read by us."""
    for path in place.rglob("*") if place.is_dir() else ():
        if path.is_symlink() and not path.resolve().is_relative_to(root):
            raise Forbidden(
                f"{path.relative_to(root)} is a link out of the folder for imports.", cure="Put the file itself there."
            )


def listing() -> list[Found]:
    """What can be imported from under IMPORT_ROOT, newest first, at most MOST."""
    if not settings.IMPORT_ROOT:
        return []
    root = Path(settings.IMPORT_ROOT).resolve()
    found: list[Found] = []
    waiting = [(root, 0)]
    while waiting and len(found) < MOST:
        folder, depth = waiting.pop()
        try:
            inside = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
        except OSError:
            continue
        transport = [path for path in inside if path.suffix.lower() == ".xpt" and path.is_file()]
        if transport:
            found.append(_found(root, folder, "sdtm", transport))
        for path in inside:
            if path.is_symlink():
                continue
            if path.is_dir() and depth < DEPTH:
                waiting.append((path, depth + 1))
            elif path.is_file() and path.suffix.lower() in (*TABLES, ZIP):
                found.append(_found(root, path, form_of(path.name), [path]))
    return sorted(found, key=lambda one: -one.modified)[:MOST]


def _found(root: Path, place: Path, form: str, files: list[Path]) -> Found:
    facts = [path.stat() for path in files]
    name = str(place.relative_to(root))
    return Found(name, form, len(files), sum(one.st_size for one in facts), max(one.st_mtime for one in facts))


def form_of(name: str) -> str:
    """How a file of this name is read: "sdtm" (a zip) or "table". Invalid for any other."""
    suffix = Path(name).suffix.lower()
    if suffix == ZIP:
        return "sdtm"
    if suffix in TABLES:
        return "table"
    raise Invalid(
        "This kind of file cannot be imported.",
        cure="Send a zip of SAS transport files (*.xpt), or a table as CSV, TSV or Parquet.",
        code="unknown_form",
    )


def remove(place: str) -> None:
    """Take away what was sent, with the folder it has for itself; nothing outside the folder of sent files is touched."""
    root = sent_folder().resolve()
    found = Path(place).resolve()
    if not place or found == root or not found.is_relative_to(root):
        return
    shutil.rmtree(root / found.relative_to(root).parts[0], ignore_errors=True)


def sweep(keep: set[str], *, hours: float = KEPT_HOURS) -> int:
    """Take away what was sent more than `hours` ago and is not among `keep`; how many folders went."""
    limit, gone = time.time() - hours * 3600, 0
    for folder in sent_folder().iterdir():
        if str(folder) not in keep and folder.stat().st_mtime < limit:
            shutil.rmtree(folder, ignore_errors=True) if folder.is_dir() else folder.unlink(missing_ok=True)
            gone += 1
    return gone
