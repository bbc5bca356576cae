"""``manage.py audit_resume --reason …``: begin a new signed log where the old one cannot go on."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.audit import checkpoints
from apps.audit.actors import Actor
from apps.core.errors import DomainError


class Command(BaseCommand):
    help = (
        "After an inquiry (an older backup was restored, the signing key changed): begin a new signed log under a new "
        "name. What had been signed before stays provable against its anchors; the break is recorded."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--reason", required=True, help="what happened, and who looked into it")

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ARG002
        try:
            made = checkpoints.resume(by=Actor.process("operator"), reason=options["reason"])
        except DomainError as error:
            raise CommandError(str(error)) from error
        if made is None:
            raise CommandError("Another process is signing just now: try again.")
        self.stdout.write(f"audit_resume: {made.origin} begins with {made.size:,} records")
