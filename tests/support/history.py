"""Bronze for tests of the Spark jobs: a history with everything in it that goes wrong, and its claimed batches."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import orjson

from ml.contracts.events import TOPICS
from ml.lake import Lake
from ml.lake.bronze import good_line, write_batch
from ml.lake.claims import Chain, genesis
from ml.lake.epochs import open_epoch

TRIAL = "DEMO"
START = 1_772_323_200  # 2026-03-01T00:00:00Z
HOUR = 3600
Line = dict[str, Any]


def write(lake: Lake, topic: str, lines: Sequence[dict[str, Any]], cut: int = 1000, first: int = 0) -> None:
    """Claimed bronze of parsed lines; their offsets follow on from `first`."""
    chain = Chain(topic, f"{topic}-id", 0)
    open_epoch(lake, topic, chain.topic_id, opened="2026-03-01T00:00:00Z", partitions=1)
    genesis(lake, chain, 0)
    for start in range(0, len(lines), cut):
        batch = [
            good_line(
                chain,
                first + start + place,
                line["timestamp"],
                b"key",
                [(name, value.encode()) for name, value in line["headers"].items()],
                orjson.dumps(line["value"]),
                f"{line['value'].get('trial_id', TRIAL)}/{line['value']['patient_id']}",
            )
            for place, line in enumerate(lines[start : start + cut])
        ]
        write_batch(lake, chain, first + start, batch, writer="test", created="2026-03-01T00:00:00Z")


def write_as_they_are(lake: Lake, lines: Sequence[dict[str, Any]], cut: int = 1000) -> None:
    """Claimed bronze of one topic's whole lines, each under the topic id, partition and offset that it names."""
    first = lines[0]
    chain = Chain(first["topic"], first["topic_id"], first["partition"])
    open_epoch(lake, chain.topic, chain.topic_id, opened="2026-03-01T00:00:00Z", partitions=1)
    start = genesis(lake, chain, 0)
    for place in range(0, len(lines), cut):
        batch = [
            good_line(
                chain,
                line["offset"],
                line["timestamp"],
                line["key"].encode(),
                [(name, value.encode()) for name, value in line["headers"].items()],
                orjson.dumps(line["value"]),
                line["key"],
            )
            for line in lines[place : place + cut]
        ]
        start = write_batch(lake, chain, start, batch, writer="test", created="2026-03-01T00:00:00Z").claim.end + 1


def iso(seconds: float) -> str:
    return str(np.datetime64(int(seconds), "s")) + "Z"


def line(topic: str, patient: str, at: float, value: dict[str, Any], delay: float = 60) -> dict[str, Any]:
    name = "event_timestamp" if topic == "adverse-events" else "timestamp"
    body = {"patient_id": patient, name: iso(at), "trial_site_id": f"S/{int(patient[1:]) % 2}", **value}
    return {"timestamp": int((at + delay) * 1000), "headers": {"producer": "edc"}, "value": body}


def vitals(draw: random.Random, patient: str, hour: int) -> list[Line]:
    """One hour's message of a patient and what follows of it: repeated late, corrected, retracted or moved to another day."""
    at = START + hour * HOUR + draw.randrange(HOUR)
    signs: dict[str, Any] = {
        "source": "monitor",
        "heart_rate": 999 if draw.random() < 0.05 else draw.randrange(50, 110),
        "blood_pressure_systolic": 120,
        "blood_pressure_diastolic": draw.choice([70, 80, 121]),
    }
    if draw.random() < 0.7:
        signs["temperature"] = round(draw.gauss(36.8, 0.4), 2)
    if draw.random() < 0.2:
        signs["record_id"] = f"V{patient}{hour}"
    made = [line("patient-vitals", patient, at, signs)]
    roll = draw.random()
    if roll < 0.1:
        made.append(line("patient-vitals", patient, at, signs, delay=30 * HOUR))
    elif roll < 0.2:
        made.append(line("patient-vitals", patient, at, {**signs, "heart_rate": 77}, delay=2 * HOUR))
    elif roll < 0.25:
        gone = {name: signs[name] for name in ("source", "record_id") if name in signs}
        made.append(line("patient-vitals", patient, at, {**gone, "retracted": True}, delay=5 * HOUR))
    elif roll < 0.4 and "record_id" in signs:
        made.append(line("patient-vitals", patient, at + 24 * HOUR, signs, delay=26 * HOUR))
    return made


def history(seed: int = 7, patients: int = 4, days: int = 3) -> dict[str, list[Line]]:
    """Messages of every topic by the time they became known."""
    draw = random.Random(seed)
    made: dict[str, list[Line]] = {topic: [] for topic in TOPICS}
    for patient in (f"P{number}" for number in range(patients)):
        person = {"kind": "demographics", "age": 50 + int(patient[1:]), "sex": "F"}
        made["patient-context"] += [
            line("patient-context", patient, START, body) for body in ({"kind": "enrolment"}, person)
        ]
        for hour in range(24 * days):
            made["patient-vitals"] += vitals(draw, patient, hour)
        for at in (START + day * 24 * HOUR + 8 * HOUR for day in range(days)):
            for test, unit in (("ALT", "U/L"), ("CREAT", "umol/L"), ("K", "furlong"), ("OTHER", None)):
                value = round(abs(draw.gauss(30, 9)), 1)
                result = {
                    "test_name": test,
                    "value": value,
                    "unit": unit,
                    "reference_range": "7-56",
                    "lab_id": "central",
                }
                made["lab-results"].append(line("lab-results", patient, at, result, delay=HOUR))
            dose = {"drug_name": "Verumab", "dosage": 5, "unit": "mg", "route": "ORAL", "frequency": "QD"}
            made["medications"].append(line("medications", patient, at, dose))
            if draw.random() < 0.6:
                event = {"event_type": "Nausea", "severity": "grade_2", "reported_by": "x", "report_timestamp": iso(at)}
                made["adverse-events"].append(line("adverse-events", patient, at + HOUR, event, delay=HOUR))
    for lines in made.values():
        lines.sort(key=lambda one: one["timestamp"])
    return made
