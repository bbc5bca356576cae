"""Roles and permissions as a page."""

from __future__ import annotations

from apps.accounts.backends import ADMIN
from apps.accounts.courses import COURSES, REQUIRED
from apps.accounts.keys import SCOPES
from apps.accounts.permissions import PERMISSIONS
from apps.accounts.roles import ROLES
from apps.core.markdown import table


def render() -> str:
    """The page in Markdown."""
    yes = {True: "yes", False: ""}
    return "\n".join(
        (
            "# Who may do what",
            "",
            "What is not in this table is refused. *trial*: any grant in the trial is enough, also one limited to a site, and",
            "lists are cut to the sites of the grant; *site*: the grant must cover the site asked about; *platform*: the grant",
            "must be for every trial.",
            "",
            table(
                ("action", "in words", "scope", *(role.label for role in ROLES.values())),
                (
                    (row.action, row.sentence, row.scope, *(yes[name in row.roles] for name in ROLES))
                    for row in PERMISSIONS.values()
                ),
            ),
            "## Roles",
            "",
            table(
                (
                    "role",
                    "who",
                    "sees the arm in a blinded study",
                    "may be limited to a site",
                    "may be for every trial",
                    "admin",
                ),
                (
                    (
                        role.label,
                        role.doc,
                        yes[role.unblinded],
                        yes[role.by_site],
                        yes[role.every_trial],
                        yes[role.staff],
                    )
                    for role in ROLES.values()
                ),
            ),
            "Who holds a role that does not see the arm is blinded in that trial, whatever other roles they hold.",
            "",
            "## Courses",
            "",
            "A role is given, and a signature taken, only with a current record of every course that the role asks for.",
            "",
            table(
                ("course", "what", "counts for", "asked for by"),
                (
                    (
                        course.title,
                        course.doc,
                        f"{course.valid_days} days" if course.valid_days else "ever",
                        ", ".join(ROLES[role].label for role, asked in REQUIRED.items() if course.name in asked),
                    )
                    for course in COURSES.values()
                ),
            ),
            "## API keys",
            "",
            table(("scope", "the key may"), SCOPES.items()),
            "## What the admin asks for",
            "",
            table(("permission of the admin", "action"), sorted(ADMIN.items())),
        )
    )
