"""Medications, adverse events and context: texts as reported, times in seconds, study doses named by the profile."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from ml.cleaning.batch import Batch
from ml.cleaning.body import Body, number_array, time_array
from ml.cleaning.numbers import Bool, Int
from ml.cleaning.times import optional_ceil
from ml.facts import ABSENT, name_code
from ml.profile import StudyProfile


def _ends(batch: Batch) -> tuple[Int, list[tuple[str, Bool]]]:
    # rounded up, like all that is learned: an end cannot be known before it came about
    ends = optional_ceil(batch.texts("end_timestamp"))
    return ends, [("end_before_start", (ends != ABSENT) & (ends < batch.event_time))]


def _kept(batch: Batch) -> Bool:
    return np.ones(batch.n, np.bool_)


def medications(batch: Batch, profiles: Mapping[str, StudyProfile]) -> Body:
    """Body of medications. A study dose is a medication whose name is one of its trial's study treatments."""
    ends, flags = _ends(batch)
    names = batch.texts("drug_name")
    treatments = {trial: {name_code(name) for name in profile.study_treatments} for trial, profile in profiles.items()}
    none: set[int] = set()
    doses = {
        (trial, name): name_code(name) in treatments.get(trial, none)
        for trial, name in set(zip(batch.trial_id, names, strict=True))
    }
    columns: dict[str, pa.Array] = {
        "drug_name": pa.array(names, pa.string()),
        "dosage": number_array(batch.numbers("dosage")),
        "unit": batch.column("unit"),
        "route": batch.column("route"),
        "frequency": batch.column("frequency"),
        "end_time": time_array(ends),
        "term": batch.column("term"),
        "outcome": batch.column("outcome"),
        "study_dose": pa.array([doses[pair] for pair in zip(batch.trial_id, names, strict=True)], pa.bool_()),
    }
    return Body(columns, flags, _kept(batch))


def adverse_events(batch: Batch) -> Body:
    """Body of adverse-events; `grade` is the CTCAE grade, 1 to 5."""
    ends, flags = _ends(batch)
    columns: dict[str, pa.Array] = {
        "event_type": batch.column("event_type"),
        "grade": pa.array([int(severity[-1]) for severity in batch.texts("severity")], pa.int64()),
        "reported_by": batch.column("reported_by"),
        "report_time": time_array(batch.times("report_timestamp")),
        "end_time": time_array(ends),
        "term": batch.column("term"),
        "body_system": batch.column("body_system"),
        "serious": batch.flags("serious"),
        "causality": batch.column("causality"),
        "outcome": batch.column("outcome"),
    }
    return Body(columns, flags, _kept(batch))


def context(batch: Batch) -> Body:
    """Body of patient-context."""
    ends, flags = _ends(batch)
    columns: dict[str, pa.Array] = {
        name: batch.column(name)
        for name in ("kind", "sex", "race", "ethnicity", "term", "arm_code", "arm_name", "status")
    }
    columns["age"] = number_array(batch.numbers("age"))
    columns["treated"] = batch.flags("treated")
    columns["end_time"] = time_array(ends)
    return Body(columns, flags, _kept(batch))
