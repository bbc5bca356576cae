"""From which address somebody asks, where proxies of our own stand before the portal."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest


def client_address(request: HttpRequest) -> str:
    """The sender's address. Each of PROXY_COUNT proxies adds to the right of X-Forwarded-For whom it heard from, so the
    entry that far from the right is the first that we wrote ourselves; what stands to its left anybody may have invented.
    """
    count = settings.PROXY_COUNT
    heard = [part.strip() for part in request.META.get("HTTP_X_FORWARDED_FOR", "").split(",") if part.strip()]
    return heard[-count] if 0 < count <= len(heard) else str(request.META.get("REMOTE_ADDR", ""))
