"""CSV for spreadsheets: what is read back is what was written, and nothing is a formula."""

from __future__ import annotations

import ast
import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.audit.export_text import COLUMNS, csv_row
from apps.core.spreadsheet import FORMULA, PIECE, cell, line, lines, pieces
from clinical_portal.env import BASE_DIR
from tools import verify_audit


@pytest.mark.parametrize(
    "text", ["=1+1", "+x", "-1", "@sum", "\t=x", "\r=x", "\n=x", " =x", "  +x", "＝x", "＋x", "－x", "＠x"]
)
def test_text_that_would_be_a_formula_is_text(text: str) -> None:
    assert cell(text) == f"'{text}"


@pytest.mark.parametrize(
    ("value", "said"),
    [(None, ""), (-0.25, "-0.25"), (-3, "-3"), (True, "True"), ("a=b", "a=b"), ("", ""), ("a\x00b", "a\\x00b")],
)
def test_what_is_no_formula_stays_as_it_is(value: object, said: str) -> None:
    assert cell(value) == said


@given(st.lists(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1, max_size=4), max_size=5))
def test_what_is_read_back_is_what_was_written(rows: list[list[str]]) -> None:
    text = b"".join(pieces(lines(["head"], rows))).decode()
    read = list(csv.reader(io.StringIO(text, newline="")))
    assert read == [["head"], *([cell(value) for value in row] for row in rows)]
    assert not any(one.lstrip(" ").startswith(FORMULA) for row in read for one in row)


def test_lines_are_gathered_and_none_is_lost() -> None:
    many = [line([number, "x" * 100]) for number in range(2_000)]
    parts = list(pieces(many))
    assert 2 < len(parts) < 10
    assert max(len(part) for part in parts) < PIECE + 200
    assert b"".join(parts).decode() == "".join(many)


@pytest.mark.parametrize("reason", ["=2+2", " ＝x", "plain", "－"])
def test_the_verifier_that_knows_none_of_this_makes_the_same_cells(reason: str) -> None:
    event = dict.fromkeys(COLUMNS[1:], "x") | {"before": None, "after": {"a": "=1"}, "reason": reason}
    assert verify_audit.csv_row("7", event) == [cell(value) for value in csv_row(7, event)]


def test_there_is_one_writer_of_csv() -> None:
    """A second one would forget the formulas."""
    found = [
        path.relative_to(BASE_DIR).as_posix()
        for path in (BASE_DIR / "apps").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
        and node.attr in {"writer", "DictWriter"}
        and ast.unparse(node.value) == "csv"
    ]
    assert found == ["apps/core/spreadsheet.py"]
