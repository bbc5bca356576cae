"""Every address of the project, walked from the URL conf and the live connections' routing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from django.urls import URLPattern, URLResolver, get_resolver

from apps.accounts.methods import methods_of
from apps.portal.routing import websocket_urlpatterns

Door = Literal["portal", "admin", "api", "files", "live"]


@dataclass(frozen=True)
class Route:
    """One address: ``name`` as ``reverse`` takes it (its pattern where it has none), ``fields`` in the pattern."""

    door: Door
    name: str
    pattern: str
    fields: tuple[str, ...]
    methods: tuple[str, ...]
    view: Any = None

    @property
    def kind(self) -> Any:
        """The class of its view, None for a function."""
        return getattr(self.view, "view_class", None) or getattr(self.view, "cls", None)

    @property
    def short(self) -> str:
        """The name without its namespace."""
        return self.name.rpartition(":")[2]


@cache
def routes() -> tuple[Route, ...]:
    """All of them. An address that an earlier one hides (the admin's own sign-in, behind ours) is left out."""
    found: dict[str, Route] = {}
    for prefix, namespaces, one in _walk(get_resolver().url_patterns, "", ()):
        pattern = prefix + str(one.pattern)
        if pattern in found:
            continue
        namespace = ":".join(namespaces)
        methods = methods_of(one.callback, one.name or "", namespace)
        name = f"{namespace}:{one.name}".strip(":") if one.name else pattern
        found[pattern] = Route(_door(namespace, pattern), name, pattern, _fields(prefix, one), methods, one.callback)
    live = (
        Route("live", one.name or str(one.pattern), str(one.pattern), _fields("", one), ("GET",), one.callback)
        for one in websocket_urlpatterns
    )
    files = (
        Route("files", "static", "static/<path:file>", ("file",), ("GET", "HEAD")),
        Route("files", "media", "media/<path:file>", ("file",), ()),
    )
    return (*found.values(), *live, *files)


def _walk(
    patterns: Iterable[Any], prefix: str, namespaces: tuple[str, ...]
) -> Iterator[tuple[str, tuple[str, ...], URLPattern]]:
    for one in patterns:
        if isinstance(one, URLResolver):
            inner = (*namespaces, one.namespace) if one.namespace else namespaces
            yield from _walk(one.url_patterns, prefix + str(one.pattern), inner)
        else:
            yield prefix, namespaces, one


def _door(namespace: str, pattern: str) -> Door:
    if namespace == "admin" or pattern.startswith("admin/"):
        return "admin"
    return "portal" if namespace == "portal" else "api"


def _fields(prefix: str, one: URLPattern) -> tuple[str, ...]:
    parts = [part.partition(">")[0].rpartition(":")[2] for part in (prefix + str(one.pattern)).split("<")[1:]]
    return tuple(part for part in parts if part.isidentifier())
