"""``manage.py ingest PATH``: history from outside, whatever form it has, by the one door that fits it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from kafka.errors import KafkaError

from apps.core.errors import DomainError
from apps.core.telling import logs_in
from apps.ingestion import archive_files
from apps.ingestion.beside import bronze_beside
from apps.ingestion.topics import ensure_topics
from apps.patients import selectors as patients

#: What lies in the folder → the command that takes it.
SDTM = ".xpt"
TABLES = (".csv", ".parquet")


class Command(BaseCommand):
    help = (
        "Takes in history: a folder of SDTM transport files (*.xpt), a table of vitals and labs (CSV, Parquet), or a folder "
        "of messages, one file a topic (<topic>.ndjson). What was predicted before it came stays as it was."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("path", type=Path)
        parser.add_argument("--mapping", help="of a table: what its columns mean (JSON); without it a guess is printed")
        parser.add_argument("--trial", help="trial of what names none; an SDTM study names its own")

    def handle(self, *_: Any, **options: Any) -> None:
        path: Path = options["path"]
        if not path.exists():
            raise CommandError(f"There is no file or folder {path}.")
        suffixes = {one.suffix.lower() for one in path.iterdir()} if path.is_dir() else {path.suffix.lower()}
        if SDTM in suffixes:
            call_command("import_sdtm", str(path), trial=options["trial"], stdout=self.stdout)
            return
        if suffixes & set(TABLES):
            mapping = ["--mapping", options["mapping"]] if options["mapping"] else []
            trial = options["trial"] or settings.DEFAULT_TRIAL_ID
            call_command("import_table", "--file", str(path), "--trial", trial, *mapping, stdout=self.stdout)
            return
        self._messages(path, options["trial"] or settings.DEFAULT_TRIAL_ID)

    def _messages(self, folder: Path, trial: str) -> None:
        try:
            patients.trial(trial)
            archive_files.files_of(folder)
            ensure_topics(settings.KAFKA_BOOTSTRAP_SERVERS)
            with logs_in(Path(settings.VAR_DIR, "log", "ingest.log")), bronze_beside():
                sent = archive_files.send(folder, trial=trial, report=self._show)
        except KafkaError as error:
            raise CommandError(f"The broker cannot be reached: {error}. Start it first.") from error
        except DomainError as error:
            raise CommandError(str(error)) from error
        total = sum(sent.topics.values())
        undated = f"; {sent.undated:,} bear no time, and count as known now" if sent.undated else ""
        self.stdout.write(f"\n{total:,} messages sent as history of {trial} and taken in by bronze{undated}")
        self.stdout.write("Next: `manage.py run_job clean`, then features (`make backfill` for a period).")

    def _show(self, topic: str, count: int) -> None:
        self.stdout.write(f"\r{topic}: {count:,} messages   ", ending="")
        self.stdout.flush()
