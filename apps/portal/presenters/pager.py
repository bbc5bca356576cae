"""Pages of a list: newer and older, with the query string kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest

from apps.portal.presenters import words


@dataclass(frozen=True, slots=True)
class Pager:
    words: str
    previous_url: str
    next_url: str


def page_of(rows: QuerySet[Any] | Sequence[Any], request: HttpRequest, size: int, one: str) -> tuple[list[Any], Pager]:
    """The rows of the page the address asks for (``page``, from 1), and the pager beneath them."""
    asked = request.GET.get("page", "1")
    number = min(max(1, int(asked)) if asked.isascii() and asked.isdigit() and len(asked) < 8 else 1, 100_000)
    count = rows.count() if isinstance(rows, QuerySet) else len(rows)
    number = min(number, max(1, -(-count // size)))
    start = (number - 1) * size
    shown = list(rows[start : start + size])

    def address(to: int) -> str:
        query = request.GET.copy()
        query["page"] = str(to)
        return f"?{query.urlencode()}"

    span = (
        f"{start + 1:,} to {start + len(shown):,} of {words.plural(count, one)}"
        if count > size
        else words.plural(count, one)
    )
    return shown, Pager(
        span, address(number - 1) if number > 1 else "", address(number + 1) if start + size < count else ""
    )
