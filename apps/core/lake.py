"""The lake as the settings name it."""

from __future__ import annotations

from functools import cache
from urllib.parse import urlsplit

from django.conf import settings

from ml.lake import Lake


@cache
def lake() -> Lake:
    """One `Lake` a process; it may be used by many threads and survives a fork."""
    return Lake.from_url(
        _url(),
        endpoint=settings.S3_ENDPOINT,
        access_key=settings.S3_ACCESS_KEY,
        secret_key=settings.S3_SECRET_KEY,
    )


def _url() -> str:
    """LAKE_URL; where it is ``s3://`` without a bucket or a folder, those of S3_BUCKET and S3_PREFIX."""
    url = str(settings.LAKE_URL)
    parts = urlsplit(url)
    if parts.scheme != "s3" or parts.path.strip("/"):
        return url
    return f"s3://{parts.netloc or settings.S3_BUCKET}/{settings.S3_PREFIX}"
