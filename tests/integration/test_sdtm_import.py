"""A study's package through broker and bronze, with its account; twice the same package sends nothing."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from apps.audit.actors import Actor
from apps.audit.models import AuditEvent
from apps.core.errors import Conflict, Forbidden, Unavailable
from apps.ingestion import sdtm_import
from apps.ingestion.bronze_consumer import BronzeConsumer, Limits
from apps.ingestion.models import ImportDomain, ImportRefusal, ImportRun
from apps.ingestion.topics import ensure_topics
from apps.patients import selectors as patients
from apps.patients.services import create_trial
from ml.contracts import TOPICS
from ml.lake import Lake
from ml.lake.bronze import read_claimed
from ml.sdtm import read_package
from tests.support.sdtm import DOMAINS, write_package

BY = Actor.process("sdtm-import")


@pytest.fixture
def place(pg: None, fresh_broker: list[str], lake: str, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Lake:
    settings.KAFKA_BOOTSTRAP_SERVERS = fresh_broker
    store = Lake.from_url(lake)
    monkeypatch.setattr(sdtm_import, "lake", lambda: store)
    ensure_topics(fresh_broker)
    return store


@pytest.fixture
def bronze(place: Lake, fresh_broker: list[str]) -> Iterator[None]:
    stop = threading.Event()
    consumer = BronzeConsumer(
        lake=place,
        servers=fresh_broker,
        group_id="import",
        default_trial="DEMO",
        partitions=[0, 1, 2, 3],
        limits=Limits(seconds=0.5),
    )
    thread = threading.Thread(target=consumer.run, args=(stop.is_set,))
    thread.start()
    yield
    stop.set()
    thread.join(20)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_package(tmp_path / "study")


def in_bronze(place: Lake) -> list[dict[str, Any]]:
    return [line for topic in TOPICS for batch in read_claimed(place, topic) for line in batch.lines()]


@pytest.mark.usefixtures("bronze")
def test_a_package_becomes_a_trial_and_bronze_and_the_second_time_nothing(place: Lake, folder: Path) -> None:
    package = read_package(folder)
    done = sdtm_import.import_study(folder=folder, by=BY)
    assert (done.sent, done.known) == (len(package.events), 0)
    lines = in_bronze(place)
    assert sorted(map(str, (line["value"] for line in lines))) == sorted(str(event.value) for event in package.events)
    assert {line["headers"]["producer"] for line in lines} == {"sdtm-import"}
    assert all(line["key"] == f"SMALL01/{line['value']['patient_id']}" for line in lines)

    profile = patients.profile("SMALL01")
    assert (profile.live, profile.simulated, profile.blinded, profile.label_maturity_days) == (False, False, True, 60)
    assert profile.study_treatments == ("PLACEBO",)
    assert profile.replay_date is not None
    assert profile.replay_date.startswith("2020-04-2")

    run = ImportRun.objects.get()
    assert (run.state, run.progress) == ("succeeded", 100)
    for domain in ImportDomain.objects.filter(run=run):
        assert domain.rows_read == domain.rows_carried + domain.rows_refused
    assert ImportRefusal.objects.filter(run=run).count() == len(package.refusals)
    assert list(AuditEvent.objects.filter(object_id=str(run.pk)).order_by("id").values_list("action", flat=True)) == [
        "ingestion.import_started",
        "ingestion.import_finished",
    ]

    again = sdtm_import.import_study(folder=folder, by=BY)
    assert (again.sent, again.known) == (0, len(package.events))
    assert len(in_bronze(place)) == len(lines)
    assert patients.profile("SMALL01").version == 1

    # A corrected row is sent, and only that one.
    rows = [{**row, "AESEV": "MODERATE"} if row["AESEQ"] == 1.0 else row for row in DOMAINS["ae"]]
    write_package(folder, {"ae": rows})
    corrected = sdtm_import.import_study(folder=folder, by=BY)
    assert corrected.sent == 1
    assert len(in_bronze(place)) == len(lines) + 1


def test_without_bronze_the_run_fails_in_words_and_can_be_run_again(
    place: Lake, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sdtm_import, "BRONZE_STALL_SECONDS", 0.5)
    with pytest.raises(Unavailable, match="run_bronze"):
        sdtm_import.import_study(folder=folder, by=BY)
    run = ImportRun.objects.get()
    assert run.state == "failed"
    assert "run_bronze" in run.error
    assert not sdtm_import.Manifest(place, "SMALL01").read()
    assert sdtm_import.import_study(folder=folder, by=BY, wait_for_bronze=False).sent > 0


@pytest.mark.usefixtures("place")
def test_the_command_shows_the_account_and_a_dry_run_writes_nothing(folder: Path, settings: Any) -> None:
    out = StringIO()
    call_command("import_sdtm", str(folder), dry_run=True, stdout=out)
    assert "refused under AE unknown_severity: 1" in out.getvalue()
    assert "2 subjects, 2 sites; nothing sent (dry run)" in out.getvalue()
    assert not ImportRun.objects.exists()
    with pytest.raises(CommandError, match="no SAS transport files"):
        call_command("import_sdtm", str(folder.parent), stdout=StringIO())
    settings.IMPORT_ROOT = str(folder / "elsewhere")
    with pytest.raises(Forbidden, match="outside the folder for imports"):
        sdtm_import.read(folder)


@pytest.mark.usefixtures("place")
def test_a_simulated_trial_is_not_written_over(folder: Path) -> None:
    create_trial(by=BY, trial_id="SMALL01", name="Demo", simulated=True)
    with pytest.raises(Conflict, match="simulated"):
        sdtm_import.import_study(folder=folder, by=BY)
