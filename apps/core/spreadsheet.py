"""CSV as people open it, in a spreadsheet: RFC 4180, UTF-8, and no cell that the spreadsheet would take for a formula."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence

#: What a formula begins with (OWASP, CSV injection); some programs read the full-width forms as the narrow ones.
FORMULA = (
    "=", "+", "-", "@", "\t", "\r", "\n",
    "\N{FULLWIDTH EQUALS SIGN}", "\N{FULLWIDTH PLUS SIGN}", "\N{FULLWIDTH HYPHEN-MINUS}", "\N{FULLWIDTH COMMERCIAL AT}",
)  # fmt: skip
BYTE_ORDER_MARK = "\N{ZERO WIDTH NO-BREAK SPACE}"
"""Before the first line, for a spreadsheet that takes UTF-8 for something else without it."""
PIECE = 65_536
"""Characters that are sent at once."""


class _Line:
    """What csv writes to: it hands the line back."""

    def write(self, line: str) -> str:
        return line


_WRITER = csv.writer(_Line(), lineterminator="\r\n")


def cell(value: object) -> str:
    """The value as a cell's text. An apostrophe goes before text that would be a formula; a number is none, whatever its
    sign; None is empty; a zero byte is shown, for it ends a cell in some programs."""
    if value is None:
        return ""
    if isinstance(value, int | float):
        return str(value)
    text = str(value).replace("\x00", "\\x00")
    return f"'{text}" if text.lstrip(" ").startswith(FORMULA) else text


def line(values: Iterable[object]) -> str:
    """One row, with its end."""
    return str(_WRITER.writerow([cell(value) for value in values]))


def lines(header: Sequence[str], rows: Iterable[Iterable[object]]) -> Iterator[str]:
    """The heading and the rows, a line each."""
    yield line(header)
    for row in rows:
        yield line(row)


def pieces(lines: Iterable[str]) -> Iterator[bytes]:
    """Lines gathered to pieces worth sending."""
    waiting: list[str] = []
    size = 0
    for one in lines:
        waiting.append(one)
        size += len(one)
        if size > PIECE:
            yield "".join(waiting).encode()
            waiting, size = [], 0
    yield "".join(waiting).encode()
