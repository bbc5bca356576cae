"""``manage.py rollback TRIAL --as PERSON --reason WHY``: the version that served before serves again, at once."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.accounts.permissions import check
from apps.accounts.signatures import verify_password
from apps.core.errors import DomainError
from apps.registry import doors, selectors, services


class Command(BaseCommand):
    help = "Rolls back to the version that served before. It asks for the password of the person who decides."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("trial")
        parser.add_argument("--as", dest="user", required=True, help="who decides: a model approver or administrator")
        parser.add_argument("--reason", required=True, help="why; kept in the audit trail")

    def handle(self, *_: Any, **options: Any) -> None:
        try:
            user = doors.person(options["user"])
            check(user, "roll_back_model", trial=options["trial"])
            now = selectors.serving(options["trial"])
            if now is not None:
                before = selectors.predecessor(now.version)
                self.stdout.write(f"{now.version} serves {options['trial']}; before it {before or 'nothing'} did.")
            verify_password(user, doors.password_of(user))
            back = services.roll_back(
                by=user,
                trial=options["trial"],
                reason=options["reason"],
                expected=now.version if now is not None else None,
            )
        except DomainError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{back} serves again as {back.get_state_display().lower()}.")
