"""Names of the channel groups. The live loop sends {"type": "scored", "patients": [keys]} to a trial's group."""

from __future__ import annotations

import hashlib
import re

_PLAIN = re.compile(r"^[A-Za-z0-9._-]{1,80}$")


def _safe(key: str) -> str:
    """A group's name allows letters, digits, ``-``, ``_`` and ``.`` only; another key stands as its hash."""
    return key if _PLAIN.match(key) else hashlib.sha256(key.encode()).hexdigest()


def trial_group(trial_id: str) -> str:
    """All pages of a trial."""
    return f"trial.{_safe(trial_id)}"
