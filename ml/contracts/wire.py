"""Validation of a raw message against its topic's contract: accepted, or refused with every reason."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

import jsonschema_rs
import orjson

from ml.contracts.columns import Column
from ml.contracts.events import EVENTS, MAX_MESSAGE_BYTES, SCHEMA_VERSION, EventContract
from ml.contracts.signs import SIGNS

TIME_PATTERN = r"^(19|20|21)\d\d-[01]\d-[0-3]\dT[0-2]\d:[0-5]\d:[0-5]\d(\.\d{1,9})?(Z|\+00:00)$"
NO_SIGN = "None of the vital signs has a value, and the message is no retraction."
KNOWN_VERSIONS = frozenset({SCHEMA_VERSION})


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a message was refused: a rule's name, where in the message, and a sentence for a person."""

    rule: str
    path: str
    message: str


@dataclass(frozen=True, slots=True)
class Accepted:
    """A message that keeps its contract."""

    value: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Refused:
    """A message that breaks its contract; `reasons` is never empty."""

    reasons: tuple[Reason, ...]


def _property(column: Column) -> dict[str, Any]:
    kinds = {
        "text": "string",
        "time": "string",
        "number": "number",
        "integer": "integer",
        "flag": "boolean",
        "list": "array",
    }
    schema: dict[str, Any] = {"type": kinds[column.kind], "description": column.doc}
    if column.nullable:
        schema["type"] = [schema["type"], "null"]
    if column.kind == "text":
        schema["maxLength"] = column.max_length
        if column.required:
            schema["minLength"] = 1
    if column.kind == "time":
        schema["pattern"] = TIME_PATTERN
    if column.kind == "list":
        schema["items"] = {"type": "string", "maxLength": 120}
        schema["maxItems"] = column.max_length
    if column.pattern:
        schema["pattern"] = column.pattern
    if column.minimum is not None:
        schema["minimum"] = column.minimum
    if column.maximum is not None:
        schema["maximum"] = column.maximum
    if column.choices:
        schema["enum"] = [*column.choices, *([None] if column.nullable else [])]
    if column.unit:
        schema["x-unit"] = column.unit
    schema["x-blinding"] = column.blinding
    return schema


def json_schema(topic: str) -> dict[str, Any]:
    """JSON Schema (2020-12) of a topic's message. KeyError for an unknown topic."""
    contract = EVENTS[topic]
    schema: dict[str, Any] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": contract.topic,
        "description": contract.doc,
        "type": "object",
        "required": [column.name for column in contract.columns if column.required],
        "properties": {column.name: _property(column) for column in contract.columns},
        "x-version": SCHEMA_VERSION,
    }
    if topic == "patient-vitals":
        schema["anyOf"] = [
            *({"required": [sign.name], "properties": {sign.name: {"not": {"type": "null"}}}} for sign in SIGNS),
            {"required": ["retracted"], "properties": {"retracted": {"const": True}}},
        ]
    return schema


@cache
def _validator(topic: str) -> Any:
    return jsonschema_rs.validator_for(json_schema(topic))


@cache
def _time_columns(topic: str) -> tuple[str, ...]:
    return tuple(column.name for column in EVENTS[topic].columns if column.kind == "time")


def _bad_times(contract: EventContract, value: dict[str, Any]) -> list[Reason]:
    reasons = []
    for name in _time_columns(contract.topic):
        text = value.get(name)
        if text is None:
            continue
        try:
            datetime.fromisoformat(text)
        except ValueError:
            reasons.append(Reason("not_a_date", name, f"{name} is no date of the calendar: {text[:40]}"))
    return reasons


def _path(error: Any) -> str:
    return ".".join(str(part) for part in error.instance_path)


def validate(topic: str, raw: bytes | None, version: str = SCHEMA_VERSION) -> Accepted | Refused:
    """Judge one raw message. Never raises on what is in the message; KeyError for a topic that is not ours."""
    contract = EVENTS[topic]
    if raw is None:
        return Refused((Reason("empty", "", "The message has no body."),))
    if len(raw) > MAX_MESSAGE_BYTES:
        return Refused(
            (Reason("too_large", "", f"The message has {len(raw)} bytes; {MAX_MESSAGE_BYTES} are allowed."),)
        )
    if version not in KNOWN_VERSIONS:
        return Refused((Reason("unknown_version", "", f"Nobody here knows version {version[:20]!r} of {topic}."),))
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        rule = "not_utf8" if "utf-8" in str(error).lower() else "not_json"
        return Refused((Reason(rule, "", f"The message is not JSON in UTF-8: {error}"),))
    validator = _validator(topic)
    if validator.is_valid(value):
        if reasons := _bad_times(contract, value):
            return Refused(tuple(reasons))
        return Accepted(value)
    return Refused(tuple(_reason(error) for error in validator.iter_errors(value)))


def _reason(error: Any) -> Reason:
    keyword = _keyword(error)
    message = NO_SIGN if keyword == "anyOf" else str(error.message)[:300]
    return Reason(f"schema_{keyword}", _path(error), message)


def _keyword(error: Any) -> str:
    """The JSON Schema keyword that was broken, e.g. `required`, `type`, `pattern`."""
    path = [part for part in error.schema_path if isinstance(part, str)]
    for part in reversed(path):
        if part in {
            "required",
            "type",
            "pattern",
            "enum",
            "minimum",
            "maximum",
            "maxLength",
            "minLength",
            "maxItems",
            "anyOf",
        }:
            return str(part)
    return "rule"
