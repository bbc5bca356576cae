"""Importing a finished study: SDTM package → events → Kafka → bronze, with the account of every row.

Nothing is written before the whole package has been read. Only events that were not sent before are sent (a manifest of
digests lies in the lake, written once bronze holds them), so the same package twice sends nothing.
"""

from __future__ import annotations

import hashlib
import time
import uuid
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
import structlog
from django.conf import settings
from django.db import transaction
from kafka.errors import KafkaError

from apps.accounts.models import User
from apps.accounts.permissions import check
from apps.audit.actors import Actor
from apps.audit.services import record
from apps.core import clock
from apps.core.errors import Conflict, DomainError, Forbidden, Invalid, Unavailable
from apps.core.lake import lake
from apps.ingestion import hurry
from apps.ingestion.models import ImportDomain, ImportRefusal, ImportRun
from apps.ingestion.producer import Acknowledged, EventProducer, patient_key
from apps.ingestion.topics import ensure_topics
from apps.patients import selectors as patients
from apps.patients.models import Trial
from apps.patients.services import create_trial, publish_profile
from ml.lake import Lake
from ml.lake.claims import Chain, last_claim
from ml.profile import StudyProfile
from ml.sdtm import Event, NotAPackage, Package, UnreadableFile, read_package

log = structlog.get_logger(__name__)

PRODUCER = "sdtm-import"
PROCESS = Actor.process(PRODUCER)
LABEL_MATURITY_DAYS = 60
VITALS_STALE_HOURS = 24.0 * 45
"""Visits of a slow trial lie about two weeks apart; vital signs of the visit before the last still carry a score."""
DIGEST_BYTES = 16
BRONZE_STALL_SECONDS = 60.0
"""Bronze writes a batch at least every 30 s; twice that without a claim means that nobody is writing."""

Report = Callable[[str, int, int], None]
"""report(what is being done, done, of)"""


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import did. `sent` events are new; `known` had been sent before."""

    package: Package
    run: ImportRun | None
    sent: int
    known: int


def _quiet(_sentence: str, _done: int, _of: int) -> None:
    return


def read(folder: Path | str, *, trial_id: str | None = None, report: Report = _quiet) -> Package:
    """Read a package and send nothing. Forbidden outside IMPORT_ROOT, Invalid where the folder is no package."""
    place = Path(folder).resolve()
    if settings.IMPORT_ROOT and not place.is_relative_to(Path(settings.IMPORT_ROOT).resolve()):
        raise Forbidden(f"{place} lies outside the folder for imports.", cure=f"Put it under {settings.IMPORT_ROOT}.")
    try:
        return read_package(
            place, trial_id=trial_id, progress=lambda domain, done, of: report(f"Reading {domain}", done, of)
        )
    except (NotAPackage, UnreadableFile) as error:
        raise Invalid(str(error), code="not_a_package") from error


def import_study(
    *,
    folder: Path | str,
    by: User | Actor,
    trial_id: str | None = None,
    report: Report = _quiet,
    wait_for_bronze: bool = True,
) -> Imported:
    """Import a study: make its trial and profile, send what is new, wait until bronze holds it, keep the account.

    Raises Forbidden, Invalid for a folder that is no package, Conflict where the trial is a simulated one or another
    import of it is running, Unavailable where broker or bronze do not take the events; the run then says so.
    """
    actor = by if isinstance(by, Actor) else Actor.person(by)
    if isinstance(by, User):
        check(by, "import_study", trial=trial_id)
    package = read(folder, trial_id=trial_id, report=report)
    trial = _trial(package)
    run = _begin(actor, trial, Path(folder))
    try:
        sent, known = _send(package, run, report, wait_for_bronze)
        _end(actor, run, package, sent)
    except (DomainError, KafkaError, OSError) as error:
        _fail(actor, run, str(error))
        if isinstance(error, DomainError):
            raise
        raise Unavailable(
            f"The import stopped: {error}.", cure="Run it again: what has arrived is not sent twice."
        ) from error
    except BaseException as error:
        _fail(actor, run, f"{type(error).__name__}: {error}")
        raise
    return Imported(package, run, sent, known)


def profile_of(package: Package, *, version: int = 1) -> StudyProfile:
    """The profile of a finished study: blinded, not live; its now is the end of its data and the labels' maturity."""
    now = datetime.fromtimestamp(package.last, UTC) + timedelta(days=LABEL_MATURITY_DAYS, seconds=1)
    return StudyProfile(
        trial_id=package.trial_id,
        version=version,
        simulated=False,
        blinded=True,
        live=False,
        replay_date=now.isoformat().replace("+00:00", "Z"),
        label_maturity_days=LABEL_MATURITY_DAYS,
        study_treatments=package.study_treatments,
        vitals_stale_hours=VITALS_STALE_HOURS,
    )


