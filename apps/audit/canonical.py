"""One text for one value: the form that hashes and signatures cover.

Keys sorted, no space, UTF-8, every number as a string: floating-point notation differs between languages, and an
inspector's program has to arrive at the same bytes. (RFC 8785 is close, but its numbers are JavaScript's.)
"""

from __future__ import annotations

import dataclasses
import math
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any

import orjson

from apps.core.errors import Invalid

Canonical = str | bool | None | list["Canonical"] | dict[str, "Canonical"]


def normalise(value: Any) -> Canonical:
    """A value as JSON without numbers: int "7", float its shortest repr, bytes hexadecimal, times ISO 8601 UTC with
    microseconds and Z. Raises Invalid for what has no such form (NaN, a time without zone, any other object)."""
    if value is None or isinstance(value, bool):
        return value
    if (quick := _EXACT.get(type(value))) is not None:
        return quick(value)
    for kinds, write in _FORMS:
        if isinstance(value, kinds):
            return write(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return normalise(dataclasses.asdict(value))
    raise Invalid(f"A {type(value).__name__} cannot be recorded.", code="canonical")


def moment(value: datetime) -> str:
    """A moment in ISO 8601, UTC, microseconds, Z. Raises Invalid without a time zone."""
    if value.tzinfo is None:
        raise Invalid("A time without a time zone cannot be recorded.", code="canonical")
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{value.microsecond:06d}Z"


def encode(value: Any) -> bytes:
    """The canonical bytes of a value."""
    return orjson.dumps(normalise(value), option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS)


def _text(value: str) -> str:
    if value.isascii() and "\x00" not in value:
        return value
    # PostgreSQL stores neither NUL nor lone surrogates; replaced before hashing, the row and its hash agree.
    return value.replace("\x00", "\N{SYMBOL FOR NULL}").encode("utf-8", "replace").decode()


def _finite(value: float | Decimal, text: str) -> str:
    if not math.isfinite(value):
        raise Invalid("NaN and Infinity cannot be recorded.", code="canonical")
    return text


def _mapping(value: Mapping[Any, Any]) -> Canonical:
    return {_text(str(name)): normalise(inner) for name, inner in value.items()}


def _sequence(value: list[Any] | tuple[Any, ...]) -> Canonical:
    return [normalise(inner) for inner in value]


#: By exact type: a prediction's event is made of these, a thousand times a second.
_EXACT: dict[type, Callable[[Any], Canonical]] = {
    str: _text,
    int: str,
    float: lambda value: _finite(value, repr(value)),
    dict: _mapping,
    list: _sequence,
    tuple: _sequence,
    datetime: moment,
    uuid.UUID: str,
}
#: Looked through in this order: an Enum may be a text, a datetime is a date.
_FORMS: tuple[tuple[type | tuple[type, ...], Callable[[Any], Canonical]], ...] = (
    (Enum, lambda value: normalise(value.value)),
    (str, _text),
    (int, str),
    (float, lambda value: _finite(value, repr(float(value)))),
    (Decimal, lambda value: _finite(value, str(value))),
    (datetime, moment),
    (date, date.isoformat),
    (timedelta, lambda value: repr(value.total_seconds())),
    (uuid.UUID, str),
    ((bytes, memoryview), lambda value: bytes(value).hex()),
    (Mapping, _mapping),
    ((list, tuple), _sequence),
    ((set, frozenset), lambda value: sorted((normalise(inner) for inner in value), key=encode)),
)
