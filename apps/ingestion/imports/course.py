"""What a check or an import does, from its files to its report.

Nothing is written before everything has been read; a check stops there. What an import then sends is only what the
packages before it did not say, so the same package twice sends nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
from kafka.errors import KafkaError

from apps.audit.actors import Actor
from apps.core import clock
from apps.core.errors import Conflict, DomainError, Invalid, Unavailable
from apps.core.lake import lake
from apps.ingestion.imports import profiles, reading, sending, services
from apps.ingestion.imports.manifest import Difference, Held, Manifest, difference
from apps.ingestion.imports.packages import Package
from apps.ingestion.imports.reading import Read
from apps.ingestion.models import ImportRun
from apps.patients import selectors as patients
from apps.patients.models import Patient
from apps.pipelines.models import JobRun
from ml.lake import LakeError

log = structlog.get_logger(__name__)

PROCESS = services.PROCESS
TOLD_SECONDS = 0.5
MANY_RETRACTED = 0.05
"""Where more of the records sent before are missing from a package, it says so: perhaps half of it was forgotten."""

Report = Callable[[str, int, int], None]
"""report(what is being done, done, of)"""


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import did. `sent` events are new; `known` records had been sent before and are still there."""

    package: Package
    run: ImportRun
    found: Difference
    job: JobRun | None

    @property
    def sent(self) -> int:
        return len(self.found.messages)

    @property
    def known(self) -> int:
        return self.found.known


def _quiet(_sentence: str, _done: int, _of: int) -> None:
    return


def carry_out(
    run: ImportRun, *, by: Actor = PROCESS, report: Report = _quiet, wait_for_bronze: bool = True, follow: bool = True
) -> Imported | None:
    """Do what a waiting run asks; None where somebody else has it. It raises what stops it, once the run says so.

    With `follow` the job that makes predictions of it is asked for, too (and not started).
    """
    if not services.start(by=by, run=run):
        return None
    run.refresh_from_db()
    teller = _Teller(run, report)
    try:
        return _carry_out(run, by, teller, wait_for_bronze, follow)
    except DomainError as error:
        services.fail(by=by, run=run, error=error.message, cure=error.cure)
        raise
    except (KafkaError, OSError, LakeError) as error:
        sentence, cure = f"The import stopped: {error}.", "Run it again: what has arrived is not sent twice."
        services.fail(by=by, run=run, error=sentence, cure=cure)
        raise Unavailable(sentence, cure=cure) from error
    except BaseException as error:
        log.exception("import_met_an_unforeseen_error", run=str(run.pk))
        services.fail(
            by=by, run=run, error=f"The import met an error nobody foresaw: {type(error).__name__}.",
            cure=f"The worker's log has the details under import {run.pk}; nothing half-read was sent.",
        )  # fmt: skip
        raise


def carried_out(
    run: ImportRun, *, by: Actor = PROCESS, report: Report = _quiet, wait_for_bronze: bool = True
) -> Imported:
    """The same here and now, for a command; the job that follows is the caller's."""
    found = carry_out(run, by=by, report=report, wait_for_bronze=wait_for_bronze, follow=False)
    if found is None:
        raise Conflict("Another process has this import already.", cure="Look at the list of imports.")
    return found


def look(
    place: Path, form: str, *, trial_id: str = "", mapping: Any = None, report: Report = _quiet
) -> tuple[Package, Difference]:
    """What an import of these files would do; nothing is written at all."""
    known = known_patients(trial_id) if form == ImportRun.Form.TABLE else frozenset[str]()
    read = reading.read(place, form, trial_id=trial_id, mapping=mapping, known_patients=known, report=report)
    return read.package, compared(read, Manifest(lake(), read.package.trial_id).read())


