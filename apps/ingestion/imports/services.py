"""Writes about imports: asked for, begun, on the way, ended, with who did it. What an import *does* is in `course`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import structlog
from django.db import connection, transaction

from apps.accounts.models import User
from apps.accounts.permissions import check
from apps.audit.actors import Actor
from apps.audit.services import record
from apps.core import clock
from apps.core.errors import Conflict, Invalid
from apps.ingestion.imports import account, places
from apps.ingestion.imports.manifest import Difference
from apps.ingestion.imports.packages import Package
from apps.ingestion.models import ImportMapping, ImportRun
from apps.patients.models import Trial
from apps.pipelines import services as pipelines
from apps.pipelines.models import JobRun
from ml.contracts.events import ID_PATTERN
from ml.tabular import Mapping as TableMapping
from ml.tabular import NotATable

log = structlog.get_logger(__name__)

PROCESS = Actor.process("sdtm-import")
State, Kind, Form, Origin = ImportRun.State, ImportRun.Kind, ImportRun.Form, ImportRun.Origin
SILENT_MINUTES = 10
"""An import that has said nothing for so long was killed; another may begin."""


def may_import(user: User, trial_name: str) -> None:
    """Raise Forbidden unless the person may import into this trial. A new one needs a grant for every trial, for it is
    nobody's yet; so does a package whose trial only its files name."""
    if trial_name and Trial.objects.filter(pk=trial_name).exists():
        check(user, "import_study", trial=trial_name)
    else:
        check(user, "import_new_study", trial=None)


def begin_check(
    *, by: User, origin: str, form: str, source: str, place: Path, trial_name: str = "", title: str = ""
) -> ImportRun:
    """Ask for a check of files: everything is read, nothing but the check's own report is written. A table waits for
    its columns first. Forbidden, Invalid for an identifier that cannot name a trial."""
    may_import(by, trial_name)
    _nameable(trial_name)
    run = ImportRun(
        kind=Kind.CHECK,
        form=form,
        origin=origin,
        source=account.text(source, 500),
        place=str(place),
        trial=Trial.objects.filter(pk=trial_name).first() if trial_name else None,
        trial_name=trial_name,
        title=account.text(title.strip(), 200),
        state=State.DRAFT if form == Form.TABLE else State.WAITING,
        by=by.username,
    )
    return _asked(Actor.person(by), run)


def choose_columns(*, by: User, run: ImportRun, mapping: Mapping[str, Any]) -> ImportRun:
    """Say what the columns of a table mean; the check then waits for a worker. Conflict once it was begun."""
    may_import(by, run.trial_name)
    checked_mapping(mapping)
    with transaction.atomic():
        run = ImportRun.objects.select_for_update().get(pk=run.pk)
        if run.state != State.DRAFT:
            raise Conflict("The columns of this file were chosen before.", cure="Send the file again to choose others.")
        run.mapping, run.state = dict(mapping), State.WAITING
        record(by=Actor.person(by), action="ingestion.import_asked", obj=run, after={"mapping": run.mapping})
        run.save(update_fields=["mapping", "state"])
    return run


def begin_import(*, by: User, run: ImportRun) -> ImportRun:
    """Import what was checked. Conflict unless the check succeeded, its files are still there and nobody did it before."""
    may_import(by, run.trial_name)
    with transaction.atomic():
        run = ImportRun.objects.select_for_update().get(pk=run.pk)
        if run.kind != Kind.CHECK or run.state != State.SUCCEEDED:
            raise Conflict("Only what was checked without an error can be imported.", cure="Check the files first.")
        if run.imports.exists():
            raise Conflict("This check was followed by its import already.", cure="Open the list of imports.")
        return _after(by, run, kind=Kind.IMPORT, check_run=run)


def again(*, by: User, run: ImportRun) -> ImportRun:
    """A failed check or import once more, with the same files. Conflict unless it failed and its files are there."""
    may_import(by, run.trial_name)
    with transaction.atomic():
        run = ImportRun.objects.select_for_update().get(pk=run.pk)
        if run.state != State.FAILED and not is_silent(run):
            raise Conflict("Only a failed import can be run again.", cure="Reload the page to see its state.")
        if run.state == State.RUNNING:
            _end(PROCESS, run, State.FAILED, "import_failed", error="The worker that ran it stopped without a word.")
        return _after(by, run, kind=run.kind, check_run=run.check_run)


