"""The cleaning rules as a page: the table of rules, then the drawn examples as they are run."""

from __future__ import annotations

import json

from ml.cleaning.drawing import Message
from ml.cleaning.examples import EXAMPLES
from ml.cleaning.rules import FLAG_RULES, QUARANTINE_RULES, RULES_VERSION, Rule


def _rules(rules: tuple[Rule, ...], kind: str) -> list[str]:
    lines = [f"| {kind} | topics | of | why |", "|---|---|---|---|"]
    lines += [f"| `{rule.name}` | {', '.join(rule.topics)} | {rule.scope} | {rule.sentence} |" for rule in rules]
    return [*lines, ""]


def _message(message: Message) -> str:
    value = {name: field for name, field in message.value.items() if name != "patient_id"}
    notes = [f"taken {message.taken}"] if message.taken else []
    if message.producer != "edc":
        notes.append(f"by {message.producer}")
    return json.dumps(value, ensure_ascii=False) + (f"   ← {', '.join(notes)}" if notes else "")


def render() -> str:
    """The page in Markdown."""
    lines = [
        "# The rules of cleaning",
        "",
        f"Printed from `ml/cleaning` (rules version {RULES_VERSION}). What breaks the wire schema never comes here: it is a dead",
        "letter. What is impossible or cannot be placed is set aside (*quarantine*) and tried again after a fix; what is only",
        "implausible is kept and flagged.",
        "",
        "## Set aside",
        "",
        *_rules(QUARANTINE_RULES, "rule"),
        "## Kept and flagged",
        "",
        *_rules(FLAG_RULES, "flag"),
        "## Examples",
        "",
        "Each is run by the tests, on the plain functions and through Spark.",
        "",
    ]
    for example in EXAMPLES:
        lines += [f"### {example.title}", "", example.why, "", f"`{example.topic}`", "", "```"]
        lines += [_message(message) for message in example.messages]
        lines += ["```", ""]
        for row in example.rows:
            lines.append("- kept: " + ", ".join(f"`{name}` {_value(value)}" for name, value in row.items()))
        for rule, field, value in example.aside:
            what = f" `{field}` {_value(value)}" if field else ""
            lines.append(f"- set aside by `{rule}`{what}")
        if example.duplicates:
            lines.append(f"- removed as duplicate: {example.duplicates}")
        lines.append("")
    return "\n".join(lines)


def _value(value: object) -> str:
    if value is None:
        return "–"
    return ", ".join(value) or "none" if isinstance(value, list) else str(value)
