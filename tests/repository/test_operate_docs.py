"""What the pages for operators name is there: links, make targets, commands and their options, programs, files, and the
words of the portal's own pages."""

from __future__ import annotations

import importlib.util
import re
from functools import cache
from pathlib import Path

import pytest
from django.core.management import get_commands, load_command_class

from apps.portal.frame import SECTIONS
from clinical_portal.env import BASE_DIR

PAGES = [
    *(BASE_DIR / name for name in ("README.md", "CONTRIBUTING.md", "GLOSSARY.md")),
    *sorted((BASE_DIR / "docs").rglob("*.md")),
]
#: Pages that tell people what to press.
GUIDES = [page for page in PAGES if page.parent.name in {"docs", "operate", "runbooks"} or page.name == "README.md"]
LINK = re.compile(r"(?<!!)\[[^\]]+\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```\w*\n(.*?)^```", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`([^`\n]+)`")
TOP = (
    "apps",
    "benchmarks",
    "clinical_portal",
    "deploy",
    "docs",
    "ml",
    "spark_jobs",
    "static",
    "templates",
    "tests",
    "tools",
)
#: Quoted words of a page: one to six, the first with a capital.
CAPTION = re.compile(r"^\*(?:Of s|S)imulated data\b.*\*", re.MULTILINE)
QUOTED = re.compile(r"(?<![*\w])\*([A-Z][^*\n]{1,60})\*(?![*\w])")


def named(page: Path) -> str:
    return page.relative_to(BASE_DIR).as_posix()


def commands(page: Path) -> list[str]:
    """What stands in code: fenced lines without their comments, and spans."""
    text = page.read_text()
    lines = [line for block in FENCE.findall(text) for line in block.replace("\\\n", " ").splitlines()]
    return [line.partition("  #")[0].strip() for line in lines] + CODE.findall(FENCE.sub("", text))


def anchors(page: Path) -> set[str]:
    text = page.read_text()
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles} | set(
        re.findall(r'id="([^"]+)"', text)
    )


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_lead_somewhere(page: Path) -> None:
    missing = []
    for target in LINK.findall(page.read_text()):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        if not there.exists() or (anchor and anchor not in anchors(there)):
            missing.append(target)
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_make_targets_are_there(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (BASE_DIR / "Makefile").read_text(), re.MULTILINE))
    told = {name for code in commands(page) for name in re.findall(r"(?:^|\s)make ([a-z][a-z-]*)", code)}
    assert told - targets == set()


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_management_commands_are_there_and_take_what_they_are_given(page: Path) -> None:
    wrong = []
    for code in commands(page):
        for verb, rest in re.findall(r"manage\.py ([a-z_]+)([^|;&]*)", code):
            options = re.findall(r"--[a-z][a-z-]*", rest)
            if verb not in get_commands():
                wrong.append(verb)
                continue
            app = get_commands()[verb]
            command = load_command_class(app, verb) if isinstance(app, str) else app
            known = command.create_parser("manage.py", verb)._option_string_actions
            wrong += [f"{verb} {option}" for option in options if option not in known]
    assert wrong == []


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_programs_and_files_are_there(page: Path) -> None:
    codes = commands(page)
    modules = {name for code in codes for name in re.findall(r"python -m ([a-z_][a-z_.]*)", code)}
    files = {
        place
        for code in codes
        for place in re.findall(rf"(?<![\w/.~-])(?:{'|'.join(TOP)})/[\w./-]*[\w]", code)
        if "…" not in code and "<" not in code and "*" not in code
    }
    assert [name for name in sorted(modules) if importlib.util.find_spec(name) is None] == []
    assert [place for place in sorted(files) if not (BASE_DIR / place).exists()] == []


@cache
def words_of_pages() -> str:
    """Everything a page may say: templates, and the words that views, presenters and the administration put there."""
    places = [
        *(BASE_DIR / "templates").rglob("*.html"), *(BASE_DIR / "apps").rglob("*.py"), *(BASE_DIR / "static/js").glob("*.js")
    ]  # fmt: skip
    return "\n".join(place.read_text() for place in places if "migrations" not in place.parts).lower()


@pytest.mark.parametrize("page", GUIDES, ids=named)
def test_quoted_words_are_the_pages_own(page: Path) -> None:
    """`*Runs*` is a section's name, `*Run again*` a button's: whoever follows the text finds them on the page."""
    sections = {name for row in SECTIONS for name in row[:2]}
    text = CAPTION.sub("", FENCE.sub("", page.read_text()))
    quoted = {part.strip(" .:…") for found in QUOTED.findall(text) for part in re.split("[›→]", found)}
    assert [part for part in sorted(quoted - sections) if part.lower() not in words_of_pages()] == []
