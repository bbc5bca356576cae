"""The states of a model version as a page with its diagram."""

from __future__ import annotations

from apps.core.markdown import table
from apps.registry.states import SERVING, STATES, TRANSITIONS


def render() -> str:
    """The page in Markdown, the diagram in Mermaid."""
    gates = {True: "passed", False: "failed", None: "either"}
    arrows = [f"    {row.source} --> {row.target}: {row.action}" for row in TRANSITIONS]
    finals = [f"    {state} --> [*]" for state in STATES if not any(row.source == state for row in TRANSITIONS)]
    return "\n".join(
        (
            "# How a model version moves",
            "",
            "```mermaid",
            "stateDiagram-v2",
            "    [*] --> candidate: register",
            *arrows,
            *finals,
            "```",
            "",
            table(
                ("action", "from", "to", "signatures", "gates", "in words"),
                (
                    (row.action, row.source, row.target, row.signatures or "", gates[row.gates], row.sentence)
                    for row in TRANSITIONS
                ),
            ),
            f"In {' and '.join(sorted(SERVING))} a version serves; of a trial, one at a time.",
        )
    )
