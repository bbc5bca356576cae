"""Free ports below the ephemeral range, so that a restarted server finds its port still free."""

from __future__ import annotations

import random
import socket

LOWEST, HIGHEST = 20_000, 32_000
TRIES = 200


def is_free(port: int) -> bool:
    """Whether this machine's loopback can be bound at ``port`` now (a closing connection does not count as use)."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def choose(avoid: set[int] | frozenset[int] = frozenset()) -> int:
    """A port nobody listens on; random, since several stacks may start at once on one machine."""
    source = random.SystemRandom()
    for _ in range(TRIES):
        port = source.randrange(LOWEST, HIGHEST)
        if port not in avoid and is_free(port):
            return port
    raise RuntimeError(f"no free port between {LOWEST} and {HIGHEST} in {TRIES} tries: stop what fills this range")