def discard(*, by: User, run: ImportRun) -> None:
    """Take the sent files of a check away unused. Conflict while it runs."""
    may_import(by, run.trial_name)
    with transaction.atomic():
        run = ImportRun.objects.select_for_update().get(pk=run.pk)
        if run.state == State.RUNNING and not is_silent(run):
            raise Conflict("It is running.", cure="Wait until it has ended.")
        place = run.place
        if run.state in (State.DRAFT, State.WAITING, State.RUNNING):
            run.state = State.DISCARDED
        record(by=Actor.person(by), action="ingestion.import_discarded", obj=run, after={"state": run.state})
        run.place = ""
        run.save(update_fields=["state", "place"])
    if run.origin == Origin.SENT:
        places.remove(place)


def save_mapping(*, by: User, name: str, mapping: Mapping[str, Any], trial_name: str) -> ImportMapping:
    """Keep a mapping under a name, as its next version."""
    may_import(by, trial_name)
    checked_mapping(mapping)
    name = account.text(name.strip(), 80)
    if not name:
        raise Invalid("A saved mapping needs a name.", cure="Give it one, such as that of the device or laboratory.")
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('import mapping'))")
        newest = ImportMapping.objects.filter(name=name).order_by("-version").first()
        if newest is not None and newest.body == mapping:
            return newest
        kept = ImportMapping(name=name, version=newest.version + 1 if newest else 1, body=dict(mapping), by=by.username)
        before = newest.body if newest else None
        record(by=Actor.person(by), action="ingestion.mapping_saved", obj=kept, before=before, after=kept.body)
        kept.save(force_insert=True)
    return kept


def checked_mapping(mapping: Mapping[str, Any]) -> TableMapping:
    """The mapping as it will be used. Invalid says what is wrong with it."""
    try:
        return TableMapping.from_json(mapping)
    except NotATable as error:
        raise Invalid(error.message, cure=error.cure, code="mapping") from error


def command_run(*, by: Actor, form: str, source: str, place: Path, trial_name: str, mapping: Any = None) -> ImportRun:
    """The run of an operator's command."""
    _nameable(trial_name)
    run = ImportRun(
        kind=Kind.IMPORT, form=form, origin=Origin.COMMAND, source=account.text(source, 500), place=str(place), trial_name=trial_name,
        trial=Trial.objects.filter(pk=trial_name).first() if trial_name else None, mapping=mapping, by=by.name,
    )  # fmt: skip
    return _asked(by, run)


def start(*, by: Actor, run: ImportRun) -> bool:
    """Take a waiting run. False when somebody else has it already (a task delivered twice)."""
    with transaction.atomic():
        run = ImportRun.objects.select_for_update().get(pk=run.pk)
        if run.state != State.WAITING:
            return False
        now = clock.now()
        record(by=by, action="ingestion.import_started", obj=run, after={"kind": run.kind, "form": run.form})
        ImportRun.objects.filter(pk=run.pk).update(state=State.RUNNING, started_at=now, heartbeat_at=now)
    return True


def claim_trial(*, by: Actor, run: ImportRun, trial: Trial) -> None:
    """From here on the run writes to the trial, and no other does. Conflict where another import of it is running."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('import'), hashtext(%s))", [trial.pk])
        others = ImportRun.objects.filter(trial=trial, kind=Kind.IMPORT, state=State.RUNNING).exclude(pk=run.pk)
        if any(not is_silent(other) for other in others):
            raise Conflict(
                f"An import of {trial.pk} is running.", cure="Wait until it has ended.", code="import_running"
            )
        run.trial, run.trial_name = trial, trial.pk
        record(by=by, action="ingestion.import_started", obj=run, after={"trial": trial.pk})
        run.save(update_fields=["trial", "trial_name"])


def tell(run: ImportRun, sentence: str, percent: int) -> None:
    """Where the run is now. It is shown and not audited: nobody relies on it."""
    ImportRun.objects.filter(pk=run.pk, state=State.RUNNING).update(
        progress=max(0, min(99, percent)), step=account.text(sentence, 200), heartbeat_at=clock.now()
    )


def finish(
    *, by: Actor, run: ImportRun, package: Package, found: Difference, remarks: list[str], job: str = ""
) -> JobRun | None:
    """Write the report and end the run; with `job` also ask for the job that follows, which is returned."""
    with transaction.atomic():
        run.refresh_from_db()
        _figures(run, package, found, remarks)
        account_of = {one.domain: [one.read, one.carried, one.refused, one.events] for one in package.accounts}
        counts = {
            "new": found.new,
            "corrected": found.corrected,
            "retracted": found.retracted,
            "unchanged": found.unchanged,
        }
        after = {
            "package": package.sha256,
            "kind": run.kind,
            "sent": run.sent,
            **counts,
            "domains": account.plain(account_of),
        }
        record(by=by, action="ingestion.import_finished", obj=run, after=after)
        following = None
        if job and run.trial_id:
            following = pipelines.request(by=by, job=job, trial_id=run.trial_id, arguments={"import": str(run.pk)})
            run.job = following
        run.state, run.progress, run.finished_at, run.step = State.SUCCEEDED, 100, clock.now(), ""
        run.save()
        account.write(run, package, found.changes)
    return following


def fail(*, by: Actor, run: ImportRun, error: str, cure: str = "") -> None:
    """The run did not do what it was asked; `error` is a sentence. Sent files are kept, to try again."""
    with transaction.atomic():
        _end(by, run, State.FAILED, "import_failed", error=account.text(error, 1000), cure=account.text(cure, 1000))
    log.warning("import_failed", run=str(run.pk), error=error[:300])


def let_go(run: ImportRun) -> None:
    """The files of a finished import are taken away, its check's too: they were the same."""
    ImportRun.objects.filter(pk__in=[run.pk, run.check_run_id]).update(place="")
    if run.origin == Origin.SENT:
        places.remove(run.place)


