"""The contracts as a page: what each event, unit and limit is, printed from the tables themselves."""

from __future__ import annotations

from collections.abc import Iterable

from ml.contracts.analytes import ANALYTES, UNITS
from ml.contracts.columns import BLINDING, Column
from ml.contracts.events import EVENTS, SCHEMA_VERSION
from ml.contracts.producers import PRODUCERS, PRODUCERS_VERSION
from ml.contracts.signs import SIGNS


def _table(header: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> list[str]:
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    lines += ["| " + " | ".join(str(cell).replace("|", "\\|") for cell in row) + " |" for row in rows]
    return [*lines, ""]


def _limits(column: Column) -> str:
    parts = []
    if column.choices:
        parts.append(", ".join(column.choices))
    if column.minimum is not None or column.maximum is not None:
        parts.append(f"{column.minimum:g} to {column.maximum:g}")
    if column.kind == "text" and not column.choices:
        parts.append(f"at most {column.max_length} characters")
    return "; ".join(parts)


def render() -> str:
    """The page in Markdown."""
    lines = [
        "# The events and their units",
        "",
        f"Printed from `ml/contracts` (schema version {SCHEMA_VERSION}). A message without the optional columns stays valid for ever;",
        "columns that are not named here are kept in bronze and read by nobody.",
        "",
    ]
    for contract in EVENTS.values():
        lines += [f"## {contract.topic}", "", contract.doc, ""]
        lines += [
            f"A record is named by `record_id` where present, else by the patient and {', '.join(f'`{n}`' for n in contract.identity)}.",
            "",
        ]
        lines += _table(
            ("column", "kind", "", "unit", "limits on the wire", "blinding", "meaning"),
            (
                (
                    f"`{c.name}`",
                    c.kind,
                    "required" if c.required else "",
                    c.unit,
                    _limits(c),
                    c.blinding if c.blinding != "open" else "",
                    c.doc,
                )
                for c in contract.columns
            ),
        )
    lines += ["## Blinding classes", "", *_table(("class", "meaning"), BLINDING.items())]
    lines += ["## Vital signs", "", "Impossible values are quarantined; implausible ones are kept and flagged.", ""]
    lines += _table(
        ("sign", "LOINC", "unit", "resolution", "impossible outside", "implausible outside"),
        (
            (s.label, s.loinc, s.unit, f"{10**-s.decimals:g}", f"{s.impossible_below:g}–{s.impossible_above:g}",
             f"{s.implausible_below:g}–{s.implausible_above:g}")
            for s in SIGNS
        ),
    )  # fmt: skip
    lines += ["## Laboratory analytes", ""]
    lines += _table(
        ("analyte", "LOINC", "unit", "resolution", "impossible outside", "implausible outside", "also accepted"),
        (
            (a.label, a.loinc, a.unit, f"{10**-a.decimals:g}", f"{a.impossible_below:g}–{a.impossible_above:g}",
             f"{a.implausible_below:g}–{a.implausible_above:g}",
             ", ".join(f"{r.unit} × {r.factor:.6g}" for r in UNITS if r.analyte == a.name and r.unit != a.unit))
            for a in ANALYTES
        ),
    )  # fmt: skip
    lines += [f"## Producers (version {PRODUCERS_VERSION})", ""]
    lines += _table(
        ("producer", "backfill", "meaning"), ((p.name, "yes" if p.backfill else "", p.doc) for p in PRODUCERS.values())
    )
    lines += ["LOINC codes are used under the LOINC licence (https://loinc.org/license); units are UCUM.", ""]
    return "\n".join(lines)
