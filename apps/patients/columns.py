"""How a silver table becomes rows of the clinical record: names, defaults, and the text PostgreSQL's COPY reads."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from django.db.models import CharField, DateTimeField, Field, TextField
from pyarrow import csv

from apps.patients.records import (
    AdverseEvent,
    ClinicalRecord,
    ContextRecord,
    LabResult,
    Medication,
    VitalSigns,
)
from ml.contracts.signs import CONSCIOUSNESS

MODELS: dict[str, type[ClinicalRecord]] = {
    model.topic: model for model in (VitalSigns, LabResult, Medication, AdverseEvent, ContextRecord)
}
#: Column of the record -> column of silver, where the names differ.
RENAMED = {"record_key": "key"}
#: Columns of the record that silver does not hold: made here, by the database, or by the projection.
MADE_HERE = frozenset({"id", "trial", "patient", "superseded"})


def fields(model: type[ClinicalRecord]) -> list[Field[Any, Any]]:
    """The record's fields that come from a silver column, in the model's order."""
    return [field for field in model._meta.fields if field.name not in MADE_HERE]


def columns(model: type[ClinicalRecord]) -> list[str]:
    """The database columns ``copy_text`` writes, in its order."""
    return ["trial_id", "patient_id", *(str(field.column) for field in fields(model))]


def patient_keys(rows: pa.Table) -> pa.ChunkedArray:
    """ "trial/patient" of every row."""
    return pc.binary_join_element_wise(rows["trial_id"], rows["patient_id"], "/")


def copy_text(model: type[ClinicalRecord], rows: pa.Table) -> io.BytesIO:
    """The rows as CSV for COPY: an unquoted nothing is NULL, a quoted one the empty text."""
    arrays = [rows["trial_id"], patient_keys(rows)]
    arrays += [_shape(field, rows[RENAMED.get(field.name, field.name)]) for field in fields(model)]
    table = pa.table(dict(zip(columns(model), arrays, strict=True)))
    sink = io.BytesIO()
    csv.write_csv(table, sink, csv.WriteOptions(include_header=False, quoting_style="needed"))
    sink.seek(0)
    return sink


def _shape(field: Field[Any, Any], values: pa.ChunkedArray) -> pa.ChunkedArray:
    if special := _SPECIAL.get(field.name):
        return special(values)
    if isinstance(field, DateTimeField):
        return values.cast(pa.timestamp("s", tz="UTC"))
    if pa.types.is_list(values.type):
        return _array_literals(values)
    if isinstance(field, CharField | TextField):
        # PostgreSQL's text has no NUL.
        return pc.replace_substring(values.fill_null(""), "\x00", "\N{SYMBOL FOR NULL}")
    if not field.null and values.null_count:
        return values.fill_null(field.get_default())
    return values


def _array_literals(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Lists of text as PostgreSQL array literals: {"a","b \\" c"}; none as {}."""
    lists = values.combine_chunks()
    items = lists.flatten()
    for found, written in (("\\", "\\\\"), ('"', '\\"'), ("\x00", "\N{SYMBOL FOR NULL}")):
        items = pc.replace_substring(items, found, written)
    items = pc.binary_join_element_wise('"', items.fill_null(""), '"', "")
    lengths = pc.list_value_length(lists).fill_null(0)
    offsets = pa.concat_arrays([pa.array([0], pa.int64()), pc.cumulative_sum(lengths.cast(pa.int64()))])
    quoted = pa.ListArray.from_arrays(offsets.cast(pa.int32()), items)
    joined = pc.binary_join(quoted, ",")
    return pa.chunked_array([pc.binary_join_element_wise("{", joined, "}", "")])


def _consciousness(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """The position on the ACVPU scale as its letter."""
    letters = pc.take(pa.array(CONSCIOUSNESS), values.cast(pa.int64(), safe=False))
    return letters.fill_null("")


_SPECIAL: dict[str, Callable[[pa.ChunkedArray], pa.ChunkedArray]] = {"consciousness": _consciousness}
