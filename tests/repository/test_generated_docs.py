"""The generated pages say what the tables say."""

from __future__ import annotations

import pytest

from tools import docs


@pytest.mark.parametrize("page", docs.PAGES)
def test_the_page_is_what_its_table_prints(page: str) -> None:
    path = docs.FOLDER / page
    assert path.exists(), "run `python -m tools.docs`"
    assert path.read_text() == docs.render(page), "out of date: run `python -m tools.docs`"