def _trial(package: Package) -> Trial:
    """The study's trial with a profile that fits the package; made, or its profile's next version published."""
    trial = Trial.objects.filter(pk=package.trial_id).first()
    if trial is None:
        trial = create_trial(by=PROCESS, trial_id=package.trial_id, name=package.title)
    elif trial.simulated:
        raise Conflict(
            f"{trial.pk} is a simulated trial.", cure="Import under another name (--trial).", code="simulated"
        )
    newest = patients.profiles().get(package.trial_id)
    if newest is None:
        publish_profile(by=PROCESS, profile=profile_of(package), reason="first import")
        return trial
    wanted = profile_of(package)
    fitting = replace(newest, replay_date=wanted.replay_date, study_treatments=wanted.study_treatments)
    if fitting != newest:
        publish_profile(by=PROCESS, profile=replace(fitting, version=newest.version + 1), reason="the data end later")
    return trial


def _begin(actor: Actor, trial: Trial, folder: Path) -> ImportRun:
    with transaction.atomic():
        Trial.objects.select_for_update().get(pk=trial.pk)
        recent = clock.now() - timedelta(hours=1)
        if ImportRun.objects.filter(trial=trial, state=ImportRun.State.RUNNING, started_at__gt=recent).exists():
            raise Conflict(
                f"An import of {trial.pk} is running.", cure="Wait until it has ended.", code="import_running"
            )
        run = ImportRun(
            trial=trial, folder=str(folder), state=ImportRun.State.RUNNING, by=actor.name, started_at=clock.now()
        )
        record(by=actor, action="ingestion.import_started", obj=run, after={"folder": run.folder})
        run.save()
    return run


def _send(package: Package, run: ImportRun, report: Report, wait_for_bronze: bool) -> tuple[int, int]:
    place = lake()
    manifest = Manifest(place, package.trial_id)
    before = manifest.read()
    fresh = [(event, digest) for event in package.events if (digest := digest_of(event)) not in before]
    known = len(package.events) - len(fresh)
    if not fresh:
        return 0, known
    topics = ensure_topics(settings.KAFKA_BOOTSTRAP_SERVERS)
    reached: dict[tuple[str, int], int] = defaultdict(lambda: -1)

    def ledger(where: Acknowledged) -> None:
        address = (where.topic, where.partition)
        reached[address] = max(reached[address], where.offset)

    with EventProducer(settings.KAFKA_BOOTSTRAP_SERVERS, producer=PRODUCER, ledger=ledger) as producer:
        for number, (event, _) in enumerate(fresh):
            producer.send(event.topic, patient_key(package.trial_id, event.patient_id), event.value)
            if number % 2_000 == 0:
                _progress(run, report, "Events are sent", number, len(fresh), 0, 50)
        producer.flush(300)
    if wait_for_bronze:
        goals = {
            Chain(topic, topics[topic].topic_id, partition): offset for (topic, partition), offset in reached.items()
        }
        _wait(place, goals, run, report)
    manifest.add([digest for _, digest in fresh])
    return len(fresh), known


