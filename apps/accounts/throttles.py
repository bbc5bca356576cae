"""How often a key may ask, per scope: a table, and one atomic step in Valkey that all processes share.

The step is the generic cell rate algorithm: one number per key and scope, the moment at which it will have used up what
it asked so far. Nothing is counted twice or lost between processes, and the wait that is told is exact.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import redis
from django.conf import settings
from redis.commands.core import Script
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from apps.accounts.models import ApiKey

log = logging.getLogger(__name__)
TIMEOUT_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Rate:
    """``requests`` in any ``seconds``, of which ``burst`` may come at once."""

    requests: int
    seconds: int
    burst: int


#: By the scope a view needs; GET by "read". They protect the service from a caller's mistake; who may ask is decided elsewhere.
RATES: dict[str, Rate] = {
    "predict": Rate(requests=60_000, seconds=60, burst=2_000),
    "read": Rate(requests=6_000, seconds=60, burst=200),
    "replay": Rate(requests=60, seconds=60, burst=10),  # each reads bronze objects whole
    "retrain": Rate(requests=6, seconds=3600, burst=2),
}
#: For a scope that has no row.
OTHERWISE = Rate(requests=600, seconds=60, burst=60)

_STEP = """
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local gap, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local due = tonumber(redis.call('GET', KEYS[1]) or now)
if due < now then due = now end
local wait = due + gap - burst - now
if wait > 0 then return math.ceil(wait) end
redis.call('SET', KEYS[1], string.format('%.0f', due + gap), 'PX', math.ceil((due + gap - now) / 1000) + 1)
return 0
"""


@lru_cache(maxsize=4)
def _step(url: str) -> Script:
    client = redis.Redis.from_url(url, socket_timeout=TIMEOUT_SECONDS, socket_connect_timeout=TIMEOUT_SECONDS)
    return client.register_script(_STEP)


def wait_for(name: str, rate: Rate) -> float:
    """Takes one request of ``name`` and answers 0, or the seconds to wait (and takes none)."""
    gap = rate.seconds * 1_000_000 / rate.requests
    try:
        waited = _step(settings.THROTTLE_URL)(keys=[f"throttle:{name}"], args=[gap, gap * rate.burst])
    except redis.RedisError:
        # What limits the load must not be what stops the service.
        log.exception("throttle not reachable: the request is let through")
        return 0.0
    return int(waited) / 1_000_000


class KeyThrottle(BaseThrottle):
    """Requests of one key to views of one scope; looking counts as reading, whatever the scope, so that who started
    something may follow it. Requests without a key are refused before they count."""

    waited = 0.0

    def allow_request(self, request: Request, view: Any) -> bool:
        key = request.auth
        if not isinstance(key, ApiKey):
            return True
        scope = view.required_scope if request.method == "POST" else "read"
        self.waited = wait_for(f"{key.prefix}:{scope}", RATES.get(scope, OTHERWISE))
        return self.waited <= 0

    def wait(self) -> float:
        """Whole seconds, for Retry-After."""
        return float(max(1, math.ceil(self.waited)))
