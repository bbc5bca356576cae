"""The blinding class of every column as a page."""

from __future__ import annotations

from apps.core.markdown import table
from apps.patients.blinding import CLASSES
from ml.contracts.columns import BLINDING


def render() -> str:
    """The page in Markdown."""

    def of(model: str, kind: str) -> str:
        return ", ".join(name for name, found in CLASSES[model].items() if found == kind)

    return "\n".join(
        (
            "# What may be shown to whom",
            "",
            *(f"- **{kind}**: {meaning}" for kind, meaning in BLINDING.items()),
            "",
            table(("table", *BLINDING), ((model, *(of(model, kind) for kind in BLINDING)) for model in CLASSES)),
        )
    )
