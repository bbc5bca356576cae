"""The table of deviations: what stands in a required name's place is there, and what it replaced is not."""

from __future__ import annotations

import re
import subprocess
import tomllib

from clinical_portal.env import BASE_DIR

PAGE = BASE_DIR / "docs" / "deviations.md"
COLUMNS = ["required", "ours", "where", "why", "decision"]
MUST_STAND = (".pth", ".pkl", "partitioned tables", "black and flake8")


def rows() -> list[dict[str, str]]:
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert cells[0] == COLUMNS
    assert all(len(row) == len(COLUMNS) for row in cells)
    return [dict(zip(COLUMNS, row, strict=True)) for row in cells[2:]]


def test_every_row_is_whole_and_what_it_names_is_there() -> None:
    for row in rows():
        places = re.findall(r"`([^`]+)`", row["where"])
        assert places, row
        missing = [place for place in places if not (BASE_DIR / place).exists()]
        assert missing == [], row["required"]
        assert len(row["why"]) > 20, row["required"]
        link = re.search(r"\((adr/[^)#]+)(#[^)]+)?\)", row["decision"])
        assert link, row["required"]
        text = (PAGE.parent / link[1]).read_text()
        assert link[2] is None or f'id="{link[2][1:]}"' in text, row["required"]


def test_ours_is_what_the_code_says() -> None:
    for row in rows():
        source = BASE_DIR / re.findall(r"`([^`]+)`", row["where"])[0]
        if source.suffix == ".py" and (named := re.match(r"`(\w+\.\w+)`$", row["ours"])):
            assert named[1] in source.read_text(), f"{source} does not write {named[1]}"


def test_the_required_ones_are_told() -> None:
    told = " ".join(row["required"] for row in rows())
    assert [name for name in MUST_STAND if name not in told] == []


def test_what_was_replaced_is_not_there() -> None:
    listed = subprocess.run(
        ["git", "ls-files"], cwd=BASE_DIR, capture_output=True, text=True, check=True
    ).stdout.split()
    assert [name for name in listed if name.endswith((".pth", ".pkl", ".joblib"))] == []
    project = tomllib.loads((BASE_DIR / "pyproject.toml").read_text())
    packages = [
        *project["project"]["dependencies"],
        *(one for group in project["project"]["optional-dependencies"].values() for one in group),
    ]
    assert not [one for one in packages if re.match(r"(black|flake8|fastapi)\b", one, re.IGNORECASE)]
    assert any(one.startswith("ruff==") for one in packages)
