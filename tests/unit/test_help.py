"""Help leads from each room of the portal to its own part of the help page."""

from __future__ import annotations

import re
from pathlib import Path

from apps.accounts.roles import ROLES
from apps.portal import urls
from apps.portal.frame import SECTIONS
from apps.portal.views.base import PortalView

PAGE = (Path(__file__).resolve().parents[2] / "templates" / "portal" / "help.html").read_text("utf-8")
PARTS = set(re.findall(r'\bid="([a-z0-9]+)"', PAGE))


def test_every_page_of_a_section_has_its_part_of_the_help() -> None:
    found = (getattr(pattern.callback, "view_class", None) for pattern in urls.urlpatterns)
    views: set[type[PortalView]] = {view for view in found if view is not None and issubclass(view, PortalView)}
    for view in views:
        if view.section or view.help_topic:
            assert view.help_topic in PARTS, f"{view.__name__}: no part {view.help_topic!r} in help.html"
    told = {view.help_topic for view in views if view.section in {name for _, _, name, _ in SECTIONS}}
    rows = set(re.findall(r'<tr id="([a-z]+)"', PAGE))
    assert rows == told, "the help's table of pages and the rooms of the portal"


def test_the_help_names_every_role_in_the_words_of_the_portal() -> None:
    for role in ROLES.values():
        assert f"{role.label.removeprefix('Clinical ').lower()}s" in PAGE.lower(), role.label
