"""labels: what happened after each row of the feature store, as known by one date.

Adverse events, study doses, dispositions and enrolments are few (thousands of rows where vital signs are millions), so this
job needs no cluster: it reads them and the feature rows' keys, and is done before a session would have started.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ml.cleaning import to_facts
from ml.facts import Facts
from ml.labels import LABELS_VERSION, REASONS, label
from spark_jobs.pipelines.features import manifest_path
from spark_jobs.progress import tell
from spark_jobs.settings import JobError, Settings, TooLittle
from spark_jobs.state import load
from spark_jobs.tables import labels_path, read_json, read_table, write_json, write_table
from spark_jobs.transforms.features import READ, ROWS

TOPICS = ("adverse-events", "patient-context")
DOSES = "medications"
"""Read too where risk begins with the first dose: an arm is not always known, and begins at times before it."""
KEYS = pa.schema([ROWS.field(name) for name in ("trial_id", "trial_site_id", "patient_id", "as_of")])
LABELS = pa.schema(
    [
        *KEYS,
        ("label", pa.int8()),
        ("second", pa.int8()),
        ("onset", pa.int64()),
        ("reason", pa.string()),
    ]
)
"""One row a feature row, in the same order. label: 1, 0, or -1 where the row does not count (`reason` says why; else "");
second: onset in the second horizon; onset: seconds, null where none within both."""


def labels_manifest_path(trial: str) -> str:
    """Where the manifest of a trial's labels lies."""
    return f"labels/manifest-{trial}.json"


def run(settings: Settings) -> dict[str, Any]:
    """Label the rows of the chosen trials. Returns counts (of one trial), or counts by trial."""
    outcomes = {trial: _label(settings, trial) for trial in settings.chosen_profiles()}
    if not outcomes:
        raise JobError("No trial was chosen: give --profiles, and --trial for one of them.")
    return next(iter(outcomes.values())) if len(outcomes) == 1 else {"trials": outcomes}


def _label(settings: Settings, trial: str) -> dict[str, Any]:
    lake, profile = settings.lake, settings.profiles[trial]
    manifest = read_json(lake, manifest_path(trial))
    if manifest is None:
        raise TooLittle(f"Trial {trial} has no features yet. Run the features job first.")
    known_by = int(manifest["until"]) if settings.as_of is None else settings.as_of
    parts = [KEYS.empty_table()]
    for done, path in enumerate(sorted(manifest["days"])):
        rows = read_table(lake, path, KEYS)
        parts.append(rows.filter(pc.equal(rows["trial_id"], trial)))
        if done % 20 == 0:
            tell(step="reading feature rows", done=done, of=len(manifest["days"]))
    keys = pa.concat_tables(parts).sort_by([("patient_id", "ascending"), ("as_of", "ascending")])
    facts = _facts(settings, trial)
    place = {name: number for number, name in enumerate(facts.patients)}
    patient = np.array([place[f"{trial}/{name}"] for name in keys["patient_id"].to_pylist()], np.int32)
    found = label(facts, patient, np.asarray(keys["as_of"], np.int64), profile, known_by=known_by)
    columns = [
        pa.array(found.label),
        pa.array(found.second),
        pa.array(found.onset, mask=found.onset < 0),
        pa.array(list(REASONS), pa.string()).take(pa.array(found.reason)),
    ]
    table = pa.table([*keys.columns, *columns], schema=LABELS)
    put = write_table(lake, labels_path(trial, known_by), table)
    counts = {
        "rows": table.num_rows,
        "counting": int(found.counts.sum()),
        "positive": int((found.label == 1).sum()),
        "left_out": found.left_out(),
    }
    body = {
        **put._asdict(),
        **counts,
        "trial_id": trial,
        "as_of": known_by,
        "version": LABELS_VERSION,
        "profile": {"version": profile.version, "digest": profile.digest},
        "features": manifest["days"],
    }
    write_json(lake, labels_manifest_path(trial), body)
    return {"labels": counts, "labels_path": put.path}


def _facts(settings: Settings, trial: str) -> Facts:
    parts = []
    for topic in (*TOPICS, *([DOSES] if settings.profiles[trial].risk_from_first_dose else [])):
        state = load(settings.lake, topic)
        partitions = {} if state is None else state.partitions
        wanted = [path for path, body in sorted(partitions.items()) if trial in body["until"]]
        tables = [read_table(settings.lake, path, READ[topic], partitions[path]["sha256"]) for path in wanted]
        if tables:
            rows = pa.concat_tables(tables)
            parts.append(to_facts(topic, rows.filter(pc.equal(rows["trial_id"], trial))))
    return Facts.concat(parts)
