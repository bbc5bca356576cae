"""A folder of SDTM files → events, refusals and the account of every row."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import orjson

from ml.contracts import Refused as ContractRefused
from ml.contracts import validate
from ml.contracts.events import TOPICS
from ml.sdtm import adverse, context, findings, treatments
from ml.sdtm.dates import NotADate, parse
from ml.sdtm.rows import ROWS_OF_WHOLE_DOMAIN, Event, Refusal, Study, carry
from ml.sdtm.xpt import Row, Table, read_xpt

NOT_CARRIED: dict[str, str] = {
    "SV": "timing_only", "SE": "timing_only", "TA": "trial_design", "TE": "trial_design", "TI": "trial_design",
    "TS": "trial_design", "TV": "trial_design", "TD": "trial_design", "TM": "trial_design", "SC": "no_place",
    "RELREC": "no_place", "CO": "no_place", "QS": "no_place",
}  # fmt: skip
"""Domain → the rule under which all its rows are refused. SV still dates rows that have no date of their own."""
ORDER = {
    topic: index for index, topic in enumerate(("patient-context", *(t for t in TOPICS if t != "patient-context")))
}

Progress = Callable[[str, int, int], None]
"""Called with the domain, its number and the number of domains."""


class NotAPackage(ValueError):
    """A folder that cannot be imported at all; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Account:
    """Of one domain: rows read = rows carried + rows refused; `events` made of them. `file` may name several."""

    domain: str
    file: str
    sha256: str
    read: int
    carried: int
    refused: int
    events: int


@dataclass(frozen=True, slots=True)
class Package:
    """A study as read. Events are in the order in which they became known; `last` is when the last one did."""

    trial_id: str
    title: str
    events: tuple[Event, ...]
    refusals: tuple[Refusal, ...]
    accounts: tuple[Account, ...]
    study_treatments: tuple[str, ...]
    subjects: int
    sites: int
    last: int
    sha256: str


def read_package(folder: Path, *, trial_id: str | None = None, progress: Progress | None = None) -> Package:
    """Read a folder of XPT files. NotAPackage without a DM domain, xpt.UnreadableFile for a damaged file.

    `trial_id` replaces the STUDYID of the files.
    """
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() == ".xpt") if folder.is_dir() else []
    if not files:
        raise NotAPackage(f"{folder} holds no SAS transport files (*.xpt). Name the folder of an SDTM package.")
    tables = [(read_xpt(path), path) for path in files]
    domains: dict[str, list[Table]] = {}
    for table, path in tables:
        domains.setdefault(_domain(table, path), []).append(table)
    if "DM" not in domains:
        raise NotAPackage(f"{folder} has no DM domain: without it no subject is known. Add dm.xpt.")
    rows = {domain: [row for table in parts for row in table.rows] for domain, parts in domains.items()}
    study = Study(trial_id or _trial(rows["DM"]))
    _visits(study, rows.get("SV", []))
    _qualifiers(study, domains, rows)
    for index, (domain, work) in enumerate(_CARRIED.items()):
        if progress:
            progress(domain, index, len(_CARRIED))
        if domain in rows:
            work(study, rows[domain])
    _others(study, rows)
    events = _contracted(study)
    return Package(
        study.trial_id,
        _title(rows.get("TS", [])) or study.trial_id,
        tuple(sorted(events, key=lambda event: (event.known_at, ORDER[event.topic], event.patient_id, event.rows))),
        tuple(study.refusals),
        tuple(_accounts(study, domains, rows, events)),
        tuple(sorted({str(row["EXTRT"]) for row in rows.get("EX", []) if row.get("EXTRT")})),
        len(study.subjects),
        len({subject.site for subject in study.subjects.values()}),
        max((event.known_at for event in events), default=0),
        hashlib.sha256("".join(sorted(table.sha256 for table, _ in tables)).encode()).hexdigest(),
    )


_CARRIED: dict[str, Callable[[Study, list[Row]], None]] = {
    "DM": lambda study, rows: carry(study, "DM", rows, context.demographics),
    "MH": lambda study, rows: carry(study, "MH", rows, context.history),
    "EX": lambda study, rows: carry(study, "EX", rows, treatments.exposure),
    "CM": lambda study, rows: carry(study, "CM", rows, treatments.concomitant),
    "VS": findings.vital_signs,
    "LB": lambda study, rows: carry(study, "LB", rows, findings.laboratory),
    "AE": lambda study, rows: carry(study, "AE", rows, adverse.adverse_event),
    "DS": lambda study, rows: carry(study, "DS", rows, context.disposition),
}


def _domain(table: Table, path: Path) -> str:
    """The domain by its own column (a split LBCH says LB); SUPP-- by the domain it qualifies; else by the file's name."""
    if "RDOMAIN" in table.columns and table.rows:
        return f"SUPP{table.rows[0]['RDOMAIN']}"
    if "DOMAIN" in table.columns and table.rows:
        return str(table.rows[0]["DOMAIN"]).upper()
    return path.stem.upper()[:8]