def sweep() -> int:
    """Take away sent files that nobody came back for; how many."""
    busy = (State.RUNNING, State.WAITING)
    keep = set(ImportRun.objects.filter(origin=Origin.SENT, state__in=busy).values_list("place", flat=True))
    gone = places.sweep({str(Path(place).parent) for place in keep})
    for run in ImportRun.objects.filter(origin=Origin.SENT).exclude(place="").exclude(state__in=busy):
        if not Path(run.place).exists():
            ImportRun.objects.filter(pk=run.pk).update(place="")
    return gone


def is_silent(run: ImportRun) -> bool:
    """Whether a running import has said nothing for so long that its worker must be dead."""
    limit = clock.now() - timedelta(minutes=SILENT_MINUTES)
    return run.state == State.RUNNING and (run.heartbeat_at is None or run.heartbeat_at < limit)


def _asked(by: Actor, run: ImportRun) -> ImportRun:
    with transaction.atomic():
        after = {"kind": run.kind, "form": run.form, "origin": run.origin, "trial": run.trial_name}
        record(by=by, action="ingestion.import_asked", obj=run, trial=run.trial_name, after=after)
        run.save(force_insert=True)
    return run


def _after(by: User, run: ImportRun, *, kind: str, check_run: ImportRun | None) -> ImportRun:
    if not run.place or not Path(run.place).exists():
        raise Conflict("The files are no longer there.", cure="Choose or send them again.", code="files_gone")
    made = ImportRun(
        kind=kind, form=run.form, origin=run.origin, source=run.source, place=run.place, mapping=run.mapping, trial=run.trial,
        trial_name=run.trial_name, title=run.title, check_run=check_run, by=by.username,
    )  # fmt: skip
    return _asked(Actor.person(by), made)


def _end(by: Actor, run: ImportRun, state: str, action: str, **values: str) -> None:
    record(by=by, action=f"ingestion.{action}", obj=run, after=values)
    ImportRun.objects.filter(pk=run.pk).update(state=state, finished_at=clock.now(), step="", **values)


def _figures(run: ImportRun, package: Package, found: Difference, remarks: list[str]) -> None:
    run.package_sha256, run.subjects, run.sites = package.sha256, package.subjects, package.sites
    run.trial_name, run.title = package.trial_id, run.title or account.text(package.title, 200)
    run.new, run.corrected, run.retracted, run.unchanged = found.new, found.corrected, found.retracted, found.unchanged
    run.sent = len(found.messages) if run.kind == Kind.IMPORT else 0
    run.remarks = [account.text(remark, 1_000) for remark in remarks]


def _nameable(trial_name: str) -> None:
    if trial_name and (
        len(trial_name) > 64 or not re.fullmatch(ID_PATTERN.removeprefix("^").removesuffix("$"), trial_name)
    ):
        raise Invalid(
            f"{account.text(trial_name, 80)!r} cannot name a trial.",
            cure="Use letters, digits and . _ : - , no slash, at most 64.",
            code="trial_id",
        )
