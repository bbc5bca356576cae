"""How an example of cleaning is drawn, and run.

Messages are of one patient, P1, of whom the context is known unless `unknown`; day 1 is 2026-03-01, UTC. A message is
recorded one minute after it happened, by an EDC system, unless said otherwise. `rows`: some columns of the silver rows
that come of it, in order of time; times as HH:MM:SS. `aside`: (rule, field, value) of what is set aside.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from ml.cleaning.clean import clean, split_known, unknown_patients
from ml.cleaning.fill import forward_fill
from ml.cleaning.versions import dedupe
from ml.profile import StudyProfile

DAY = "2026-03-01T"
TOPIC_ID = "ZXhhbXBsZS1leGFtcGxlIQ"
PATIENT = "P1"
PROFILE = StudyProfile("EXAMPLE", study_treatments=("Verumab",))
TIMES = frozenset({"event_time", "known_time", "end_time"})


@dataclass(frozen=True, slots=True)
class Message:
    """One message: its topic's fields, when the broker took it (HH:MM[:SS[.fff]]; None = a minute later), by whom."""

    topic: str
    value: dict[str, Any]
    taken: str | None = None
    producer: str = "edc"


@dataclass(frozen=True, slots=True)
class Example:
    """Messages of one topic and what becomes of them; `duplicates` counts versions that said nothing new."""

    title: str
    why: str
    messages: tuple[Message, ...]
    rows: tuple[dict[str, Any], ...] = ()
    aside: tuple[tuple[str, str, str | None], ...] = ()
    duplicates: int = 0
    unknown: bool = False

    @property
    def topic(self) -> str:
        """The topic of its messages."""
        return self.messages[0].topic


def _time(text: str) -> str:
    return f"{DAY}{text}Z" if text.count(":") == 2 else f"{DAY}{text}:00Z"


def _moment(text: str) -> float:
    return datetime.fromisoformat(_time(text)).astimezone(UTC).timestamp()


def _message(topic: str, moment: dict[str, Any], fields: dict[str, Any], rest: dict[str, Any]) -> Message:
    taken, producer = rest.pop("taken", None), rest.pop("producer", "edc")
    more = {name: _time(value) if name in {"end_timestamp", "recorded_at"} else value for name, value in rest.items()}
    value = {"patient_id": PATIENT, **moment, **fields, **more}
    return Message(topic, value, taken, producer)


def vitals(at: str, **signs: Any) -> Message:
    """Vital signs measured at HH:MM."""
    return _message("patient-vitals", {"timestamp": _time(at)}, {"source": "monitor"}, signs)


def lab(at: str, test: str, value: float | None, unit: str | None, bounds: str | None = None, **more: Any) -> Message:
    """A laboratory result."""
    fields = {"test_name": test, "value": value, "unit": unit, "reference_range": bounds, "lab_id": "central"}
    return _message("lab-results", {"timestamp": _time(at)}, fields, more)


def medicine(at: str, name: str, dosage: float | None = 10, **more: Any) -> Message:
    """A medicine or study dose."""
    fields = {"drug_name": name, "dosage": dosage, "unit": "mg", "route": "ORAL", "frequency": "QD"}
    return _message("medications", {"timestamp": _time(at)}, fields, more)


def event(at: str, kind: str, grade: int, **more: Any) -> Message:
    """An adverse event."""
    fields = {"event_type": kind, "severity": f"grade_{grade}", "reported_by": "investigator"}
    return _message("adverse-events", {"event_timestamp": _time(at), "report_timestamp": _time(at)}, fields, more)


def context(at: str, kind: str, **more: Any) -> Message:
    """A part of a patient's context."""
    return _message("patient-context", {"timestamp": _time(at)}, {"kind": kind}, more)


def bronze(messages: Sequence[Message], trial: str | None = None, first: int = 0) -> list[bytes]:
    """Bronze lines of messages, offsets from `first` on; `trial` is put into those that name none."""
    lines = []
    for number, message in enumerate(messages):
        value = dict(message.value)
        if trial is not None:
            value.setdefault("trial_id", trial)
        happened = str(value.get("timestamp", value.get("event_timestamp")))
        moment = datetime.fromisoformat(happened).timestamp() + 60 if message.taken is None else _moment(message.taken)
        line = {
            "topic": message.topic,
            "topic_id": TOPIC_ID,
            "partition": 0,
            "offset": first + number,
            "timestamp": round(moment * 1000),
            "key": PATIENT,
            "headers": {"producer": message.producer, "schema_version": "1"},
            "value": value,
        }
        lines.append(orjson.dumps(line))
    return lines


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an example's messages."""

    rows: pa.Table
    aside: list[tuple[str, str, str | None]]
    duplicates: int


def run(example: Example) -> Outcome:
    """Take an example through cleaning, versions and forward fill."""
    cleaned = clean(
        example.topic,
        bronze(example.messages),
        epochs={TOPIC_ID: 0},
        profiles={PROFILE.trial_id: PROFILE},
        default_trial=PROFILE.trial_id,
    )
    known = set() if example.unknown else {f"{PROFILE.trial_id}/{PATIENT}"}
    split = split_known(cleaned.rows, known)
    aside = pa.concat_tables([cleaned.quarantine, unknown_patients(example.topic, split.unknown)])
    versions = dedupe(example.topic, split.known)
    rows = forward_fill(versions.rows) if example.topic == "patient-vitals" else versions.rows
    return Outcome(rows, reasons(aside), versions.duplicates.num_rows)


def reasons(quarantine: pa.Table) -> list[tuple[str, str, str | None]]:
    """(rule, field, value) of what is set aside, in order of the messages and rules."""
    rows = quarantine.select(["offset", "rule", "field", "value"]).to_pylist()
    return [(row["rule"], row["field"], row["value"]) for row in sorted(rows, key=_place)]


def _place(row: dict[str, Any]) -> tuple[int, str, str]:
    return row["offset"], row["rule"], row["field"]


def shown(rows: pa.Table, expected: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The columns of each row that the example speaks of, times as HH:MM:SS; rows by time, then as they became known."""
    table = rows.sort_by([(name, "ascending") for name in ("event_time", "known_time", "offset")])
    result = []
    for number, row in enumerate(table.to_pylist()):
        names = expected[number].keys() if number < len(expected) else ("event_time",)
        result.append({name: _clock(row[name]) if name in TIMES else row[name] for name in names})
    return result


def _clock(seconds: int | None) -> str | None:
    if seconds is None:
        return None
    return str(np.datetime64(seconds, "s")).partition("T")[2]
