"""Silver tables, as Arrow schemas derived from the events.

Every version of every record is kept. Measured values are in canonical units as float64 (exactly the fixed-point value
divided by its power of ten). `flags` names what was found but kept (implausible_…, filled_…, unmapped_analyte).
"""

from __future__ import annotations

import pyarrow as pa

from ml.contracts.events import EVENTS
from ml.contracts.signs import SIGNS

LINEAGE: tuple[tuple[str, pa.DataType], ...] = (
    ("trial_id", pa.string()),
    ("trial_site_id", pa.string()),
    ("patient_id", pa.string()),
    ("record_id", pa.string()),
    ("key", pa.int64()),
    ("event_time", pa.int64()),
    ("known_time", pa.int64()),
    ("epoch", pa.int64()),
    ("topic_id", pa.string()),
    ("partition", pa.int32()),
    ("offset", pa.int64()),
    ("producer", pa.string()),
    ("correlation_id", pa.string()),
    ("retracted", pa.bool_()),
    ("source_rows", pa.list_(pa.string())),
    ("flags", pa.list_(pa.string())),
    ("version", pa.int32()),
)
"""Columns every silver table begins with. Times are seconds since 1970 UTC. `version` counts the versions of a record
from 1; it is null until the versions have been put in order (a single message cannot know)."""

NEVER_FILLED = frozenset({"supplemental_oxygen", "consciousness", "weight", "height"})
"""Signs that are not carried forward. The others stand forward-filled (<= 2 h) in `<sign>_filled`, beside the
measured ones, never in their place; features do not read them."""

_BODY: dict[str, tuple[tuple[str, pa.DataType], ...]] = {
    "patient-vitals": (
        ("source", pa.string()),
        *((sign.name, pa.float64()) for sign in SIGNS),
        *((f"{sign.name}_filled", pa.float64()) for sign in SIGNS if sign.name not in NEVER_FILLED),
        ("pulse_pressure", pa.float64()),
        ("mean_arterial_pressure", pa.float64()),
        ("quality_score", pa.float64()),
    ),
    "lab-results": (
        ("lab_id", pa.string()),
        ("test_name", pa.string()),
        ("analyte", pa.string()),
        ("value", pa.float64()),
        ("unit", pa.string()),
        ("low", pa.float64()),
        ("high", pa.float64()),
        ("value_text", pa.string()),
        ("value_reported", pa.float64()),
        ("unit_reported", pa.string()),
        ("reference_range", pa.string()),
    ),
    "medications": (
        ("drug_name", pa.string()),
        ("dosage", pa.float64()),
        ("unit", pa.string()),
        ("route", pa.string()),
        ("frequency", pa.string()),
        ("end_time", pa.int64()),
        ("term", pa.string()),
        ("outcome", pa.string()),
        ("study_dose", pa.bool_()),
    ),
    "adverse-events": (
        ("event_type", pa.string()),
        ("grade", pa.int64()),
        ("reported_by", pa.string()),
        ("report_time", pa.int64()),
        ("end_time", pa.int64()),
        ("term", pa.string()),
        ("body_system", pa.string()),
        ("serious", pa.bool_()),
        ("causality", pa.string()),
        ("outcome", pa.string()),
    ),
    "patient-context": (
        ("kind", pa.string()),
        ("age", pa.float64()),
        ("sex", pa.string()),
        ("race", pa.string()),
        ("ethnicity", pa.string()),
        ("term", pa.string()),
        ("arm_code", pa.string()),
        ("arm_name", pa.string()),
        ("treated", pa.bool_()),
        ("status", pa.string()),
        ("end_time", pa.int64()),
    ),
}
SILVER: dict[str, pa.Schema] = {topic: pa.schema([*LINEAGE, *_BODY[topic]]) for topic in EVENTS}
QUARANTINE: pa.Schema = pa.schema(
    [
        ("topic", pa.string()),
        ("topic_id", pa.string()),
        ("partition", pa.int32()),
        ("offset", pa.int64()),
        ("trial_id", pa.string()),
        ("trial_site_id", pa.string()),
        ("patient_id", pa.string()),
        ("event_time", pa.int64()),
        ("known_time", pa.int64()),
        ("rule", pa.string()),
        ("field", pa.string()),
        ("value", pa.string()),
        ("message", pa.string()),
        ("correlation_id", pa.string()),
        ("line", pa.string()),
    ]
)
"""A record, or one field of it (`field`, else ""), that was set aside, with the rule's name. `line` is the bronze line;
null where only the patient is unknown (the identity finds it in bronze)."""
