"""A folder of SDTM files → events, refusals, notes and the account of every row."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import orjson

from ml.contracts import Refused as ContractRefused
from ml.contracts import validate
from ml.contracts.events import TOPICS
from ml.sdtm import adverse, context, findings, follow_up, qualifiers, subjects, treatments
from ml.sdtm.columns import identifier, settle
from ml.sdtm.dates import DAY
from ml.sdtm.files import NOT_CARRIED, PREFIX, REFERENCE, Files, Part, load
from ml.sdtm.rows import Event, Note, Refusal, Refused, Study, named
from ml.sdtm.rules import LOST, WANTED
from ml.sdtm.xpt import Row

ORDER = {
    topic: index for index, topic in enumerate(("patient-context", *(t for t in TOPICS if t != "patient-context")))
}

NAMED = 5
"""How many files a sentence names."""

Progress = Callable[[str, int, int], None]
"""Called with the file or domain, its number and how many there are."""


class NotAPackage(ValueError):
    """A folder that cannot be imported at all; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Account:
    """Of one domain: rows read = rows carried + rows refused; `events` made of them. `file` may name several.

    `reference` of the carried rows are no events: visits and the trial's design, read to date and to name others.
    `label` is define.xml's. `unreadable` says which of its files could not be read, and why; such a domain is not whole.
    """

    domain: str
    file: str
    sha256: str
    read: int
    carried: int
    refused: int
    events: int
    reference: int = 0
    label: str = ""
    unreadable: str = ""


@dataclass(frozen=True, slots=True)
class Package:
    """A study as read. Events are in the order in which they became known; `last` is when the last one did.

    `accounts` are of the domains that have a file; which ones are absent, and what is lost by it, stands in `notes` (rule
    `domain_absent`).
    """

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
    notes: tuple[Note, ...] = ()

    @property
    def whole(self) -> frozenset[str]:
        """The domains that the package brings whole: a row of theirs that is not in it is gone."""
        return frozenset(account.domain for account in self.accounts if not account.unreadable)


