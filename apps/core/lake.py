"""The lake as the settings name it."""

from __future__ import annotations

from functools import cache

from django.conf import settings

from ml.lake import Lake


@cache
def lake() -> Lake:
    """One `Lake` a process; it may be used by many threads and survives a fork."""
    return Lake.from_url(
        settings.LAKE_URL,
        endpoint=settings.S3_ENDPOINT,
        access_key=settings.S3_ACCESS_KEY,
        secret_key=settings.S3_SECRET_KEY,
    )
