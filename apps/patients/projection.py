"""Silver rows become the clinical record the portal shows: idempotent, in any order, rebuildable from bronze.

Rows go through a temporary table (COPY, then one INSERT … ON CONFLICT on the event's identity). Which version of a
record holds is then decided anew for every record touched, from all its versions by (known_time, epoch, offset), so a
version that arrives late, or twice, ends in the same tables.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from django.db import connection, transaction

from apps.core import clock
from apps.patients import statements
from apps.patients.columns import MODELS, columns, copy_text, patient_keys
from apps.patients.models import Patient, Trial
from apps.patients.records import ClinicalRecord, ContextRecord

ANALYZE_ABOVE = 1_000  # rows from which the planner is told how large the temporary table is


@dataclass(frozen=True, slots=True)
class Projected:
    """What came of it: rows written (new or changed), and the rows of unknown trials or patients, which are left out
    for the caller to keep until their context comes."""

    written: int
    unknown: pa.Table


def project(topic: str, rows: pa.Table) -> Projected:
    """Write silver rows of one topic (``ml.contracts.tables.SILVER``) to the portal's tables.

    Context rows also create sites and patients, and set what the patient's row shows. Trials are created by people,
    never by a message. Raises KeyError for a topic that is none.
    """
    model = MODELS[topic]
    if rows.num_rows == 0:
        return Projected(written=0, unknown=rows)
    with transaction.atomic():
        _one_at_a_time(topic)
        rows, unknown = _split(rows, creates=model is ContextRecord)
        if rows.num_rows == 0:
            return Projected(written=0, unknown=unknown)
        with connection.cursor() as cursor:
            _stage(cursor, model, rows)
            if model is ContextRecord:
                cursor.execute(statements.CREATE_SITES, [clock.now()])
                cursor.execute(statements.CREATE_PATIENTS, [clock.now()])
            cursor.execute(statements.upsert(model))
            written = cursor.rowcount
            # By the index of keys, whatever the statistics say: of a table that was just emptied or filled they say
            # nothing, and 20,000 rows compared with 20,000 one by one take minutes.
            cursor.execute("SET LOCAL enable_seqscan = off")
            cursor.execute(statements.supersede(model))
            cursor.execute("SET LOCAL enable_seqscan = on")
            if model is ContextRecord:
                cursor.execute(statements.REFRESH_PATIENTS)
    return Projected(written=written, unknown=unknown)


def forget(trial_id: str) -> int:
    """Delete the trial's projected records, to be projected anew from bronze. Returns how many there were."""
    with transaction.atomic():
        return sum(model._default_manager.filter(trial_id=trial_id).delete()[0] for model in MODELS.values())


def _split(rows: pa.Table, *, creates: bool) -> tuple[pa.Table, pa.Table]:
    """Rows that can be written now, and the others."""
    if creates:
        wanted = pc.unique(rows["trial_id"]).to_pylist()
        known = pa.array(list(Trial.objects.filter(pk__in=wanted).values_list("pk", flat=True)), pa.string())
        mask = pc.is_in(rows["trial_id"], value_set=known)
    else:
        keys = patient_keys(rows)
        wanted = pc.unique(keys).to_pylist()
        known = pa.array(list(Patient.objects.filter(pk__in=wanted).values_list("pk", flat=True)), pa.string())
        mask = pc.is_in(keys, value_set=known)
    if pc.all(mask).as_py():
        return rows, rows.slice(0, 0)
    return rows.filter(mask), rows.filter(pc.invert(mask))


def _stage(cursor: Any, model: type[ClinicalRecord], rows: pa.Table) -> None:
    stage = statements.stage_name(model)
    cursor.execute(statements.create_stage(model))
    cursor.execute(f"TRUNCATE {stage}")
    names = ", ".join(f'"{name}"' for name in columns(model))
    with connection.wrap_database_errors:  # which Django does for `execute` alone
        cursor.copy_expert(f"COPY {stage} ({names}) FROM STDIN WITH (FORMAT csv)", copy_text(model, rows))
    if rows.num_rows > ANALYZE_ABOVE:
        cursor.execute(f"ANALYZE {stage} (patient_id, record_key)")  # what the planner joins by


def _one_at_a_time(topic: str) -> None:
    # Two writers of one record would each decide without the other's version.
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('projection'), hashtext(%s))", [topic])