def read_package(
    folder: Path, *, trial_id: str | None = None, progress: Progress | None = None, now: int | None = None
) -> Package:
    """Read a folder of XPT files as far as it can be read; what cannot is in the account.

    `trial_id` replaces the STUDYID of the files. `now` (seconds since 1970 UTC; the clock's if not given): no date lies
    after its day. NotAPackage where there is no file that can be read, no row of a subject, or more than one study.
    """
    report = progress or _silent
    files = load(folder, report)
    if not files.digests:
        raise NotAPackage(f"{folder.name} holds no SAS transport files (*.xpt). Name the folder of an SDTM package.")
    if not files.readable:
        found = [why for part in files.parts.values() for _, why in part.unreadable]
        more = f" And {len(found) - NAMED} more." if len(found) > NAMED else ""
        raise NotAPackage(f"No SAS transport file of the package can be read. {' '.join(found[:NAMED])}{more}".strip())
    parts, today = files.parts, int(time.time()) if now is None else now
    study = Study(_trial(parts, trial_id), today // DAY * DAY + 2 * DAY - 1, files.define)
    for domain, rule, what in files.notes:
        study.note(domain, rule, what)
    rows = {domain: part.rows for domain, part in parts.items()}
    for domain, body in rows.items():
        settle(study, domain, body)
    subjects.name_subjects(study, rows)
    reading = {domain: rows[domain] for domain in rows if domain in LOST}
    subjects.set_span(study, reading)
    qualifiers.join(study, rows)
    subjects.find_subjects(study, reading)
    if not study.subjects:
        raise NotAPackage("No row of the package names a subject (USUBJID). Add a domain of subjects, DM first.")
    subjects.visits(study, reading)
    for index, (domain, work) in enumerate(_CARRIED.items()):
        report(domain, index, len(_CARRIED))
        if domain in rows:
            work(study, rows[domain])
    follow_up.ends_by_rule(study, reading)
    _others(study, parts)
    events = _contracted(study)
    _absent(study, parts)
    return Package(
        study.trial_id,
        _title(rows.get("TS", [])) or study.trial_id,
        tuple(sorted(events, key=lambda event: (event.known_at, ORDER[event.topic], event.patient_id, event.rows))),
        tuple(study.refusals),
        tuple(_accounts(study, files, events)),
        tuple(sorted({str(row["EXTRT"])[:200] for row in rows.get("EX", []) if row.get("EXTRT")})),
        len(study.subjects),
        len({subject.site for subject in study.subjects.values()}),
        max((event.known_at for event in events), default=0),
        hashlib.sha256("".join(sorted(files.digests)).encode()).hexdigest(),
        study.notes(),
    )


def _silent(_name: str, _done: int, _of: int) -> None:
    return


def _each(domain: str, make: Callable[[Study, Row, str], None]) -> Callable[[Study, list[Row]], None]:
    """Let `make` turn each row of a domain into events; a row that falls under a rule is refused by it."""

    def work(study: Study, rows: Iterable[Row]) -> None:
        for name, row in named(study, domain, rows):
            try:
                make(study, row, name)
            except Refused as refused:
                study.refuse(domain, row, name, refused.rule, refused.what)

    return work


def _demographics(study: Study, rows: Iterable[Row]) -> None:
    """DM has one row for each subject; a further one is refused."""
    seen: set[str] = set()

    def once(study: Study, row: Row, name: str) -> None:
        study.subject(row)
        if name in seen:
            raise Refused("subject_twice")
        seen.add(name)
        context.demographics(study, row, name)

    _each("DM", once)(study, list(rows))


_CARRIED: dict[str, Callable[[Study, list[Row]], None]] = {
    "DM": _demographics,
    "MH": _each("MH", context.history),
    "SC": _each("SC", findings.characteristic),
    "EX": _each("EX", treatments.exposure),
    "CM": _each("CM", treatments.concomitant),
    "VS": findings.vital_signs,
    "LB": _each("LB", findings.laboratory),
    "AE": _each("AE", adverse.adverse_event),
    "DS": follow_up.dispositions,
}


def _trial(parts: dict[str, Part], trial_id: str | None) -> str:
    if trial_id:
        return trial_id
    for rows in (parts["DM"].rows if "DM" in parts else [], [row for part in parts.values() for row in part.rows]):
        names = {str(row.get("STUDYID") or "").strip() for row in rows} - {""}
        if len(names) == 1:
            return identifier(names.pop(), "STUDY")
        if names:
            listed = ", ".join(sorted(names)[:5])
            raise NotAPackage(
                f"The package names {len(names)} studies (STUDYID: {listed}); one package is one study. Split it, or give"
                " the trial's name."
            )
    raise NotAPackage("The package does not name its study (STUDYID). Give the trial's name.")


def _title(rows: list[Row]) -> str:
    return next((str(row.get("TSVAL") or "") for row in rows if row.get("TSPARMCD") == "TITLE"), "")[:200]


def _others(study: Study, parts: dict[str, Part]) -> None:
    for domain, part in sorted(parts.items()):
        for file, why in part.unreadable:
            study.refusals.append(Refusal(domain, file, "unreadable_file", why, {}, 0))
        if part.rows and domain not in _CARRIED and domain not in REFERENCE and not domain.startswith(PREFIX):
            rule = "no_place" if domain in NOT_CARRIED else "unknown_domain"
            study.refuse_all(domain, rule, len(part.rows), study.define.label_of(domain))


def _absent(study: Study, parts: dict[str, Part]) -> None:
    """Say which domains a package lacks, and which columns of those it has."""
    for domain, lost in LOST.items():
        if domain not in parts:
            study.note(domain, "domain_absent", lost, 0)
            continue
        for choice in WANTED[domain]:
            if parts[domain].rows and parts[domain].columns.isdisjoint(choice):
                study.note(domain, "column_absent", " or ".join(choice), len(parts[domain].rows))


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
    qualifiers.parted(study, {name for event in good for name in event.rows} | bad.keys())
    return good


def _accounts(study: Study, files: Files, events: list[Event]) -> list[Account]:
    carried: dict[str, set[str]] = {}
    made: Counter[str] = Counter()
    for event in events:
        for name in event.rows:
            carried.setdefault(name.partition(":")[0], set()).add(name)
        made[event.domain] += 1
    refused: Counter[str] = Counter()
    for refusal in study.refusals:
        refused[refusal.domain] += refusal.count
    found = []
    for domain, part in sorted(files.parts.items()):
        reference = len(part.rows) if domain in REFERENCE else 0
        found.append(
            Account(
                domain,
                ", ".join([*part.files, *(file for file, _ in part.unreadable)]),
                part.sha256,
                len(part.rows),
                len(carried.get(domain, ())) + reference,
                refused[domain],
                made[domain],
                reference,
                study.define.label_of(domain),
                " ".join(why for _, why in part.unreadable),
            )
        )
    return found
