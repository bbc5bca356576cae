"""``manage.py deploy TRIAL VERSION``: what a version still lacks to serve, and one signature for it."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.core.errors import DomainError
from apps.registry import doors, gates, selectors, services
from apps.registry.evidence import signed_hash, signed_text
from apps.registry.models import ModelVersion
from apps.registry.states import BY_MOVE, SERVING, SIGNATURES_NEEDED


class Command(BaseCommand):
    help = (
        "Says what a version lacks to serve. With --as PERSON that person signs for it, with their own password; a version "
        "serves when two people have signed the same text, and in no other way."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("trial")
        parser.add_argument("version", type=int)
        parser.add_argument("--silent", action="store_true", help="for research only: shown, without alerts")
        parser.add_argument("--as", dest="user", help="who signs: a model approver who did not train it")

    def handle(self, *_: Any, **options: Any) -> None:
        silent = options["silent"]
        try:
            version = doors.chosen(options["trial"], options["version"])
            shown = signed_hash(signed_text(version, as_silent=silent))
            self._tell(version, silent=silent)
            if options["user"]:
                user = doors.person(options["user"])
                services.sign(
                    by=user,
                    password=doors.password_of(user),
                    version=version,
                    as_silent=silent,
                    expected_hash=shown,
                )
                version.refresh_from_db()
                self.stdout.write(f"{user.printed_name} has signed.")
                self._tell(version, silent=silent)
        except DomainError as error:
            raise CommandError(str(error)) from error

    def _tell(self, version: ModelVersion, *, silent: bool) -> None:
        for line in lacking(version, silent=silent):
            self.stdout.write(line)


def lacking(version: ModelVersion, *, silent: bool) -> list[str]:
    """Where a version stands on its way to serving, in sentences; the last says what is missing."""
    purpose = "silent use" if silent else "production"
    lines = [f"{version} is {version.get_state_display().lower()}."]
    if version.state in SERVING:
        return [*lines, "It serves; nothing is missing."]
    if ("release_silent" if silent else "release", version.state) not in BY_MOVE:
        if version.state == "candidate":
            why = gates.failures(version.gates)
            return [*lines, f"It is below its gates ({why}): it can serve silent only (--silent)."]
        return [*lines, f"From {version.state} it cannot go to {purpose}."]
    digest = signed_hash(signed_text(version, as_silent=silent))
    signed = [one for one in selectors.approvals(version) if one.signed_hash == digest and one.as_silent == silent]
    lines += [f"  signed: {one}" for one in signed]
    missing = SIGNATURES_NEEDED - len({one.user_id for one in signed})
    words = "one signature" if missing == 1 else f"{missing} signatures of two people"
    return [
        *lines,
        f"For {purpose} it lacks {words}: `--as PERSON`, or the administration. Signed text: sha-256 {digest}",
    ]
