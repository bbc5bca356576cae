"""What no log line may hold, taken out at the last step before it is written, whoever wrote it.

Secrets, because a log is read by more people than may have them; addresses beyond their route, because a patient's
identifier stands in some; what people typed to sign in, because they type passwords into the wrong field. Rules are tables:
a name whose value is never written, and a pattern of text with what stands in its place.
"""

from __future__ import annotations

import re
from typing import Any

from structlog.typing import EventDict, WrappedLogger

HIDDEN = "[hidden]"

#: Parts of names whose values are never written, wherever they stand.
NAMES = (
    "authorization", "api_key", "apikey", "api-key", "cookie", "csrf", "password", "passwd", "secret", "session", "token",
    "signing_key", "private_key", "username",
)  # fmt: skip
#: Names that hold one of the above and tell nothing.
HARMLESS = frozenset({"sessions", "tokens", "secret_names"})

_IN_QUERY = r"[^\s\"'&]+"
#: Text -> what is written instead. Looked through in this order.
PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), instead)
    for pattern, instead in (
        # an API key: its prefix is public and helps to find it
        (r"\b(crk_[0-9a-f]{12})_[A-Za-z0-9_-]+", r"\1_" + HIDDEN),
        (
            r"\b(authorization|proxy-authorization|cookie|set-cookie|x-api-key)(['\"]?\s*[:=]\s*)[^\r\n]+",
            r"\1\2" + HIDDEN,
        ),
        (r"\b((?:__Host-)?(?:session(?:id)?|csrf(?:token)?|csrfmiddlewaretoken))=" + _IN_QUERY, r"\1=" + HIDDEN),
        (
            r"\b(password|passwd|secret(?:_key)?|token|api[_-]?key)(['\"]?\s*[:=]\s*['\"]?)" + _IN_QUERY,
            r"\1\2" + HIDDEN,
        ),
        # the password in the address of a server
        (r"(\b[a-z][a-z0-9+.-]*://[^/\s:@]*):[^@\s/]+@", r"\1:" + HIDDEN + "@"),
        # a patient in an address: the route remains
        (r"(/patients/)(?!<)[^/\s\"'?#>]+", r"\1…"),
        # whatever was asked for: names looked for, the address to go back to
        (r"((?:^|[\s\"'(])/[^\s\"'?]*)\?[^\s\"')>]+", r"\1?…"),
    )
)


def text(value: str) -> str:
    """The text without what no line may hold."""
    for pattern, instead in PATTERNS:
        value = pattern.sub(instead, value)
    return value


def value(name: str, given: Any) -> Any:
    """The value of a field, masked as its name and its text ask; containers through and through."""
    lowered = name.lower()
    if lowered not in HARMLESS and any(part in lowered for part in NAMES):
        return given if given is None or isinstance(given, bool) else HIDDEN
    if isinstance(given, str):
        return text(given)
    if isinstance(given, dict):
        return {key: value(str(key), inner) for key, inner in given.items()}
    if isinstance(given, (list, tuple)):
        return [value("", inner) for inner in given]
    if given is None or isinstance(given, (bool, int, float)):
        return given
    return text(_route(given) or str(given))


def processor(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """The structlog processor that stands before the one which renders."""
    return {name: value(name, given) for name, given in event.items()}


def _route(given: Any) -> str:
    """A request as its method and the pattern of its address; "" for what is none."""
    method, match = getattr(given, "method", None), getattr(given, "resolver_match", None)
    if not isinstance(method, str) or not hasattr(given, "META"):
        return ""
    return f"{method} /{match.route}" if match is not None else f"{method} (no such address)"
