"""What a job is told: everything comes as arguments, nothing is read from the environment."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from ml.cleaning import DEFAULT_TRIAL
from ml.contracts import TOPICS
from ml.lake import Lake
from ml.profile import StudyProfile


class JobError(Exception):
    """A job cannot do what it was asked; the message is a sentence for people."""


class TooLittle(JobError):
    """There is nothing to work on yet; nothing is broken."""


@dataclass(frozen=True)
class Settings:
    """Settings of one run. `trial` None = every trial with a profile. `as_of` is seconds since 1970 UTC. `first_day` and
    `last_day` (UTC, both included) limit `features` to the patient-days of a period; the others stay as they are."""

    lake: Lake
    profiles: dict[str, StudyProfile] = field(default_factory=dict)
    master: str = "local[*]"
    default_trial: str = DEFAULT_TRIAL
    trial: str | None = None
    as_of: int | None = None
    first_day: date | None = None
    last_day: date | None = None
    rebuild: bool = False
    again: dict[str, frozenset[int]] = field(default_factory=dict)
    """Topic → days since 1970 to be cleaned once more, whether or not something new touches them."""
    buckets: int | None = None
    java_home: str | None = None

    def chosen_profiles(self) -> dict[str, StudyProfile]:
        """The profiles this run is about. JobError where the trial has none."""
        if self.trial is None:
            return self.profiles
        if self.trial not in self.profiles:
            raise JobError(f"Trial {self.trial} has no study profile in the file given as --profiles.")
        return {self.trial: self.profiles[self.trial]}


def parser(jobs: Sequence[str]) -> argparse.ArgumentParser:
    """The command line of `python -m spark_jobs`."""
    made = argparse.ArgumentParser(prog="python -m spark_jobs", description=__doc__)
    made.add_argument("job", choices=sorted(jobs))
    made.add_argument("--lake", required=True, help="folder, file:///… or s3://bucket/prefix")
    made.add_argument("--lake-options", help="JSON file (- = standard input): endpoint, access_key, secret_key, region")
    made.add_argument("--profiles", help="JSON file: trial → study profile")
    made.add_argument("--master", default="local[*]", help="Spark master")
    made.add_argument("--default-trial", default=DEFAULT_TRIAL, help="trial of messages that name none")
    made.add_argument("--trial", help="only this trial")
    made.add_argument("--as-of", type=int, help="labels as known by this time, seconds since 1970 UTC")
    made.add_argument("--from", dest="first_day", type=_date, help="features: of this day on (YYYY-MM-DD, UTC)")
    made.add_argument("--to", dest="last_day", type=_date, help="features: up to this day (YYYY-MM-DD, UTC)")
    made.add_argument("--rebuild", action="store_true", help="forget what was done and do everything again")
    made.add_argument("--again", default="", help="clean: these days once more, topic=YYYY-MM-DD,…;topic=…")
    made.add_argument("--buckets", type=int, help="shuffle partitions; the result does not depend on it")
    made.add_argument("--java-home", help="the Java to run Spark on, where it is not the machine's")
    return made


def _date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a date; write YYYY-MM-DD") from error


def settings(arguments: argparse.Namespace) -> Settings:
    """Settings of parsed arguments. JobError where a file cannot be read."""
    options: dict[str, Any] = _json(arguments.lake_options) if arguments.lake_options else {}
    profiles = _json(arguments.profiles) if arguments.profiles else {}
    return Settings(
        lake=Lake.from_url(arguments.lake, **options),
        profiles={trial: StudyProfile.from_json(body) for trial, body in profiles.items()},
        master=arguments.master or "local[*]",
        default_trial=arguments.default_trial,
        trial=arguments.trial,
        as_of=arguments.as_of,
        first_day=arguments.first_day,
        last_day=arguments.last_day,
        rebuild=arguments.rebuild,
        again=chosen_days(arguments.again),
        buckets=arguments.buckets,
        java_home=arguments.java_home,
    )


def chosen_days(text: str) -> dict[str, frozenset[int]]:
    """Days since 1970 by topic of `topic=YYYY-MM-DD,…;topic=…`. JobError where a topic or a day cannot be read."""
    found: dict[str, frozenset[int]] = {}
    for part in filter(None, (one.strip() for one in text.split(";"))):
        topic, _, days = part.partition("=")
        if topic not in TOPICS:
            raise JobError(f"{topic!r} is not one of the topics {', '.join(TOPICS)}.")
        try:
            found[topic] = frozenset((date.fromisoformat(day) - date(1970, 1, 1)).days for day in days.split(","))
        except ValueError as error:
            raise JobError(f"{days[:60]!r} are no days written as YYYY-MM-DD,YYYY-MM-DD.") from error
    return found


def _json(path: str) -> dict[str, Any]:
    try:
        text = sys.stdin.read() if path == "-" else Path(path).read_text()
        body: dict[str, Any] = json.loads(text)
    except (OSError, ValueError) as error:
        raise JobError(f"{path} cannot be read as JSON: {error}") from error
    return body
