"""``manage.py import_table --file F --trial T [--mapping M]``: vital signs and laboratory results from CSV, TSV or Parquet."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from apps.core.errors import DomainError
from apps.ingestion.imports import places
from apps.ingestion.management.commands._importing import ImportCommand
from ml.tabular import NotATable, guess


class Command(ImportCommand):
    help = (
        "Imports a table with a column mapping. Without --mapping it prints a guess, to be corrected and passed back."
    )
    form = "table"

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--file", required=True, help="CSV, TSV or Parquet")
        parser.add_argument("--trial", default="", help="the trial its patients are of")
        parser.add_argument("--mapping", help="JSON file: what the columns mean")
        super().add_arguments(parser)

    def handle(self, *_: Any, **options: Any) -> None:
        try:
            file = places.allowed(options["file"])
            if not options["mapping"]:
                self.stdout.write(json.dumps(guess(file), indent=2, ensure_ascii=False))
                return
            mapping = json.loads(Path(options["mapping"]).read_text("utf-8"))
        except (DomainError, NotATable) as error:
            raise CommandError(str(error)) from error
        except (OSError, ValueError) as error:
            raise CommandError(f"{options['mapping']} cannot be read as JSON: {error}") from error
        if not options["trial"]:
            raise CommandError("A table does not say which trial it is of: name it with --trial.")
        self.carry_out(options, source=options["file"], trial_id=options["trial"], mapping=mapping)
