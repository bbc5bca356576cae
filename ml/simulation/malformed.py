"""Messages that break the contract of `patient-vitals`, each in its own way. Every kind is refused by `validate`."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import orjson

from ml.contracts.events import MAX_MESSAGE_BYTES


def _good(rng: random.Random) -> dict[str, Any]:
    return {
        "patient_id": f"{rng.randint(1, 9):02d}-{rng.randint(1, 9999):04d}",
        "timestamp": f"2026-0{rng.randint(1, 9)}-1{rng.randint(0, 9)}T0{rng.randint(0, 9)}:1{rng.randint(0, 9)}:00Z",
        "heart_rate": rng.randint(50, 120),
        "blood_pressure_systolic": rng.randint(95, 160),
        "blood_pressure_diastolic": rng.randint(55, 90),
        "temperature": round(rng.uniform(36, 38.5), 1),
        "spo2": rng.randint(90, 99),
        "source": "monitor",
    }


def _with(**fields: Any) -> Callable[[random.Random], bytes]:
    return lambda rng: orjson.dumps({**_good(rng), **fields})


def _without(*names: str) -> Callable[[random.Random], bytes]:
    def make(rng: random.Random) -> bytes:
        return orjson.dumps({name: value for name, value in _good(rng).items() if name not in names})

    return make


def _cut(rng: random.Random) -> bytes:
    whole = orjson.dumps(_good(rng))
    return whole[: rng.randint(1, len(whole) - 1)]


_KINDS: dict[str, Callable[[random.Random], bytes]] = {
    "empty": lambda rng: b"",
    "truncated": _cut,
    "not_json": lambda rng: f"HR {rng.randint(40, 150)} BP 120/80".encode(),
    "not_utf8": lambda rng: b'{"patient_id":"\xff\xfe' + orjson.dumps(_good(rng))[1:],
    "not_a_number": lambda rng: orjson.dumps(_good(rng)).replace(b'"spo2":', b'"spo2":NaN,"x":'),
    "array": lambda rng: orjson.dumps([_good(rng)]),
    "bare_text": lambda rng: orjson.dumps("patient is fine"),
    "two_objects": lambda rng: orjson.dumps(_good(rng)) * 2,
    "no_patient": _without("patient_id"),
    "odd_patient": _with(patient_id="01 0001; DROP TABLE"),
    "patient_is_number": _with(patient_id=10001),
    "no_timestamp": _without("timestamp"),
    "local_time": _with(timestamp="2026-03-01T10:00:00"),
    "no_such_date": _with(timestamp="2026-02-30T10:00:00Z"),
    "epoch_milliseconds": _with(timestamp=1780000000000),
    "text_for_number": _with(heart_rate="82"),
    "unbounded_number": _with(blood_pressure_systolic=1e12),
    "no_sign": _without("heart_rate", "blood_pressure_systolic", "blood_pressure_diastolic", "temperature", "spo2"),
    "no_source": _without("source"),
    "unknown_level": _with(consciousness="X"),
    "unknown_temperature_unit": _with(temperature_unit="K"),
    "flag_as_text": _with(retracted="yes"),
    "object_for_number": _with(spo2={"value": 97}),
    "too_large": lambda rng: orjson.dumps({**_good(rng), "note": "x" * (MAX_MESSAGE_BYTES + rng.randint(1, 500))}),
}
KINDS: tuple[str, ...] = tuple(_KINDS)
"""The names of all kinds."""


def malformed(kind: str, rng: random.Random) -> bytes:
    """One message of that kind; the same for the same state of `rng`. KeyError for an unknown kind."""
    return _KINDS[kind](rng)
