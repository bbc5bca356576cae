"""Silver rows for tests, with every column the contract has."""

from __future__ import annotations

import hashlib
from typing import Any

import pyarrow as pa

from ml.contracts.tables import SILVER

START = 1_700_000_000
TOPIC_ID = "dGVzdHRlc3R0ZXN0dGVzdA"


def key_of(text: str) -> int:
    """A record key made of any text, as silver makes it of the identity."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big", signed=True)


def rows(topic: str, *given: dict[str, Any]) -> pa.Table:
    """One row a dict; what a dict leaves out is a plain default. ``record`` names the record (and makes its key)."""
    made = []
    for number, one in enumerate(given):
        values = dict(one)
        record = values.pop("record", f"r{number}")
        row: dict[str, Any] = {
            "trial_id": "DEMO",
            "trial_site_id": "S1",
            "patient_id": "P1",
            "record_id": record,
            "key": key_of(record),
            "event_time": START + number,
            "known_time": START + number,
            "epoch": 0,
            "topic_id": TOPIC_ID,
            "partition": 0,
            "offset": number,
            "producer": "simulator-live",
            "correlation_id": "test",
            "retracted": False,
            "source_rows": [],
            "flags": [],
        }
        row.update(values)
        made.append(row)
    schema = SILVER[topic]
    return pa.Table.from_pylist([{name: row.get(name) for name in schema.names} for row in made], schema=schema)


def context(patient: str = "P1", *, offset: int = 0, **values: Any) -> dict[str, Any]:
    """An enrolment row of a patient."""
    return {"patient_id": patient, "kind": "enrolment", "record": f"enrolment {patient}", "offset": offset, **values}
