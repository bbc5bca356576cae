"""The auditable actions as a page."""

from __future__ import annotations

from apps.audit.actions import ACTIONS
from apps.core.markdown import table


def render() -> str:
    """The page in Markdown."""
    return "\n".join(
        (
            "# What leaves a trace",
            "",
            "Every action is recorded in the transaction of what it tells of; what is not in this table cannot be recorded.",
            "",
            table(
                ("action", "sentence", "done to", "by", "reason"),
                (
                    (
                        row.name,
                        row.sentence,
                        row.object_type,
                        ", ".join(sorted(row.by)),
                        "required" if row.reason else "",
                    )
                    for row in ACTIONS.values()
                ),
            ),
        )
    )
