"""`manage.py first_administrator NAME --printed-name "…" --evidence "…"`: the one person no administrator could add."""

from __future__ import annotations

import argparse
import secrets
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from apps.accounts import services, training
from apps.accounts.models import RoleGrant
from apps.accounts.roles import ADMINISTRATOR
from apps.audit.actors import Actor
from apps.core import clock
from apps.core.errors import DomainError

INSTALLER = Actor.process("installer")


class Command(BaseCommand):
    help = "Add the first administrator, with a first password that is shown once; refused once there is one."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("username")
        parser.add_argument("--printed-name", required=True, help="as it stands beside a signature")
        parser.add_argument("--evidence", required=True, help="where the evidence of their training lies")

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ARG002
        if RoleGrant.objects.in_force().filter(role=ADMINISTRATOR, user__is_active=True).exists():
            raise CommandError("There is an administrator: sign in as them and add people under Study set-up → People.")
        password = secrets.token_urlsafe(18)
        try:
            with transaction.atomic():
                user = services.create_user(
                    by=INSTALLER, username=options["username"], printed_name=options["printed_name"], password=password
                )
                for course in training.lacking(user, ADMINISTRATOR):
                    training.record_training(
                        by=INSTALLER, user=user, course=course.name, completed_on=clock.now().date(),
                        evidence=options["evidence"],
                    )  # fmt: skip
                services.grant_role(by=INSTALLER, user=user, role=ADMINISTRATOR, trial=None, site=None)
        except DomainError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{user.username} is administrator. First password, shown once: {password}")
        self.stdout.write("It has to be changed at the first sign-in; another administrator verifies the identity.")
