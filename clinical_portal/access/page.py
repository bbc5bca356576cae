"""The table of access as a page."""

from __future__ import annotations

from itertools import groupby

from apps.accounts.methods import METHODS
from apps.core.markdown import table
from clinical_portal.access.routes import Route, routes
from clinical_portal.access.rules import outcome
from clinical_portal.access.visitors import VISITORS

_WORDS = """# Who gets what where

Every address, every method, everybody. Worked out from what the views declare, and compared with what the running portal
answers (`tests/integration/test_access.py`): an address that is not here, or that answers otherwise, fails.

- **in**: let in, whatever the form or the body then earns; **sign-in**: sent to the sign-in page
- **401** no valid key; **403** not with these roles or scopes; **404** not there for them, in the same words as what does
  not exist; **405** with `Allow`, before anybody is asked who they are
- a live connection is **in**, or closed with **4401** (not signed in) or **4403** (may not)

The patient, run, version or import in an address belongs to the trial and, where it has one, the site *here*. A list is
cut to what its reader may see. HEAD is GET without its body; OPTIONS and TRACE are answered nowhere. `/media/` does not exist:
nothing uploaded is ever served.
"""
_DOORS = {
    "portal": "Portal",
    "api": "API (its own process, and the portal's)",
    "admin": "Admin",
    "live": "Live connections (WebSocket)",
    "files": "Files",
}


def render() -> str:
    """The page in Markdown."""
    parts = [_WORDS]
    for door, title in _DOORS.items():
        rows = [row for route in routes() if route.door == door for row in _rows(route)]
        parts += [f"## {title}", "", table(("address", "methods", *(one.label for one in VISITORS)), rows)]
    return "\n".join(parts)


def _rows(route: Route) -> list[tuple[str, ...]]:
    """One row for the methods that have the same answers."""
    methods = ("GET",) if route.door == "live" else METHODS
    answers = {method: tuple(outcome(route, method, one) for one in VISITORS) for method in methods}
    address = "`/" + route.pattern.replace("|", "\\|") + "`"
    grouped = groupby(sorted(methods, key=lambda method: answers[method]), key=lambda method: answers[method])
    rows = [(tuple(sorted(group, key=methods.index)), cells) for cells, group in grouped]
    rows.sort(key=lambda row: methods.index(row[0][0]))
    return [(address, " ".join(group), *cells) for group, cells in rows]
