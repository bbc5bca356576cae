"""What `clean` remembers of a topic between runs: enough to redo exactly the days that something new touches."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, field
from typing import Any

import orjson
import pyarrow as pa

from ml.cleaning.rules import RULES_VERSION
from ml.contracts.analytes import UNITS_VERSION
from ml.contracts.producers import PRODUCERS_VERSION
from ml.lake import Lake
from ml.lake.parquet import parquet
from spark_jobs.settings import Settings
from spark_jobs.tables import code_digest, read_json, read_table, write_json
from spark_jobs.transforms.cleaning import KEYS

_SOURCES = (
    "ml.cleaning",
    "ml.contracts",
    "ml.facts",
    "ml.lake.parquet",
    "spark_jobs.transforms.cleaning",
    "spark_jobs.tables",
)


@dataclass
class TopicState:
    """State of one topic. Days are days since 1970, as texts where they are keys."""

    topic: str
    fingerprint: str
    ends: dict[str, int] = field(default_factory=dict)
    """topic id/partition → last offset processed."""
    claims: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Object → topic_id, epoch, sha256, days."""
    partitions: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Path → day, rows, bytes, sha256, until (trial → newest known_time); of silver."""
    quarantine: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Path → day, rows, bytes, sha256; of quarantine."""
    unknown: dict[str, list[str]] = field(default_factory=dict)
    """Day → patients that were not known."""
    patients: list[str] = field(default_factory=list)
    """patient-context only: the patients something is known of."""
    keys: pa.Table = field(default_factory=KEYS.empty_table)
    """(key, day) of records whose versions may lie on several days."""


def fingerprint(topic: str, settings: Settings) -> str:
    """Digest of everything but bronze that silver of a topic follows from."""
    treatments = {trial: sorted(profile.study_treatments) for trial, profile in settings.profiles.items()}
    body = {
        "code": code_digest(*_SOURCES),
        "tables": [RULES_VERSION, UNITS_VERSION, PRODUCERS_VERSION],
        "default_trial": settings.default_trial,
        "study_treatments": {trial: names for trial, names in treatments.items() if names and topic == "medications"},
        "writer": pa.__version__,
    }
    return hashlib.sha256(orjson.dumps(body, option=orjson.OPT_SORT_KEYS)).hexdigest()


def state_path(topic: str) -> str:
    """Where a topic's state lies."""
    return f"processed/_state/{topic}.json"


def _keys_path(topic: str) -> str:
    return f"processed/_state/{topic}.keys.parquet"


def load(lake: Lake, topic: str) -> TopicState | None:
    """A topic's state; None before its first run."""
    body = read_json(lake, state_path(topic))
    if body is None:
        return None
    keys = read_table(lake, _keys_path(topic), KEYS, body.pop("keys_sha256"))
    return TopicState(**body, keys=keys)


def save(lake: Lake, state: TopicState) -> None:
    """Write a topic's state; the run counts only from here on."""
    keys = parquet(state.keys)
    lake.put(_keys_path(state.topic), keys)
    body = asdict(state)
    body["keys_sha256"] = hashlib.sha256(keys).hexdigest()
    del body["keys"]
    write_json(lake, state_path(state.topic), body)
