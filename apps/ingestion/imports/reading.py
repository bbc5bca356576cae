"""From files to a package, whatever their form; nothing is written but what a zip unpacks to, for as long as it is read."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from apps.core import clock
from apps.core.errors import Invalid
from apps.ingestion.imports import archive, places
from apps.ingestion.imports.manifest import EventLike, domain_of
from apps.ingestion.imports.packages import Package
from apps.ingestion.models import ImportRun
from ml.sdtm import NOTES, NotAPackage, UnreadableFile, read_package
from ml.sdtm import remarks as remarks_of_notes
from ml.tabular import Mapping as TableMapping
from ml.tabular import NotATable, read_table

Report = Callable[[str, int, int], None]

ABSENT: dict[str, str] = {
    "DM": "No demographics (DM): subjects are taken from the other domains, without age, sex, site and arm.",
    "AE": "No adverse events (AE): there is nothing to learn from, so no model is trained.",
    "VS": "No vital signs (VS): scores rest on laboratory results, medicines and history alone.",
    "LB": "No laboratory results (LB): scores rest on vital signs, medicines and history alone.",
    "CM": "No concomitant medicines (CM): interactions between medicines are not seen.",
    "EX": "No exposure (EX): study doses are not known, nor is the first of them.",
    "DS": "No dispositions (DS): how each part ended is not known; follow-up ends with the part (RFPENDTC), else with the last contact.",
    "MH": "No medical history (MH): comorbidities count as none.",
    "SV": "No subject visits (SV): a row without a date is dated by what else was measured at its visit, if anything was.",
}
"""Expected domain → what its absence means for what comes after."""


@dataclass(frozen=True, slots=True)
class Read:
    """A package as read. `scopes` are what it brings whole; `scope_of` names an event's; `replaces` = rows that are not
    in it are gone, but for `refused` ones (names of rows or records); `producer` is whose name its events bear."""

    package: Package
    remarks: list[str]
    scopes: frozenset[str]
    scope_of: Callable[[EventLike], str]
    replaces: bool
    refused: frozenset[str]
    producer: str


def read(
    place: Path,
    form: str,
    *,
    trial_id: str = "",
    mapping: Mapping[str, Any] | None = None,
    known_patients: frozenset[str] = frozenset(),
    report: Report = lambda what, done, of: None,
) -> Read:
    """Read a folder, a zip or a table. Invalid where it is none, or holds nothing of a study."""
    try:
        if form == ImportRun.Form.TABLE:
            return _table(place, trial_id, mapping or {}, known_patients, report)
        return _sdtm(place, trial_id, report)
    except (NotAPackage, UnreadableFile) as error:
        raise Invalid(str(error), code="not_a_package") from error
    except NotATable as error:
        raise Invalid(error.message, cure=error.cure, code="not_a_table") from error


def _sdtm(place: Path, trial_id: str, report: Report) -> Read:
    with _folder(place, report) as (folder, left):
        package = read_package(
            folder, trial_id=trial_id or None, progress=lambda domain, done, of: report(f"Reading {domain}", done, of)
        )
    there = {one.domain for one in package.accounts}
    remarks = [
        f"{sentence} {NOTES['domain_absent'].cure}" for domain, sentence in ABSENT.items() if domain not in there
    ]
    remarks += remarks_of_notes(package.notes)
    if left:
        remarks.append(f"{left:,} other files of the zip (no SAS transport files) were left alone.")
    refused = frozenset(refusal.row for refusal in package.refusals)
    return Read(package, remarks, package.whole, domain_of, True, refused, "sdtm-import")


@contextmanager
def _folder(place: Path, report: Report) -> Iterator[tuple[Path, int]]:
    """The folder of a package; a zip is unpacked for as long as it is read."""
    if place.is_dir():
        yield place, 0
        return
    with tempfile.TemporaryDirectory(dir=places.sent_folder(), prefix="unpacked-") as folder:
        done = archive.unpack(place, Path(folder), report=lambda name, done, of: report(f"Unpacking {name}", done, of))
        yield done.folder, done.left


def _table(
    place: Path, trial_id: str, mapping: Mapping[str, Any], known_patients: frozenset[str], report: Report
) -> Read:
    meaning = TableMapping.from_json(mapping)
    package = read_table(
        place,
        meaning,
        trial_id=trial_id,
        known_patients=known_patients,
        now=int(clock.now().timestamp()),
        progress=lambda done, of: report("Reading rows", done, of),
    )
    scope = f"table:{meaning.source}"

    def scope_of(event: EventLike) -> str:
        return "enrolment" if event.topic == "patient-context" else scope

    enrolled = sum(event.topic == "patient-context" for event in package.events)
    remarks = []
    if enrolled:
        remarks.append(
            f"{enrolled:,} patients whom the trial does not know are enrolled at their first row in this file."
        )
    if not meaning.replaces:
        remarks.append("The file adds to what its source sent before; rows that are not in it stay as they were.")
    return Read(
        package, remarks, frozenset({scope}), scope_of, meaning.replaces, package.refused_records, "table-import"
    )
