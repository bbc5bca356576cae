"""`manage.py parity`: prove that offline, reference and online compute the same bits."""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from apps.core.errors import DomainError
from apps.predictions.pairs import KINDS
from apps.predictions.parity import MOST_PATIENTS, Found, check, plant

SHOWN = 20
FEW = 0.1
"""A feature with a value in less than this share of the pairs is hardly tested, and named."""


class Command(BaseCommand):
    help = "Compute features of random (patient, time) pairs offline, by the reference and online; compare every bit."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--pairs", type=int, default=1000)
        parser.add_argument("--seed", type=int, default=0)
        parser.add_argument("--trial", default=None)
        parser.add_argument("--patients", type=int, default=MOST_PATIENTS, help="of a larger trial so many are drawn")
        parser.add_argument(
            "--drill", action="store_true", help="then flip one bit, and see that it is found and named"
        )

    def handle(self, *_: Any, **options: Any) -> None:
        trial = options["trial"] or settings.DEFAULT_TRIAL_ID
        say = self.stdout.write if options["verbosity"] > 1 else lambda _: None
        if options["pairs"] < 1 or options["patients"] < 1:
            raise CommandError("Ask for at least one pair of one patient.")
        try:
            found = check(
                trial, pairs=options["pairs"], seed=options["seed"], most_patients=options["patients"], say=say
            )
        except DomainError as error:
            raise CommandError(f"{error.message} {error.cure}".strip()) from error
        self._tell(found)
        if options["drill"]:
            self._drill(found, options["seed"])
        if found.differences:
            raise CommandError(f"{len(found.differences)} values differ; the first of them are named above.")

    def _tell(self, found: Found) -> None:
        pairs, total = found.pairs, found.answers.offline.size
        drawn = np.bincount(pairs.kind, minlength=len(KINDS)).tolist()
        places = ", ".join(f"{count} {kind}" for kind, count in zip(KINDS, drawn, strict=True))
        self.stdout.write(f"pairs: {len(pairs)} of {len(np.unique(pairs.who))} patients, drawn {places}")
        touched = ", ".join(f"{name} {int(mask.sum())}" for name, mask in pairs.touched.items())
        self.stdout.write(f"touched: {touched}, any of these {int(pairs.any_touched.sum())}")
        few = {name: count for name, count in found.values().items() if count < FEW * len(pairs)}
        named = ", ".join(f"{name} {count}" for name, count in few.items()) or "none"
        self.stdout.write(f"features with a value in fewer than {FEW * len(pairs):g} pairs: {named}")
        for way in ("reference", "online"):
            wrong = [difference for other, difference in found.differences if other == way]
            self.stdout.write(f"offline and {way}: {len(wrong)} of {total:,} values differ")
            for difference in wrong[:SHOWN]:
                self.stdout.write(f"  {difference}")
        self.stdout.write(f"parity: {found.equal_pairs} of {len(pairs)} pairs bit-equal")

    def _drill(self, found: Found, seed: int) -> None:
        again, planted = plant(found, np.random.default_rng(seed))
        self.stdout.write(f"drill: planted {planted}")
        if ("online", planted) not in again.differences:
            raise CommandError("The planted bit was not found: this check proves nothing.")
        self.stdout.write("drill: found and named")
