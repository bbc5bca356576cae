"""A study's package through broker and bronze, with its account; the same again sends nothing, a corrected one corrects."""

from __future__ import annotations

from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, transaction

from apps.audit.models import AuditEvent
from apps.core.errors import Conflict, Invalid, Unavailable
from apps.ingestion.imports import course, sending, services
from apps.ingestion.imports.course import Imported
from apps.ingestion.imports.manifest import Manifest
from apps.ingestion.models import ImportDomain, ImportRefusal, ImportRun
from apps.patients import selectors as patients
from apps.patients.models import AdverseEvent, Patient, Trial, VitalSigns
from apps.patients.projection import project
from apps.patients.services import create_trial
from ml.cleaning import clean, dedupe
from ml.contracts import TOPICS
from ml.lake import Lake
from ml.lake.bronze import read_claimed
from ml.lake.epochs import epochs
from ml.sdtm import read_package
from tests.support.database import forget_audit
from tests.support.sdtm import DOMAINS, A, write_package

BY = services.PROCESS


@pytest.fixture
def place(import_place: Lake) -> Lake:
    return import_place


@pytest.fixture
def bronze(import_bronze: None) -> None:
    return


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_package(tmp_path / "study")


def import_study(folder: Path, **options: Any) -> Imported:
    run = services.command_run(by=BY, form="sdtm", source=str(folder), place=folder, trial_name="")
    return course.carried_out(run, **options)


def in_bronze(place: Lake) -> list[dict[str, Any]]:
    return [line for topic in TOPICS for batch in read_claimed(place, topic) for line in batch.lines()]


def pages(place: Lake) -> None:
    """Bronze through the cleaning into the tables that the pages read, as the live loop and silver have them."""
    for topic in ("patient-context", *(topic for topic in TOPICS if topic != "patient-context")):
        lines = [line for batch in read_claimed(place, topic) for line in batch.lines()]
        cleaned = clean(topic, lines, epochs=epochs(place, topic), profiles=patients.profiles())
        project(topic, dedupe(topic, cleaned.rows).rows)


@pytest.mark.usefixtures("bronze")
def test_a_package_becomes_a_trial_and_bronze_and_the_second_time_nothing(place: Lake, folder: Path) -> None:
    package = read_package(folder)
    done = import_study(folder)
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
    # no subject of this package has a pulse: a score must not ask for one
    assert profile.signs_required == ("blood_pressure_systolic",)

    run = ImportRun.objects.get()
    assert (run.state, run.progress, run.trial_id) == ("succeeded", 100, "SMALL01")
    assert (run.new, run.corrected, run.retracted, run.unchanged) == (done.found.new, 0, 0, 0)
    for domain in ImportDomain.objects.filter(run=run):
        assert domain.rows_read == domain.rows_carried + domain.rows_refused
    refusals = ImportRefusal.objects.filter(run=run)
    assert refusals.count() == len(package.refusals)
    assert not refusals.filter(why="").exists()
    assert not refusals.filter(cure="").exists()
    actions = AuditEvent.objects.filter(object_id=str(run.pk)).order_by("id").values_list("action", flat=True)
    assert set(actions) == {"ingestion.import_asked", "ingestion.import_started", "ingestion.import_finished"}

    again = import_study(folder)
    assert again.sent == 0
    assert (again.found.unchanged, again.found.corrected, again.found.retracted) == (done.found.new, 0, 0)
    assert len(in_bronze(place)) == len(lines)
    assert patients.profile("SMALL01").version == 1


@pytest.mark.usefixtures("bronze")
def test_a_corrected_package_corrects_and_retracts_up_to_the_pages(place: Lake, folder: Path) -> None:
    first = import_study(folder)
    before = len(in_bronze(place))
    # one severity corrected; one adverse event gone; one sign of a set gone, another corrected
    ae = [{**row, "AESEV": "MODERATE"} if row["AESEQ"] == 1.0 else row for row in DOMAINS["ae"] if row["AESEQ"] != 2.0]
    vs = [{**row, "VSORRES": "140"} if row["VSSEQ"] == 1.0 else row for row in DOMAINS["vs"] if row["VSSEQ"] != 2.0]
    write_package(folder, {"ae": ae, "vs": vs})
    second = import_study(folder)
    assert (second.found.new, second.found.corrected, second.found.retracted) == (0, 2, 1)
    assert second.found.unchanged == first.found.new - 3
    assert len(in_bronze(place)) == before + second.sent
    # known after everything that the first package told of, and by the study's now
    cut = max(one.known_at for one in first.found.messages)
    profile = patients.profile("SMALL01")
    assert profile.replay_time is not None
    assert all(cut < one.known_at <= profile.replay_time for one in second.found.messages)
    changes = {change.record_id: change for change in second.run.changes.all()}
    assert changes[f"AE:{A}:1"].columns["severity"] == ["grade_1", "grade_2"]
    assert changes[f"AE:{A}:2"].kind == "retracted"

    pages(place)
    events = {row.record_id: row for row in AdverseEvent.objects.filter(superseded=False, retracted=False)}
    assert events[f"AE:{A}:1"].grade == 2
    assert f"AE:{A}:2" not in events
    assert AdverseEvent.objects.filter(record_id=f"AE:{A}:2", retracted=True).exists()
    now = patients.as_known(AdverseEvent, f"SMALL01/{A}", _moment(profile.replay_time))
    assert {row.record_id: row.grade for row in now if row.record_id.startswith("AE")}[f"AE:{A}:1"] == 2
    then = patients.as_known(AdverseEvent, f"SMALL01/{A}", _moment(cut))
    assert {row.record_id: row.grade for row in then}[f"AE:{A}:1"] == 1, "what was known then stays known then"
    assert f"AE:{A}:2" in {row.record_id for row in then}
    known = patients.vitals_as_known(f"SMALL01/{A}", _moment(profile.replay_time))
    lying = [dict(one.signs) for one in known if one.source == "LYING"]
    assert lying == [{"blood_pressure_systolic": 140.0}], "the sign that is gone does not stand on"

    assert import_study(folder).sent == 0
    # the first package again: the truth goes back, as new versions
    write_package(folder)
    back = import_study(folder)
    assert (back.found.new, back.found.corrected, back.found.retracted) == (0, 3, 0)
    pages(place)
    standing = AdverseEvent.objects.filter(superseded=False, retracted=False).values_list("record_id", "grade")
    assert dict(standing)[f"AE:{A}:1"] == 1
    assert f"AE:{A}:2" in dict(standing)