def _wait(place: Lake, goals: dict[Chain, int], run: ImportRun, report: Report) -> None:
    """Until every chain's claims reach its goal. Unavailable where none has grown for a minute."""
    total = sum(goal + 1 for goal in goals.values())
    ends: dict[Chain, int] = {}
    grown = time.monotonic()
    while True:
        now = {
            chain: min(goal, claim.end if (claim := last_claim(place, chain)) else -1) for chain, goal in goals.items()
        }
        if now == goals:
            return
        if now != ends:
            ends, grown = now, time.monotonic()
        if time.monotonic() - grown > BRONZE_STALL_SECONDS:
            raise Unavailable(
                "The events are on the broker, but bronze does not take them.",
                cure="Start `manage.py run_bronze`, then import again: what comes twice is removed.",
                code="bronze_stalled",
            )
        hurry.ask()
        _progress(run, report, "Bronze takes the events", sum(end + 1 for end in now.values()), total, 50, 98)
        time.sleep(0.5)


def _progress(run: ImportRun, report: Report, sentence: str, done: int, of: int, low: int, high: int) -> None:
    percent = low + int((high - low) * done / max(1, of))
    report(sentence, done, of)
    # Progress is shown and not audited: it changes nothing that anybody relies on.
    ImportRun.objects.filter(pk=run.pk).update(progress=percent, step=f"{sentence}: {done:,} of {of:,}")


def _end(actor: Actor, run: ImportRun, package: Package, sent: int) -> None:
    with transaction.atomic():
        account = {one.domain: [one.read, one.carried, one.refused, one.events] for one in package.accounts}
        after = {"package": package.sha256, "sent": sent, "domains": account}
        record(by=actor, action="ingestion.import_finished", obj=run, after=after)
        ImportDomain.objects.bulk_create(
            ImportDomain(
                run=run, domain=one.domain, file=one.file[:200], sha256=one.sha256, rows_read=one.read,
                rows_carried=one.carried, rows_refused=one.refused, events=one.events,
            )
            for one in package.accounts
        )  # fmt: skip
        ImportRefusal.objects.bulk_create(
            [
                ImportRefusal(
                    run=run, domain=one.domain, row=one.row[:200], rule=one.rule, message=one.message, values=one.values
                )
                for one in package.refusals
            ],
            batch_size=2_000,
        )
        run.state, run.progress, run.finished_at = ImportRun.State.SUCCEEDED, 100, clock.now()
        run.step = f"{sent:,} new events of {len(package.events):,}"
        run.save()


def _fail(actor: Actor, run: ImportRun, sentence: str) -> None:
    with transaction.atomic():
        record(by=actor, action="ingestion.import_failed", obj=run, after={"error": sentence[:1000]})
        ImportRun.objects.filter(pk=run.pk).update(
            state=ImportRun.State.FAILED, error=sentence, finished_at=clock.now(), step=""
        )
    log.warning("import_failed", run=str(run.pk), error=sentence)


def digest_of(event: Event) -> bytes:
    """What tells an event from every other: the first 16 bytes of the SHA-256 of topic and canonical JSON."""
    body = event.topic.encode() + b"\n" + orjson.dumps(event.value, option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(body).digest()[:DIGEST_BYTES]


class Manifest:
    """Digests of the events of a trial that bronze holds: objects under `imports/<trial>/`, only ever added."""

    def __init__(self, place: Lake, trial_id: str) -> None:
        self.place = place
        self.prefix = f"imports/{trial_id}/"

    def read(self) -> set[bytes]:
        """All digests."""
        found: set[bytes] = set()
        for item in self.place.list(self.prefix):
            data = self.place.get(item.path)
            found |= {data[at : at + DIGEST_BYTES] for at in range(0, len(data), DIGEST_BYTES)}
        return found

    def add(self, digests: list[bytes]) -> None:
        """Add some, as one object."""
        self.place.create(f"{self.prefix}sent_{uuid.uuid4().hex}.bin", b"".join(digests))
