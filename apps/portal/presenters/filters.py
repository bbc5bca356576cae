"""The filter bar: what can be chosen, and what is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from apps.patients.models import Site
from apps.portal.presenters import board
from apps.portal.viewer import Viewer


@dataclass(frozen=True, slots=True)
class Choice:
    value: str
    words: str


@dataclass(frozen=True, slots=True)
class FilterBar:
    action: str
    sites: list[Choice]
    sorts: list[Choice]
    site: str
    sort: str
    query: str
    own_sites: bool
    active: bool


def bar(filters: board.Filters, sites: Iterable[Site], viewer: Viewer, action: str) -> FilterBar:
    """The bar of one board."""
    return FilterBar(
        action=action,
        sites=[
            Choice(site.site_id, f"{site.site_id}{f' {site.name}' if site.name and site.name != site.site_id else ''}")
            for site in sites
        ],
        sorts=[Choice(key, text) for key, text in board.SORTS.items()],
        site=filters.site,
        sort=filters.sort,
        query=filters.query,
        own_sites=not viewer.sites.everything,
        active=bool(filters.address()),
    )
