"""How often a key may ask."""

from __future__ import annotations

from typing import Any

from rest_framework.throttling import SimpleRateThrottle

from apps.accounts.models import ApiKey


class KeyThrottle(SimpleRateThrottle):
    """Requests a minute of one key; generous, since it protects the service and is no security control."""

    rate = "60000/min"
    scope = "api_key"

    def get_cache_key(self, request: Any, view: Any) -> str | None:  # noqa: ARG002
        """The key's prefix; requests without a key are refused before they count."""
        key = request.auth
        return f"throttle:{key.prefix}" if isinstance(key, ApiKey) else None
