"""Back up and restore everything that cannot be made again: the database and the lake.

    python -m clinical_portal.backup make TO          a new folder TO: signer's memory, database, lake, in this order
    python -m clinical_portal.backup check FROM       every hash of a backup, without restoring it
    python -m clinical_portal.backup restore FROM     into the database and lake of this environment, both empty

The order matters: what a prediction saw (offsets) is in the database, the messages are in the lake; a lake read after the
database holds at least those. What the audit's signer remembers is read before both: the database then holds every record
that it speaks of, and a restore can show it. Not in a backup, because it is made again: the online window (from bronze), the
cache, the queue. Not in it on purpose: secrets. Without the audit's signing key a restored trail can be verified but not
continued. MLflow keeps a database and files of its own; models that serve are in the lake and need neither.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from clinical_portal.env import env

FORMAT = 1
MANIFEST, DATABASE, OBJECTS, LIST = "manifest.json", "database.dump", "lake", "lake.jsonl"
#: Objects of the lake that the database must not be older than.
BEFORE_DATABASE = ("audit/signer/", "audit/anchors/")
CHUNK = 1 << 20
Say = Callable[[str], None]


class BackupError(Exception):
    """The backup or restore stopped; the message says why and what to do."""


def make(target: Path, say: Say = print) -> dict[str, object]:
    """Write a backup into ``target``, a folder that is not there yet; returns its manifest.

    Raises BackupError. The manifest is written last: a folder without one is no backup.
    """
    if target.exists():
        raise BackupError(f"{target} is there already: name a folder that is not.")
    target.mkdir(parents=True, mode=0o700)
    with (target / LIST).open("w") as listed:
        say("the audit signer's memory …")
        first = [_keep(target, path, listed) for prefix in BEFORE_DATABASE for path in _paths(prefix)]
        say("database …")
        _postgres("pg_dump", "--format=custom", "--no-owner", "--no-privileges", f"--file={target / DATABASE}")
        say("lake …")
        rest = [_keep(target, path, listed) for path in _paths("") if not path.startswith(BEFORE_DATABASE)]
    count, size = len(first) + len(rest), sum(first) + sum(rest)
    manifest: dict[str, object] = {
        "format": FORMAT,
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "database": {"file": DATABASE, "sha256": _sha256(target / DATABASE)},
        "lake": {"objects": count, "bytes": size, "list_sha256": _sha256(target / LIST)},
        "kept_elsewhere": [
            "SECRET_KEY",
            "AUDIT_SIGNING_KEY",
            "passwords of the stores",
            "MLflow's own database and files",
        ],
    }
    draft = target / f"{MANIFEST}.draft"
    draft.write_text(json.dumps(manifest, indent=2) + "\n")
    draft.rename(target / MANIFEST)
    say(f"{target}: the database and {count:,} objects of the lake ({size / 1e6:,.1f} MB)")
    return manifest


def _paths(prefix: str) -> Iterator[str]:
    from apps.core.lake import lake

    return (one.path for one in lake().list(prefix))


def _keep(target: Path, path: str, listed: IO[str]) -> int:
    """Copy an object of the lake and list it; returns its size in bytes."""
    from apps.core.lake import lake

    data = lake().get(path)
    place = target / OBJECTS / path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(data)
    listed.write(json.dumps({"path": path, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}) + "\n")
    return len(data)


def check(source: Path, say: Say = print) -> list[dict[str, str]]:
    """Read every byte of a backup and compare its hashes; returns the list of its objects. Raises BackupError naming
    the first thing that differs."""
    try:
        manifest = json.loads((source / MANIFEST).read_text())
    except FileNotFoundError:
        raise BackupError(f"{source} holds no {MANIFEST}: it is no backup, or one that was never finished.") from None
    except ValueError as error:
        raise BackupError(f"{source / MANIFEST} cannot be read: {error}.") from error
    if manifest.get("format") != FORMAT:
        raise BackupError(f"{source} has format {manifest.get('format')}; this version reads format {FORMAT}.")
    for name, wanted in ((DATABASE, manifest["database"]["sha256"]), (LIST, manifest["lake"]["list_sha256"])):
        if not (source / name).is_file() or _sha256(source / name) != wanted:
            raise BackupError(f"{source / name} is missing or is not what was backed up.")
    objects: list[dict[str, str]] = [json.loads(line) for line in (source / LIST).read_text().splitlines()]
    for one in objects:
        place = source / OBJECTS / one["path"]
        if not place.is_file() or _sha256(place) != one["sha256"]:
            raise BackupError(f"{place} is missing or is not what was backed up.")
    say(f"{source}: whole, {len(objects):,} objects, made {manifest['made_at']}")
    return objects


def restore(source: Path, say: Say = print) -> None:
    """Check a backup, then fill the empty database and the empty lake of this environment from it.

    Raises BackupError, also where either of them holds anything: a restore never overwrites.
    """
    from django.db import connection

    from apps.core.lake import lake

    objects = check(source, say)
    store = lake()
    if first := next(iter(store.list("")), None):
        raise BackupError(f"The lake holds {first.path}: restore into an empty one.")
    if tables := _tables():
        raise BackupError(f"The database holds {tables} tables: restore into an empty one (`createdb`).")
    say("database …")
    _postgres(
        *("pg_restore", "--exit-on-error", "--no-owner", "--no-privileges", "--single-transaction"),
        *(f"--dbname={connection.settings_dict['NAME']}", str(source / DATABASE)),
    )
    say("lake …")
    for one in objects:
        store.put(one["path"], (source / OBJECTS / one["path"]).read_bytes())
    say(_audit_goes_on(source))
    say(
        "restored. Now: `manage.py migrate` (a newer version), `manage.py verify_lake`, `manage.py verify_audit`, "
        "`manage.py replay --sample 200`; the online window fills itself from bronze when the live loop starts."
    )


def _audit_goes_on(source: Path) -> str:
    """Begin the audit's next signed log, which records the restore; returns what to tell the operator.

    Always a log of a new name: under the old one records may have been signed after the backup was made.
    """
    from django.db import DatabaseError

    from apps.audit import checkpoints
    from apps.audit.actors import Actor
    from apps.core.errors import DomainError

    made_at = json.loads((source / MANIFEST).read_text())["made_at"]
    reason = f"Restored from the backup made at {made_at}, manifest SHA-256 {_sha256(source / MANIFEST)}."
    try:
        begun = checkpoints.restored(by=Actor.process("restore"), reason=reason)
    except DomainError as error:
        return f"audit trail: not continued. {error}"
    except DatabaseError:  # tables of an older version
        return f'audit trail: `manage.py migrate` first, then `manage.py audit_resume --reason "{reason}"`.'
    if begun is None:
        return "audit trail: nothing had been signed yet."
    return f"audit trail: its records are those that were signed; it goes on as {begun.origin}, {begun.size:,} records."


def _tables() -> int:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("select count(*) from pg_tables where schemaname = 'public'")
        (count,) = cursor.fetchone()
        return int(count)


def _postgres(name: str, *arguments: str) -> None:
    """Run one of PostgreSQL's own programs on this environment's database. The password travels in the environment."""
    from django.db import connection

    here = connection.settings_dict
    known = env.child(
        PGHOST=here["HOST"] or "127.0.0.1",
        PGPORT=str(here["PORT"] or 5432),
        PGUSER=here["USER"],
        PGPASSWORD=here["PASSWORD"],
        PGDATABASE=here["NAME"],
    )
    done = subprocess.run([str(_program(name)), *arguments], env=known, capture_output=True, text=True)
    if done.returncode:
        raise BackupError(f"{name} stopped: {done.stderr.strip()[-2000:]}")


def _program(name: str) -> Path:
    """The newest of the machine's own program and the one that comes with the embedded server: an old one refuses a new
    server. Raises BackupError where there is none."""
    from clinical_portal.servers.postgres import programs

    places = [programs() / name, *([Path(found)] if (found := shutil.which(name)) else [])]
    versions = {place: _version(place) for place in places if place.is_file()}
    if not versions:
        raise BackupError(f"There is no {name} here: install PostgreSQL's client programs of the server's version.")
    return max(versions, key=lambda place: versions[place])


def _version(program: Path) -> tuple[int, ...]:
    words = subprocess.run([program, "--version"], capture_output=True, text=True).stdout.split()
    number = next((word for word in words if word[0].isdigit()), "0")
    return tuple(int(part) for part in number.split(".") if part.isdigit())


def _sha256(path: Path) -> str:
    total = hashlib.sha256()
    with path.open("rb") as data:
        while part := data.read(CHUNK):
            total.update(part)
    return total.hexdigest()


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=("make", "check", "restore"))
    parser.add_argument("folder", type=Path)
    given = parser.parse_args(arguments)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "clinical_portal.settings.local")
    import django

    django.setup()
    try:
        {"make": make, "check": check, "restore": restore}[given.verb](given.folder)
    except BackupError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
