"""A backup made while the portal works restores without an alarm, and the audit trail says that it was restored."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connections

from apps.audit import checkpoints, signer
from apps.audit.models import AuditEvent
from apps.core.lake import lake as the_lake
from clinical_portal import backup
from clinical_portal.env import BASE_DIR
from tests.support.audit_export import fresh_lake, note
from tests.support.world import create_database
from tools import verify_audit

pytestmark = pytest.mark.django_db(transaction=True)
There = Callable[..., str]


@pytest.fixture(autouse=True)
def _lake(lake: str, settings: Any) -> Iterator[None]:
    fresh_lake(settings, lake)
    yield
    the_lake.cache_clear()


@pytest.fixture
def elsewhere(tmp_path: Path, settings: Any) -> Iterator[tuple[There, dict[str, str]]]:
    """An empty database, an empty lake, and a way to run commands on them."""
    here = connections["default"].settings_dict
    empty = f"{here['NAME']}_backup"
    create_database(empty)
    (tmp_path / "elsewhere").mkdir()
    variables = os.environ | {
        "DATABASE_URL": f"postgresql://{here['USER']}:{here['PASSWORD']}@{here['HOST']}:{here['PORT']}/{empty}",
        "LAKE_URL": (tmp_path / "elsewhere").as_uri(), "VAR_DIR": str(tmp_path / "var"),
        "AUDIT_SIGNING_KEY": settings.AUDIT_SIGNING_KEY,
    }  # fmt: skip

    def run(*command: str) -> str:
        done = subprocess.run([sys.executable, *command], env=variables, capture_output=True, text=True, cwd=BASE_DIR)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    yield run, variables
    connections.close_all()
    with connections["default"]._nodb_cursor() as cursor:
        cursor.execute(f'DROP DATABASE "{empty}" WITH (FORCE)')


def busily(text: str) -> None:
    """What a backup says while it works; the portal meanwhile records and seals."""
    note(hash(text) % 1000)
    checkpoints.seal()


def test_a_backup_made_while_the_trail_grows_restores_without_an_alarm(
    tmp_path: Path, elsewhere: tuple[There, dict[str, str]], capsys: Any
) -> None:
    there, _ = elsewhere
    for number in range(3):
        note(number)
    old = checkpoints.seal()
    assert old is not None
    backup.make(tmp_path / "backup", say=busily)

    told = there("-m", "clinical_portal.backup", "restore", str(tmp_path / "backup"))
    assert f"it goes on as {old.origin[:-1]}2" in told
    assert "all of it holds" in there("manage.py", "verify_audit")
    there("manage.py", "export_audit", str(tmp_path / "export.zip"))
    assert verify_audit.main([str(tmp_path / "export.zip")]) == 0, capsys.readouterr().out

    # the break is a record like any other, with where it came from
    code = (
        "import django, json; django.setup(); from apps.audit.models import AuditEvent as E;"
        "print(json.dumps([[e.reason, e.before] for e in E.objects.filter(action='audit.resumed')]))"
    )
    ((reason, before),) = json.loads(there("-c", code))
    manifest = json.loads((tmp_path / "backup" / backup.MANIFEST).read_text())
    assert f"Restored from the backup made at {manifest['made_at']}" in reason
    assert before["origin"] == old.origin
    assert not AuditEvent.objects.filter(action="audit.sealing_refused").exists()


def test_a_backup_whose_trail_was_rewritten_is_restored_but_not_signed(
    tmp_path: Path, elsewhere: tuple[There, dict[str, str]]
) -> None:
    """The database of a backup does not continue what was signed: the operator is told, and no new log begins."""
    there, _ = elsewhere
    for number in range(3):
        note(number)
    checkpoints.seal()
    backup.make(tmp_path / "backup", say=str)
    other = signer.Checkpoint(signer.first_origin(), 3, bytes(32), "2026-01-01T00:00:00.000000Z")
    forge(tmp_path / "backup", signer.MEMORY, signer.signing_key().sign(other.text).encode())
    told = there("-m", "clinical_portal.backup", "restore", str(tmp_path / "backup"))
    assert "not continued" in told
    assert "are not those that were signed" in told
    assert "audit_resume" in told or "verify_audit" in told


def test_without_the_signing_key_a_restored_trail_is_not_continued(
    tmp_path: Path, elsewhere: tuple[There, dict[str, str]]
) -> None:
    there, variables = elsewhere
    note(1)
    checkpoints.seal()
    backup.make(tmp_path / "backup", say=str)
    variables["AUDIT_SIGNING_KEY"] = "HyAdHhsaGRgXFhUUExIREA8ODQwLCgkIBwYFBAMCAQA="
    told = there("-m", "clinical_portal.backup", "restore", str(tmp_path / "backup"))
    assert "Give it back its key" in told


def forge(folder: Path, path: str, data: bytes) -> None:
    """Replace an object of a backup, its hashes too."""
    (folder / backup.OBJECTS / path).write_bytes(data)
    listed = [json.loads(line) for line in (folder / backup.LIST).read_text().splitlines()]
    for one in listed:
        if one["path"] == path:
            one |= {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    (folder / backup.LIST).write_text("".join(json.dumps(one) + "\n" for one in listed))
    manifest = json.loads((folder / backup.MANIFEST).read_text())
    manifest["lake"]["list_sha256"] = hashlib.sha256((folder / backup.LIST).read_bytes()).hexdigest()
    (folder / backup.MANIFEST).write_text(json.dumps(manifest))
