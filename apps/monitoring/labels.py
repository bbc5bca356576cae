"""What happened to patients, as known at a moment: the labels of past predictions.

The rules are those of ``ml.labels``, so that a model is judged live by the same labels it was trained on. The facts come
from the portal's tables, which hold every version of every record with both its times and follow bronze within seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from apps.patients.models import AdverseEvent, ClinicalRecord, ContextRecord, Medication
from ml.cleaning import to_facts
from ml.facts import Facts
from ml.labels import Labels, label
from ml.profile import StudyProfile

KINDS = ("enrolment", "arm", "disposition")
"""The parts of a patient's context that a label rests on; whether someone is treated says when their risk began."""
_LINEAGE = ("patient_id", "record_key", "event_time", "known_time", "epoch", "offset", "retracted")
_SCHEMA = pa.schema(
    [
        ("trial_id", pa.string()),
        ("patient_id", pa.string()),
        ("key", pa.int64()),
        ("event_time", pa.int64()),
        ("known_time", pa.int64()),
        ("epoch", pa.int64()),
        ("offset", pa.int64()),
        ("retracted", pa.bool_()),
    ]
)
_EVENTS = (("event_type", pa.string()), ("grade", pa.int64()), ("end_time", pa.int64()), ("serious", pa.bool_()))
_CONTEXT = (
    ("kind", pa.string()), ("age", pa.float64()), ("sex", pa.string()), ("term", pa.string()), ("arm_code", pa.string()),
    ("treated", pa.bool_()), ("status", pa.string()), ("end_time", pa.int64()),
)  # fmt: skip
_DOSES = (
    ("drug_name", pa.string()), ("dosage", pa.float64()), ("end_time", pa.int64()), ("outcome", pa.string()),
    ("study_dose", pa.bool_()),
)  # fmt: skip


def facts_of(trial_id: str, patients: Sequence[str] | None = None) -> Facts:
    """Adverse events, study doses, and ``KINDS`` of the context, of a trial (of these patients, "trial/patient"), every
    version."""
    events = _rows(AdverseEvent, trial_id, patients, ("event_type",))
    doses = _rows(Medication, trial_id, patients, ("drug_name", "outcome", "study_dose"), study_dose=True)
    context = _rows(ContextRecord, trial_id, patients, ("kind", "arm_code", "treated", "status"), kind__in=KINDS)
    return Facts.concat(
        [
            to_facts("adverse-events", _table(trial_id, events, _EVENTS, ("event_type",))),
            to_facts("medications", _table(trial_id, doses, _DOSES, ("drug_name", "outcome", "study_dose"))),
            to_facts("patient-context", _table(trial_id, context, _CONTEXT, ("kind", "arm_code", "treated", "status"))),
        ]
    )


def labels_of(
    trial_id: str, patients: Sequence[str], as_of: NDArray[np.int64], profile: StudyProfile, *, known_by: int
) -> Labels:
    """Labels of (patients[i], as_of[i]), times in seconds, as known at ``known_by``."""
    names = sorted(set(patients))
    # whether anybody of the study has a dose decides when risk began for all of them
    asked = None if profile.risk_from_first_dose else names
    facts = Facts.concat([facts_of(trial_id, asked), Facts.empty(names)])
    place = {name: position for position, name in enumerate(facts.patients)}
    who = np.array([place[name] for name in patients], np.int32)
    return label(facts, who, as_of, profile, known_by=known_by)


def _rows(
    model: type[ClinicalRecord], trial_id: str, patients: Sequence[str] | None, more: tuple[str, ...], **where: Any
) -> Iterable[tuple[Any, ...]]:
    rows = model._default_manager.filter(trial_id=trial_id, **where)
    if patients is not None:
        rows = rows.filter(patient_id__in=patients)
    return rows.values_list(*_LINEAGE, *more).iterator(chunk_size=5000)


def _table(
    trial_id: str,
    rows: Iterable[tuple[Any, ...]],
    body: tuple[tuple[str, pa.DataType], ...],
    given: tuple[str, ...],
) -> pa.Table:
    """Rows of ``_LINEAGE`` and the columns ``given``, in silver's form; columns a label does not read have no value."""
    columns = [list(column) for column in zip(*rows, strict=True)] or [[] for _ in (*_LINEAGE, *given)]
    count = len(columns[0])
    lineage = [
        [trial_id] * count,
        [str(key).partition("/")[2] for key in columns[0]],
        columns[1],
        [_seconds(moment) for moment in columns[2]],
        [_seconds(moment) for moment in columns[3]],
        *columns[4:7],
    ]
    cells = dict(zip(given, columns[7:], strict=True))
    schema = pa.schema([*_SCHEMA, *body])
    arrays = [
        *(pa.array(values, field.type) for values, field in zip(lineage, _SCHEMA, strict=True)),
        *(
            pa.array([None if cell == "" else cell for cell in cells[name]] if name in cells else [None] * count, kind)
            for name, kind in body
        ),
    ]
    return pa.table(arrays, schema=schema)


def _seconds(moment: datetime) -> int:
    return int(moment.timestamp())
