"""verify: what lies in silver, quarantine and the feature store is what its manifests say, byte for byte."""

from __future__ import annotations

import hashlib
from typing import Any

import pyarrow.compute as pc

from ml.contracts.events import TOPICS
from ml.lake import Lake
from ml.lake.parquet import parquet_digest
from spark_jobs.pipelines.features import manifest_path
from spark_jobs.progress import tell
from spark_jobs.settings import JobError, Settings
from spark_jobs.state import load
from spark_jobs.tables import read_json, read_table
from spark_jobs.transforms.features import ROWS

NAMED = 5


def run(settings: Settings) -> dict[str, Any]:
    """Compare everything. JobError that names the first objects that differ, are missing, or that nobody wrote."""
    wrong: list[str] = []
    objects = 0
    for topic in TOPICS:
        state = load(settings.lake, topic)
        expected = {} if state is None else state.partitions | state.quarantine
        objects += len(expected)
        wrong += _compare(settings.lake, {path: body["sha256"] for path, body in expected.items()})
        listed = {
            info.path
            for prefix in (f"processed/{topic}/", f"quarantine/{topic}/")
            for info in settings.lake.list(prefix)
        }
        wrong += [f"{path} stands in no manifest" for path in sorted(listed - expected.keys())]
    for trial in settings.profiles:
        manifest = read_json(settings.lake, manifest_path(trial)) or {"days": {}}
        objects += len(manifest["days"])
        wrong += _compare_features(settings.lake, trial, manifest["days"])
    if wrong:
        more = f" and {len(wrong) - NAMED} more" if len(wrong) > NAMED else ""
        raise JobError(
            f"The lake is not what its manifests say: {'; '.join(wrong[:NAMED])}{more}. Clean with --rebuild."
        )
    return {"verified": objects}


def _compare(lake: Lake, expected: dict[str, str]) -> list[str]:
    wrong = []
    for done, (path, sha256) in enumerate(sorted(expected.items())):
        if done % 200 == 0:
            tell(step="comparing silver", done=done, of=len(expected))
        if not lake.exists(path):
            wrong.append(f"{path} is missing")
        elif hashlib.sha256(lake.get(path)).hexdigest() != sha256:
            wrong.append(f"{path} differs")
    return wrong


def _compare_features(lake: Lake, trial: str, days: dict[str, dict[str, Any]]) -> list[str]:
    wrong = []
    for path, body in sorted(days.items()):
        if not lake.exists(path):
            wrong.append(f"{path} is missing")
            continue
        rows = read_table(lake, path, ROWS)
        if parquet_digest(rows.filter(pc.equal(rows["trial_id"], trial))) != body["sha256"]:
            wrong.append(f"{path} differs for trial {trial}")
    return wrong
