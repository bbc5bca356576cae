"""``manage.py export_audit FILE [--trial T]``: an export that tools/verify_audit.py verifies, recorded like one of the portal."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from apps.audit import export
from apps.audit.actors import Actor
from apps.audit.services import record
from apps.core.errors import DomainError

BY = Actor.process("operator")


class Command(BaseCommand):
    help = "Write the sealed audit trail to a zip that a stranger can verify with tools/verify_audit.py."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument(
            "--trial", help="this trial's records alone (of the others their hashes); default: everything"
        )

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ARG002
        target, trial = Path(options["file"]).absolute(), options["trial"]
        if target.exists():
            raise CommandError(f"{target} exists already: name another file.")
        try:
            made = export.write(target=target, trial=trial, made_by=BY.name)
        except DomainError as error:
            raise CommandError(str(error)) from error
        with transaction.atomic():
            record(
                by=BY,
                action="audit.exported",
                object_type="audit.AuditEvent",
                object_id=made.export_id,
                trial=trial or "",
                after={"form": "file"} | dataclasses.asdict(made) | {"scope": trial or "everything"},
            )
        self.stdout.write(
            f"export_audit: {made.records:,} records of {made.size:,} sealed ones in {target}, sha256 {made.sha256}"
        )
