"""Asking bronze to write now what it has read, instead of when its batches are full or thirty seconds old.

Somebody waits (an import that must not train on half a study). A key in Valkey says so for a few seconds; without Valkey
the wait is as long as it was.
"""

from __future__ import annotations

from redis.exceptions import RedisError

from apps.ingestion.window import window_store

KEY = "bronze:hurry"
SECONDS = 3


def ask() -> None:
    """Whoever asks keeps asking while they wait."""
    try:
        window_store().client.set(KEY, 1, ex=SECONDS)
    except RedisError:
        return


def asked() -> bool:
    """Whether somebody waits now."""
    try:
        return bool(window_store().client.exists(KEY))
    except RedisError:
        return False
