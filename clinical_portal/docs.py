"""The page of settings, printed from ``clinical_portal.env``."""

from __future__ import annotations

from clinical_portal.env import VARIABLES, Variable


def render() -> str:
    """Markdown: every variable of the environment, what it means, its value on one machine and what production wants."""
    rows = [
        "# Settings",
        "",
        "Everything that may differ between machines. `make run` needs none of them. In production nothing is guessed: what is",
        "missing or weak is refused at start, all of it in one message.",
        "",
        "| variable | meaning | on one machine | in production |",
        "|---|---|---|---|",
    ]
    rows += [f"| `{one.name}` | {_cell(one.meaning)} | {_local(one)} | {_production(one)} |" for one in VARIABLES]
    return "\n".join(rows)


def _local(variable: Variable) -> str:
    if variable.local is None:
        return "made or found by itself"
    if "/" in variable.local and not variable.local.count("://"):
        return "a folder of the checkout"
    return f"`{_cell(variable.local)}`" if variable.local else "empty"


def _production(variable: Variable) -> str:
    need = "required" if variable.required else "optional"
    if variable.secret:
        need += f", secret, at least {variable.least} characters"
    return f"{need}; e.g. `{_cell(variable.example)}`" if variable.example else need


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