def _trial(rows: list[Row]) -> str:
    names = {str(row.get("STUDYID") or "") for row in rows} - {""}
    if len(names) != 1:
        raise NotAPackage(
            f"DM names {len(names)} studies (STUDYID); one package is one study. Give --trial or split it."
        )
    return names.pop()


def _title(rows: list[Row]) -> str:
    return next((str(row.get("TSVAL") or "") for row in rows if row.get("TSPARMCD") == "TITLE"), "")[:200]


def _visits(study: Study, rows: list[Row]) -> None:
    for row in rows:
        try:
            moment = parse(str(row.get("SVSTDTC") or ""))
        except NotADate:
            continue
        if moment is not None and row.get("VISITNUM") is not None:
            study.visits.setdefault((str(row["USUBJID"]), row["VISITNUM"]), moment)


def _supp_name(domain: str, row: Row) -> str:
    return f"{domain}:{row.get('USUBJID') or '?'}:{row.get('IDVARVAL') or '-'}:{row.get('QNAM')}"


def _qualifiers(study: Study, domains: dict[str, list[Table]], rows: dict[str, list[Row]]) -> None:
    """SUPP-- rows: those collected beside a disposition join its event; derived ones are refused as a whole."""
    for domain in [name for name in domains if name.startswith("SUPP")]:
        parent, refused = domain[4:], Counter[str]()
        for row in rows[domain]:
            if str(row.get("QORIG") or "").upper() != "DERIVED" and parent == "DS" and "DS" in rows:
                key = (parent, str(row.get("USUBJID")), str(row.get("IDVARVAL") or ""))
                label = str(row.get("QLABEL") or row.get("QNAM"))
                study.qualifiers.setdefault(key, []).append((label, str(row.get("QVAL")), _supp_name(domain, row)))
            else:
                refused["derived" if str(row.get("QORIG") or "").upper() == "DERIVED" else "no_place"] += 1
        for rule, count in refused.items():
            names = ", ".join(sorted({str(row.get("QNAM")) for row in rows[domain]}))
            _refuse_whole(study, domain, rule, count, names)


def _refuse_whole(study: Study, domain: str, rule: str, count: int, what: str = "") -> None:
    study.refusals.append(Refusal(domain, f"{domain}:{ROWS_OF_WHOLE_DOMAIN}", rule, what, {"rows": count}, count))


def _others(study: Study, rows: dict[str, list[Row]]) -> None:
    for domain, found in rows.items():
        if domain not in _CARRIED and not domain.startswith("SUPP") and found:
            _refuse_whole(study, domain, NOT_CARRIED.get(domain, "unknown_domain"), len(found))


def _contracted(study: Study) -> list[Event]:
    """The events that keep their contract; the rows of the others are refused, with the contract's own words."""
    good: list[Event] = []
    bad: dict[str, str] = {}
    for event in study.events:
        verdict = validate(event.topic, orjson.dumps(event.value))
        if isinstance(verdict, ContractRefused):
            bad |= dict.fromkeys(event.rows, verdict.reasons[0].message)
        else:
            good.append(event)
    # A row stands or falls as a whole: with one of its events, the others go too.
    while spoilt := [event for event in good if not bad.keys().isdisjoint(event.rows)]:
        for event in spoilt:
            for name in event.rows:
                bad.setdefault(name, "it shares an event with a row that does")
        good = [event for event in good if bad.keys().isdisjoint(event.rows)]
    for name, message in bad.items():
        study.refusals.append(Refusal(name.partition(":")[0], name, "breaks_contract", message, {}))
    told = {name for event in good for name in event.rows} | bad.keys()
    for (parent, subject, number), said in study.qualifiers.items():
        for _, value, name in said:
            if name not in told:
                row = {"USUBJID": subject, "IDVARVAL": number, "QVAL": value}
                study.refuse(f"SUPP{parent}", row, name, "no_parent", f"{parent} {number}")
    return good


def _accounts(
    study: Study, domains: dict[str, list[Table]], rows: dict[str, list[Row]], events: list[Event]
) -> list[Account]:
    carried: dict[str, set[str]] = {}
    made: Counter[str] = Counter()
    for event in events:
        for name in event.rows:
            carried.setdefault(name.partition(":")[0], set()).add(name)
        made[event.rows[0].partition(":")[0]] += 1
    refused: Counter[str] = Counter()
    for refusal in study.refusals:
        refused[refusal.domain] += refusal.count
    return [
        Account(
            domain,
            ", ".join(table.file for table in parts),
            parts[0].sha256
            if len(parts) == 1
            else hashlib.sha256("".join(t.sha256 for t in parts).encode()).hexdigest(),
            len(rows[domain]),
            len(carried.get(domain, ())),
            refused[domain],
            made[domain],
        )
        for domain, parts in sorted(domains.items())
    ]