def _moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


@pytest.mark.usefixtures("bronze")
def test_a_package_without_a_domain_leaves_that_domain_alone(folder: Path) -> None:
    import_study(folder)
    (folder / "vs.xpt").unlink()
    again = import_study(folder)
    assert again.sent == 0
    assert any("stay as they were: these files bring no VS" in remark for remark in again.run.remarks)
    # a row that is there and has become unreadable is refused, and what stood stands
    rows = [{**row, "AESEV": "??"} if row["AESEQ"] == 1.0 else row for row in DOMAINS["ae"]]
    write_package(folder, {"ae": rows})
    unreadable = import_study(folder)
    assert (unreadable.sent, unreadable.found.kept) == (0, 1)


def test_without_bronze_the_run_fails_in_words_and_can_be_run_again(
    place: Lake, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "BRONZE_STALL_SECONDS", 0.5)
    with pytest.raises(Unavailable, match="run_bronze"):
        import_study(folder)
    run = ImportRun.objects.get()
    assert run.state == "failed"
    assert "bronze does not take them" in run.error
    assert "run_bronze" in run.cure
    assert not Manifest(place, "SMALL01").read().records
    assert import_study(folder, wait_for_bronze=False).sent > 0


@pytest.mark.usefixtures("place")
def test_the_command_shows_the_account_and_a_dry_run_writes_nothing(
    folder: Path, settings: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    out = StringIO()
    call_command("import_sdtm", str(folder), dry_run=True, stdout=out)
    assert "refused under AE unknown_severity: 1" in out.getvalue()
    assert "2 subjects, 2 sites; nothing sent (dry run)" in out.getvalue()
    assert not ImportRun.objects.exists()
    assert not Trial.objects.exists()
    with pytest.raises(CommandError, match="no SAS transport files"):
        call_command("import_sdtm", str(tmp_path_factory.mktemp("empty")), stdout=StringIO())
    settings.IMPORT_ROOT = str(folder / "elsewhere")
    with pytest.raises(CommandError, match="outside the folder for imports"):
        call_command("import_sdtm", str(folder), stdout=StringIO())


@pytest.mark.usefixtures("place")
def test_a_simulated_trial_is_not_written_over(folder: Path) -> None:
    create_trial(by=BY, trial_id="SMALL01", name="Demo", simulated=True)
    with pytest.raises(Conflict, match="simulated"):
        import_study(folder)


@pytest.mark.usefixtures("place")
def test_two_imports_of_one_trial_do_not_run_at_once_unless_one_is_dead(folder: Path) -> None:
    import_study(folder, wait_for_bronze=False)
    with transaction.atomic():
        run = services.command_run(by=BY, form="sdtm", source="x", place=folder, trial_name="SMALL01")
        services.start(by=BY, run=run)
    with pytest.raises(Conflict, match="is running"):
        import_study(folder, wait_for_bronze=False)
    ImportRun.objects.filter(pk=run.pk).update(heartbeat_at="2020-01-01T00:00:00Z")
    assert import_study(folder, wait_for_bronze=False).sent == 0


@pytest.mark.usefixtures("place")
def test_the_database_keeps_a_report_as_it_was_written(folder: Path) -> None:
    import_study(folder, wait_for_bronze=False)
    run = ImportRun.objects.get()
    for change in (
        lambda: run.refusals.update(why="nothing"),
        lambda: run.domains.all().delete(),
        lambda: ImportRun.objects.filter(pk=run.pk).update(state="failed"),
        lambda: ImportRun.objects.filter(pk=run.pk).delete(),
    ):
        forget_audit()
        with pytest.raises(DatabaseError), transaction.atomic():
            change()
    ImportRun.objects.filter(pk=run.pk).update(progress=7)


@pytest.mark.usefixtures("place")
def test_nothing_importable_makes_no_trial(tmp_path: Path) -> None:
    folder = write_package(tmp_path / "bare", {"zz": [{"DOMAIN": "ZZ", "USUBJID": "x", "ZZSEQ": 1.0}]})
    with pytest.raises(Invalid):
        import_study(folder)
    assert not Trial.objects.exists()
    assert not Patient.objects.exists()
    assert not VitalSigns.objects.exists()
    assert ImportRun.objects.get().state == "failed"
