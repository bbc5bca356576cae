"""``manage.py data_version [DIGEST --to FOLDER]``: what a model was trained on, given back and compared with its manifest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.core.errors import DomainError
from apps.pipelines import data_versions


class Command(BaseCommand):
    help = "Lists the data versions that are kept; with a digest, lays that one into a folder as a lake to train on."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("digest", nargs="?", help="the data version (8 characters of it or more)")
        parser.add_argument("--to", type=Path, help="a new folder")
        parser.add_argument("--labels", default="", help="the labels' version (default: the newest kept with it)")

    def handle(self, *_: Any, **options: Any) -> None:
        if not options["digest"]:
            found = data_versions.kept()
            for trial, version in found:
                self.stdout.write(f"{version}  {trial}")
            self.stdout.write(f"{len(found)} data versions are kept in {data_versions.store()}")
            return
        if options["to"] is None:
            raise CommandError("Say where to: --to FOLDER.")
        try:
            done = data_versions.restore(options["digest"], options["to"], labels=options["labels"])
        except DomainError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(
            f"Data version {done.data_version} of {done.trial} with labels {done.labels_version[:12]}: {done.rows:,} rows in "
            f"{done.files} files, each as its manifest says. Train on it: python -m ml.training --lake {options['to']} …"
        )
