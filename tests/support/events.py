"""Messages for tests of ingestion: good ones, and one broken in each way that a wire can break them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

START = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)


def at(seconds: float) -> str:
    """ISO 8601 of a moment some seconds after START."""
    return (START + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")


def vitals(patient: str, seconds: float = 0, **more: Any) -> dict[str, Any]:
    return {
        "patient_id": patient,
        "timestamp": at(seconds),
        "heart_rate": 72,
        "blood_pressure_systolic": 121,
        "blood_pressure_diastolic": 79,
        "temperature": 36.6,
        "spo2": 97,
        "source": "bedside",
        **more,
    }


def lab(patient: str, seconds: float = 0, **more: Any) -> dict[str, Any]:
    return {
        "patient_id": patient,
        "timestamp": at(seconds),
        "test_name": "ALT",
        "value": 31.0,
        "unit": "U/L",
        "reference_range": "7-56",
        "lab_id": "central",
        **more,
    }


def medication(patient: str, seconds: float = 0, **more: Any) -> dict[str, Any]:
    return {
        "patient_id": patient,
        "timestamp": at(seconds),
        "drug_name": "aspirin",
        "dosage": 100,
        "unit": "mg",
        "route": "oral",
        "frequency": "QD",
        **more,
    }


def enrolment(patient: str, seconds: float = 0, **more: Any) -> dict[str, Any]:
    return {"patient_id": patient, "timestamp": at(seconds), "kind": "enrolment", "trial_site_id": "S01", **more}


def _without(name: str) -> Callable[[str], bytes]:
    return lambda patient: orjson.dumps({key: value for key, value in vitals(patient).items() if key != name})


def _with(**more: Any) -> Callable[[str], bytes]:
    return lambda patient: orjson.dumps({**vitals(patient), **more})


#: Name → (the rule that must refuse it, the raw message of a patient).
MALFORMED: dict[str, tuple[str, Callable[[str], bytes | None]]] = {
    "no body": ("empty", lambda _: None),
    "half a message": ("not_json", lambda patient: orjson.dumps(vitals(patient))[:40]),
    "a number that is none": ("not_json", lambda _: b'{"patient_id": "P1", "heart_rate": NaN}'),
    "not UTF-8": ("not_utf8", lambda _: b'{"patient_id": "P\xff1"}'),
    "a list": ("schema_type", lambda _: b"[1, 2]"),
    "nobody": ("schema_required", _without("patient_id")),
    "at no time": ("schema_required", _without("timestamp")),
    "by nobody": ("schema_required", _without("source")),
    "a text for a number": ("schema_type", _with(heart_rate="72")),
    "an empty name": ("schema_minLength", _with(patient_id="")),
    "a name with a blank": ("schema_pattern", _with(patient_id="P 1")),
    "yesterday": ("schema_pattern", _with(timestamp="yesterday")),
    "another time zone": ("schema_pattern", _with(timestamp="2026-03-01T08:00:00+02:00")),
    "30 February": ("not_a_date", _with(timestamp="2026-02-30T08:00:00Z")),
    "beyond writing": ("schema_maximum", _with(heart_rate=1e9)),
    "too large": ("too_large", _with(record_id="x" * 70_000)),
}
