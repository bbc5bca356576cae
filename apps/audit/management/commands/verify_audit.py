"""``manage.py verify_audit``: the whole trail in the database against its seals, signatures, anchors and rows."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps.audit import verification
from apps.audit.actors import Actor


class Command(BaseCommand):
    help = "Verify the audit trail: records, places, roots, signed checkpoints, anchors, and rows against their last image."

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ARG002
        verdict = verification.verify(by=Actor.process("operator"))
        for problem in verdict.problems:
            self.stdout.write(f"problem: {problem}")
        if verdict.more:
            self.stdout.write(f"problem: and {verdict.more:,} more")
        if verdict.problems:
            raise CommandError(f"verify_audit: {verdict.sentence}")
        self.stdout.write(f"verify_audit: {verdict.sentence}")
