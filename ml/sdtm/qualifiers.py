"""SUPP-- domains: what was collected beside a row and has no column in its domain.

| a row of SUPP-- | |
|---|---|
| derived (QORIG) | refused: it is computed again |
| of a disposition (SUPPDS) | joins the disposition's term |
| whose QNAM is a column that is read of its domain, and empty in the row it belongs to | fills it |
| any other | refused: no event has a place for it |
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from ml.sdtm.columns import is_number, number_of
from ml.sdtm.files import PREFIX
from ml.sdtm.rows import Study, sequence
from ml.sdtm.xpt import Row

DERIVED = "DERIVED"
FILLS: dict[str, frozenset[str]] = {
    "DM": frozenset({"RACE", "ETHNIC", "RFICDTC", "DTHDTC"}),
    "AE": frozenset({"AEDTC", "AESEV", "AETOXGR", "AEREL", "AESOC", "AEBODSYS", "AEDECOD", "AESER", "AEOUT", "AELIFE"}),
    "CM": frozenset({"CMDECOD", "CMINDC", "CMROUTE", "CMDOSFRQ", "CMDOSE", "CMDOSU", "CMDTC"}),
    "EX": frozenset({"EXDOSFRQ", "EXROUTE", "EXOCCUR"}),
    "MH": frozenset({"MHDECOD", "MHDTC"}),
    "VS": frozenset({"VSTPT", "VSSTAT"}),
    "LB": frozenset({"LBSPEC", "LBNAM", "LBSTAT"}),
}
"""Domain → columns that a qualifier may fill."""


def _name(domain: str, row: Row) -> str:
    return f"{domain}:{row.get('USUBJID') or '?'}:{row.get('IDVARVAL') or '-'}:{row.get('QNAM')}"


def join(study: Study, rows: Mapping[str, list[Row]]) -> None:
    """Join the qualifiers to their rows, in place, before these are read; refuse those without a place."""
    for domain in sorted(name for name in rows if name.startswith(PREFIX)):
        parent = domain[len(PREFIX) :]
        found = _parents(parent, rows.get(parent, []))
        refused: Counter[str] = Counter()
        names: dict[str, set[str]] = {}
        taken: set[str] = set()
        for row in rows[domain]:
            rule = _one(study, domain, row, found, taken)
            if rule in ("derived", "no_place"):
                refused[rule] += 1
                names.setdefault(rule, set()).add(str(row.get("QNAM") or "?"))
            elif rule:
                study.refuse(domain, row, _name(domain, row), rule, f"{parent} {row.get('IDVARVAL') or ''}".strip())
        for rule, count in sorted(refused.items()):
            study.refuse_all(domain, rule, count, ", ".join(sorted(names[rule])))


def _parents(domain: str, rows: list[Row]) -> dict[tuple[str, str], tuple[str, Row]]:
    """(USUBJID, --SEQ) → (name, row); a number that stands on several rows names none of them."""
    found: dict[tuple[str, str], tuple[str, Row]] = {}
    twice = set()
    for row in rows:
        subject = str(row.get("USUBJID") or "?")
        number = "" if domain == "DM" else sequence(row, f"{domain}SEQ")[:20]
        if (subject, number) in found:
            twice.add((subject, number))
        found[subject, number] = (f"{domain}:{subject}" + (f":{number}" if number else ""), row)
    return {key: value for key, value in found.items() if key not in twice}


def _one(study: Study, domain: str, row: Row, parents: dict[tuple[str, str], tuple[str, Row]], taken: set[str]) -> str:
    """Join one qualifier; the rule under which it is refused, or ""."""
    parent, column, value = domain[len(PREFIX) :], str(row.get("QNAM") or "").upper(), str(row.get("QVAL") or "")
    if str(row.get("QORIG") or "").upper() == DERIVED:
        return "derived"
    fills = column in FILLS.get(parent, frozenset())
    if not fills and parent != "DS":
        return "no_place"
    number = "" if parent == "DM" else sequence({"": row.get("IDVARVAL")}, "")[:20]
    found = parents.get((str(row.get("USUBJID") or ""), number))
    if found is None:
        return "no_parent"
    name, own = found
    said = _name(domain, row)
    if said in taken:
        return "twice"
    if parent == "DS":
        study.qualifiers.setdefault(name, []).append((str(row.get("QLABEL") or row.get("QNAM")), value))
    elif own.get(column) in (None, ""):
        own[column] = number_of(value) if is_number(column, parent) else value
    else:
        return "no_place"
    taken.add(said)
    study.joined.setdefault(name, {})[said] = row
    return ""


def parted(study: Study, told: set[str]) -> None:
    """Refuse the qualifiers whose row was refused: `told` are the rows of which something is known."""
    for parent, own in study.joined.items():
        for name, row in own.items():
            if name not in told:
                study.refuse(name.partition(":")[0], row, name, "no_parent", parent)
