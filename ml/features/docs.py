"""The features as a page: every row of the table, the drawn examples, and the clinical tables features read."""

from __future__ import annotations

from collections.abc import Iterable
from textwrap import dedent

from ml.clinical.interactions import CLASS_PAIRS, LIST_DATE, QT_PROLONGING, SOURCE
from ml.features.examples import EXAMPLES
from ml.features.series import CONTROL_NAMES
from ml.features.table import FEATURES, SHORT_NAME, TABLE_DIGEST, Feature


def _table(header: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> list[str]:
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    lines += ["| " + " | ".join(str(cell).replace("|", "\\|") for cell in row) + " |" for row in rows]
    return [*lines, ""]


def _row(feature: Feature) -> tuple[object, ...]:
    window = "" if feature.window is None else SHORT_NAME[feature.window]
    sources = ", ".join(feature.sources) if len(feature.sources) < 7 else f"{len(feature.sources)} signals"
    return (
        f"`{feature.name}`",
        feature.description,
        feature.unit,
        sources,
        window,
        feature.fallback,
        feature.blinding,
        feature.kind,
        feature.rule,
    )


def _features(group: str) -> list[str]:
    header = (
        "feature",
        "meaning",
        "unit",
        "read from",
        "window",
        "where nothing was measured",
        "blinding",
        "kind",
        "rule",
    )
    return [
        f"## {group.capitalize()}",
        "",
        *_table(header, (_row(feature) for feature in FEATURES if feature.group == group)),
    ]


def render() -> str:
    """The page in Markdown."""
    lines = [
        "# The 120 features",
        "",
        f"Printed from `ml/features/table.py` (digest `{TABLE_DIGEST[:16]}…`). Windows are (t − h, t]; spread has ddof 1; slopes are",
        "per hour of real time. Every feature reads only what had happened *and* was known at t. The baseline period is the",
        "profile's `baseline_days` whole UTC days up to and including the day of the first dose, else the day of enrolment.",
        "",
        *_features("temporal"),
        *_features("clinical"),
        f"Control arms by name: {', '.join(CONTROL_NAMES)}.",
        "",
        "## Drawn examples",
        "",
        "Each is run on the kernel and on the plain reference. Day 1 is 2024-01-01 UTC; a fact is known when it happens unless",
        "it says otherwise.",
        "",
    ]
    for example in EXAMPLES:
        lines += [f"### {example.title}", "", *([example.why, ""] if example.why else [])]
        lines += ["```text", dedent(example.given).strip(), f"at {example.at}", "```", ""]
        lines += _table(("feature", "value"), ((f"`{name}`", value) for name, value in example.expected.items()))
    lines += [
        "## Interacting medicines",
        "",
        f"{SOURCE}; the list is of {LIST_DATE}. Class 8 is two medicines of the short list below it.",
        "",
        *_table(
            ("class", "pair", "danger", "objects", "precipitants"),
            (
                (
                    pair.number,
                    pair.title,
                    pair.danger,
                    ", ".join(sorted(pair.objects)),
                    ", ".join(sorted(pair.precipitants)),
                )
                for pair in CLASS_PAIRS
            ),
        ),
        *_table(("QT-prolonging medicine", "where the warning stands"), sorted(QT_PROLONGING.items())),
    ]
    return "\n".join(lines)
