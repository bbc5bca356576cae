"""Time-ordered identifiers (UUID version 7, RFC 9562 section 5.7)."""

from __future__ import annotations

import os
import threading
import time
import uuid
from datetime import UTC, datetime

_lock = threading.Lock()
_last = 0


def uuid7() -> uuid.UUID:
    """A UUID of version 7: 48 bits of Unix milliseconds, 12 bits of sub-millisecond time, 62 random bits.

    Strictly increasing within one process, so that rows written together keep their order; the wall clock is read here
    and not from ``core.clock`` because an identifier has to be new even while a test holds the clock still.
    """
    global _last
    nanoseconds = time.time_ns()
    stamp = (nanoseconds // 1_000_000) << 12 | (nanoseconds % 1_000_000) * 4096 // 1_000_000
    with _lock:
        stamp = max(stamp, _last + 1)
        _last = stamp
    random = int.from_bytes(os.urandom(8), "big") & ((1 << 62) - 1)
    value = (stamp >> 12) << 80 | 0x7 << 76 | (stamp & 0xFFF) << 64 | 0b10 << 62 | random
    return uuid.UUID(int=value)


def earliest(moment: datetime) -> uuid.UUID:
    """No identifier made at ``moment`` or later is smaller."""
    return uuid.UUID(int=max(0, int(moment.timestamp() * 1000)) << 80)


def made_at(identifier: uuid.UUID) -> datetime:
    """The moment a version 7 identifier was made, to the millisecond."""
    return datetime.fromtimestamp((identifier.int >> 80) / 1000, UTC)