def _carry_out(run: ImportRun, by: Actor, teller: _Teller, wait: bool, follow: bool) -> Imported:
    teller.share = (0, 40 if run.kind == ImportRun.Kind.IMPORT else 90)
    place = Path(run.place)
    if not run.place or not place.exists():
        raise Invalid("The files are no longer there.", cure="Choose or send them again.", code="files_gone")
    known = known_patients(run.trial_name) if run.form == ImportRun.Form.TABLE else frozenset[str]()
    read = reading.read(
        place, run.form, trial_id=run.trial_name, mapping=run.mapping, known_patients=known, report=teller
    )
    package = read.package
    if run.check_run is not None and run.check_run.package_sha256 != package.sha256:
        raise Conflict("The files have changed since they were checked.", cure="Check them again.", code="changed")
    trial = profiles.check_trial(package.trial_id)
    teller("Comparing with what was imported before", 0, 1)
    manifest = Manifest(lake(), package.trial_id)
    held = manifest.read()
    found = compared(read, held)
    end = profiles.end_of(event.known_at for event in package.events)
    remarks = [*read.remarks, *_remarks(read, found, held)]
    if run.kind == ImportRun.Kind.CHECK:
        services.finish(by=by, run=run, package=package, found=found, remarks=remarks)
        return Imported(package, run, found, None)
    if not package.events and trial is None:
        raise Invalid(
            "No row of these files can be imported: no trial is made of them.",
            cure="Check the files and read in the report what would mend them.",
            code="nothing_to_import",
        )
    if package.events:
        trial = profiles.ready_trial(package, by=PROCESS, end=max(end, held.cut), name=run.title)
    if trial is not None:
        services.claim_trial(by=by, run=run, trial=trial)
    teller.share = (45, 98)
    sending.send(
        found.messages, trial_id=package.trial_id, producer=read.producer, place=lake(), report=teller, wait=wait
    )
    if found.messages:
        manifest.add(found.messages, cut=max(end, held.cut))
    job = job_after(package.trial_id) if follow and found.messages else ""
    following = services.finish(by=by, run=run, package=package, found=found, remarks=remarks, job=job)
    services.let_go(run)
    run.refresh_from_db()
    return Imported(package, run, found, following)


def compared(read: Read, held: Held) -> Difference:
    """What the package changes of what was sent before."""
    profile = patients.profiles().get(read.package.trial_id)
    live = profile is not None and profile.replay_time is None
    return difference(
        read.package.events,
        held,
        scopes=read.scopes,
        scope_of=read.scope_of,
        replaces=read.replaces,
        refused=read.refused,
        cut=int(clock.now().timestamp()) if live else None,
    )


def job_after(trial_id: str) -> str:
    """The job that follows an import: a finished study is walked to its predictions, a live one only needs cleaning."""
    profile = patients.profiles().get(trial_id)
    return "study" if profile is not None and profile.replay_time is not None else "clean"


def known_patients(trial_id: str) -> frozenset[str]:
    """Patients of the trial who need no enrolment from a table: those the portal shows, and those an import enrolled."""
    if not trial_id:
        return frozenset()
    shown = Patient.objects.filter(trial_id=trial_id).values_list("patient_id", flat=True)
    sent = {
        one.patient_id
        for (topic, _), one in Manifest(lake(), trial_id).read().records.items()
        if topic == "patient-context"
    }
    return frozenset(shown) | sent


def _remarks(read: Read, found: Difference, held: Held) -> list[str]:
    said = []
    standing = sum(1 for one in held.records.values() if one.digest)
    for scope, count in sorted(found.absent.items()):
        if ":" not in scope and scope != "enrolment":
            said.append(f"{count:,} records of {scope} stay as they were: these files bring no {scope}.")
    if found.kept and read.replaces:
        said.append(f"{found.kept:,} records stay as they were: their rows are here, but were refused this time.")
    if found.retracted > MANY_RETRACTED * max(1, standing):
        said.append(
            f"{found.retracted:,} of {standing:,} records sent before are missing from these files and will be retracted."
            " If a part was forgotten, do not import."
        )
    said += profiles.remarks_of(profiles.profile_of(read.package)) if read.package.events else []
    return said


class _Teller:
    """Progress of a run, told to its row twice a second and to whoever listens."""

    def __init__(self, run: ImportRun, report: Report) -> None:
        self.run, self.report = run, report
        self.share, self.told, self.sentence = (0, 99), 0.0, ""

    def __call__(self, sentence: str, done: int, of: int) -> None:
        self.report(sentence, done, of)
        if sentence == self.sentence and time.monotonic() - self.told < TOLD_SECONDS:
            return
        low, high = self.share
        shown = f"{sentence}: {done:,} of {of:,}" if of > 1 else sentence
        services.tell(self.run, shown, low + int((high - low) * min(1.0, done / max(1, of))))
        self.told, self.sentence = time.monotonic(), sentence
