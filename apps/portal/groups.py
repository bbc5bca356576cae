"""Names of the channel groups. The live loop sends {"type": "scored", "patients": [keys]} to a trial's group."""

from __future__ import annotations

from apps.predictions.push import trial_group

__all__ = ["trial_group"]
