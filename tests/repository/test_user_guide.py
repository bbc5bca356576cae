"""The user guide and its pictures: each is drawn by the table, each row of the table is used, and each says what it shows."""

from __future__ import annotations

import re
from pathlib import Path

from apps.accounts.roles import ROLES
from tests.support import guide
from tests.support.pictures import MOST_BYTES, PICTURES

ROOT = Path(__file__).resolve().parents[2]
GUIDE = ROOT / "docs" / "user-guide.md"
TEXT = GUIDE.read_text("utf-8")
KEPT = ROOT / "docs" / "images" / "guide"
#: The picture, and the line after it.
PICTURE = re.compile(r"!\[([^\]]*)\]\(images/guide/([a-z0-9-]+)\.png\)\n\n([^\n]*)")


def test_the_guide_and_the_table_name_the_same_pictures_and_all_are_kept() -> None:
    named = [name for _, name, _ in PICTURE.findall(TEXT)]
    assert TEXT.count("![") == len(named), "a picture lies elsewhere, or has no line after it"
    assert len(set(named)) == len(named)
    table = {row.name for row in PICTURES}
    assert set(named) == table
    assert {path.stem for path in KEPT.glob("*.png")} == table
    for path in KEPT.iterdir():
        assert path.stat().st_size <= MOST_BYTES, path.name


def test_each_picture_has_words_for_those_who_do_not_see_it_and_says_that_it_is_simulated() -> None:
    labelled = {row.name: row.labelled for row in PICTURES}
    for words, name, caption in PICTURE.findall(TEXT):
        assert len(words) > 30, name
        assert caption.lower().startswith(("*simulated data", "*of simulated data")), name
        assert caption.startswith("*Simulated") == labelled[name], f"{name}: does the page itself say so?"


def test_every_chapter_has_a_picture_and_every_role_a_row() -> None:
    chapters = re.split(r"\n## ", TEXT)
    for chapter in chapters[1:]:
        assert "![" in chapter, chapter[:40]
    table = chapters[0].lower()
    for role in ROLES.values():
        assert role.label.lower() in table, role.label
    assert {row.who for row in PICTURES} <= guide.PEOPLE.keys()


def test_the_guides_links_lead_somewhere() -> None:
    anchors = {
        re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-")
        for heading in re.findall(r"^#+ (.*)$", TEXT, re.MULTILINE)
    }
    links = re.findall(r"(?<!!)\[[^\]]*\]\(([^)]+)\)", TEXT)
    assert len(links) > 10
    for link in links:
        if link.startswith("#"):
            assert link[1:] in anchors, link
        else:
            assert (GUIDE.parent / link.partition("#")[0]).is_file(), link
