"""One text for one value: the form that hashes and signatures cover.

Keys sorted, no space, UTF-8, every number as a string: floating-point notation differs between languages, and an
inspector's program has to arrive at the same bytes. (RFC 8785 is close, but its numbers are JavaScript's.)
"""

from __future__ import annotations

import dataclasses
import json
import math
import uuid
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any

from apps.core.errors import Invalid

Canonical = str | bool | None | list["Canonical"] | dict[str, "Canonical"]


def normalise(value: Any) -> Canonical:
    """A value as JSON without numbers: int "7", float its shortest repr, bytes hexadecimal, times ISO 8601 UTC with
    microseconds and Z. Raises Invalid for what has no such form (NaN, a time without zone, any other object)."""
    match value:
        case None | bool():
            return value
        case Enum():
            return normalise(value.value)
        case str():
            return _text(value)
        case int():
            return str(value)
        case float():
            if not math.isfinite(value):
                raise Invalid("NaN and Infinity cannot be recorded.", code="canonical")
            return repr(float(value))
        case Decimal():
            if not value.is_finite():
                raise Invalid("NaN and Infinity cannot be recorded.", code="canonical")
            return str(value)
        case datetime():
            return moment(value)
        case date():
            return value.isoformat()
        case timedelta():
            return repr(value.total_seconds())
        case uuid.UUID():
            return str(value)
        case bytes() | memoryview():
            return bytes(value).hex()
        case Mapping():
            return {_text(str(name)): normalise(inner) for name, inner in value.items()}
        case list() | tuple():
            return [normalise(inner) for inner in value]
        case set() | frozenset():
            return sorted(normalise(inner) for inner in value)  # type: ignore[type-var]
        case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return normalise(dataclasses.asdict(value))
        case _:
            raise Invalid(f"A {type(value).__name__} cannot be recorded.", code="canonical")


def moment(value: datetime) -> str:
    """A moment in ISO 8601, UTC, microseconds, Z. Raises Invalid without a time zone."""
    if value.tzinfo is None:
        raise Invalid("A time without a time zone cannot be recorded.", code="canonical")
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{value.microsecond:06d}Z"


def encode(value: Any) -> bytes:
    """The canonical bytes of a value."""
    return json.dumps(normalise(value), sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()


def _text(value: str) -> str:
    # PostgreSQL stores neither NUL nor lone surrogates; replaced before hashing, the row and its hash agree.
    return value.replace("\x00", "\N{SYMBOL FOR NULL}").encode("utf-8", "replace").decode()
