"""``manage.py import_sdtm FOLDER``: a finished study's SDTM package, from files to bronze, with the account of every row."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from apps.ingestion.management.commands._importing import ImportCommand


class Command(ImportCommand):
    help = "Imports SDTM transport files (*.xpt): a folder, or a zip of one. The same package twice sends nothing new."
    form = "sdtm"

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("folder")
        parser.add_argument("--trial", default="", help="import under this trial identifier instead of STUDYID")
        super().add_arguments(parser)

    def handle(self, *_: Any, **options: Any) -> None:
        self.carry_out(options, source=options["folder"], trial_id=options["trial"] or "")
