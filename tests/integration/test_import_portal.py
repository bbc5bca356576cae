"""Importing through the portal: checked first and nothing written, then imported; strangers' packages; bad zips; tables."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from apps.audit.models import AuditEvent
from apps.core import clock
from apps.core.errors import Forbidden
from apps.ingestion.imports import places, report
from apps.ingestion.models import ImportMapping, ImportRun
from apps.patients import selectors as patients
from apps.patients.models import Patient, Site, Trial
from ml.contracts import TOPICS
from ml.lake import Lake
from ml.lake.bronze import read_claimed
from tests.support import people, random_trial
from tests.support.random_trial import rows_of, write
from tests.support.sdtm import write_package
from tests.support.zips import BAD, zipped

pytestmark = pytest.mark.usefixtures("valkey")
Worker = Callable[[], list[str]]
NEW = "/imports/new/"


@pytest.fixture
def meg(import_place: Lake) -> Client:
    """An ML engineer for every trial."""
    client = Client()
    client.force_login(people.person("meg", "ml_engineer"))
    return client


def send(client: Client, name: str, body: bytes, address: str = NEW, **fields: str) -> Any:
    return client.post(address, {"from": "sent", "file": SimpleUploadedFile(name, body), **fields})


def page(client: Client, run: ImportRun) -> str:
    address = reverse("portal:import", args=[run.trial_id, run.pk]) if run.trial_id else f"/imports/{run.pk}/"
    answer = client.get(address)
    assert answer.status_code == 200
    return str(answer.content.decode())


def sent_files() -> list[Path]:
    return [path for path in places.sent_folder().rglob("*") if path.is_file()]


def events(place: Lake) -> int:
    return sum(1 for topic in TOPICS for batch in read_claimed(place, topic) for _ in batch.lines())


@pytest.mark.usefixtures("import_bronze")
def test_a_zip_is_checked_and_nothing_written_then_imported(
    meg: Client, import_place: Lake, import_worker: Worker, tmp_path: Path, django_capture_on_commit_callbacks: Any
) -> None:
    body = zipped(write_package(tmp_path / "study"))
    with django_capture_on_commit_callbacks(execute=True):
        answer = send(meg, "small.zip", body)
    check = ImportRun.objects.get()
    assert answer["Location"] == f"/imports/{check.pk}/"
    assert "small" not in answer["Location"]
    assert "Waiting" in page(meg, check)
    import_worker()
    check.refresh_from_db()
    assert (check.state, check.kind, check.trial_id, check.trial_name) == ("succeeded", "check", None, "SMALL01")
    assert check.new > 10
    # a dry run: no trial, no event, nothing in the lake
    assert not Trial.objects.exists()
    assert events(import_place) == 0
    assert list(import_place.list("imports/")) == []
    shown = page(meg, check)
    assert "Nothing has been written. Import it?" in shown
    for words in ("unknown_severity", "Correct AESEV", "What would mend it", "read"):
        assert words in shown
    assert sent_files()

    with django_capture_on_commit_callbacks(execute=True):
        answer = meg.post(f"/imports/{check.pk}/go/")
    jobs = import_worker()
    run = ImportRun.objects.get(kind="import")
    assert answer["Location"] == f"/imports/{run.pk}/"
    assert (run.state, run.trial_id, run.new) == ("succeeded", "SMALL01", check.new)
    assert jobs == [str(run.job_id)]
    assert run.job is not None
    assert (run.job.job, run.job.trial_id) == ("study", "SMALL01")
    assert events(import_place) == run.sent
    assert sent_files() == [], "what was sent is taken away"
    assert meg.get(f"/imports/{run.pk}/")["Location"] == f"/trials/SMALL01/imports/{run.pk}/"
    assert "Follow the run" in page(meg, run)
    assert meg.post(f"/imports/{check.pk}/go/").status_code == 409, "once is enough"

    # the same again: the check says that nothing would change
    with django_capture_on_commit_callbacks(execute=True):
        send(meg, "small.zip", body, "/trials/SMALL01/imports/new/")
    import_worker()
    again = ImportRun.objects.filter(kind="check").latest("created_at")
    assert (again.new, again.corrected, again.retracted, again.unchanged) == (0, 0, 0, run.new)
    assert "Nothing would change." in page(meg, again)
    meg.post(reverse("portal:import_discard", args=["SMALL01", again.pk]))
    assert sent_files() == []
    assert AuditEvent.objects.filter(action="ingestion.import_discarded", actor="meg").exists()
    assert not any("small.zip" in str(event.after) for event in AuditEvent.objects.all()), (
        "a file's name is nobody's business"
    )


@pytest.mark.usefixtures("import_bronze")
def test_the_report_is_a_file_too(
    meg: Client, import_worker: Worker, tmp_path: Path, django_capture_on_commit_callbacks: Any
) -> None:
    rows = {
        "dm": [{"DOMAIN": "DM", "USUBJID": "S-1", "SITEID": "1", "AGE": 50.0, "SEX": "F", "ARMCD": "A", "ARM": "A", "DMDTC": "2020-01-01"}],
        "ae": [{"DOMAIN": "AE", "USUBJID": "S-1", "AESEQ": 1.0, "AETERM": "=1+1", "AEDECOD": "X", "AESEV": "=cmd|x",
                "AESTDTC": "2020-01-02"}],
    }  # fmt: skip
    with django_capture_on_commit_callbacks(execute=True):
        send(meg, "a.zip", zipped(write_package(tmp_path / "study", rows)))
    import_worker()
    run = ImportRun.objects.get()
    answer = meg.get(f"/imports/{run.pk}/report.csv")
    body = b"".join(answer.streaming_content).decode("utf-8-sig")  # type: ignore[arg-type]
    lines = list(csv.DictReader(io.StringIO(body)))
    assert set(lines[0]) == set(report.COLUMNS)
    severity = next(line for line in lines if line["domain"] == "AE")
    assert severity["what would mend it"]
    assert not any(cell.startswith(("=", "+", "-", "@")) for line in lines for cell in line.values())
    whole = json.loads(b"".join(meg.get(f"/imports/{run.pk}/report.json").streaming_content))  # type: ignore[arg-type]
    assert {"domain", "row", "what", "why", "cure", "rule"} <= set(whole["refused"][0])
    assert [one for one in whole["domains"] if one["read"] != one["carried"] + one["refused"]] == []
    assert AuditEvent.objects.filter(action="ingestion.import_exported").count() == 2
    # filters
    page_of_rule = meg.get(f"/imports/{run.pk}/?domain=AE&rule={severity['rule']}").content.decode()
    assert severity["row"] in page_of_rule
    assert "No refused row matches" in meg.get(f"/imports/{run.pk}/?q=nobody").content.decode()


@pytest.mark.parametrize("name", BAD)
def test_a_bad_zip_is_a_sentence(
    name: str, meg: Client, import_worker: Worker, django_capture_on_commit_callbacks: Any
) -> None:
    make, words = BAD[name]
    with django_capture_on_commit_callbacks(execute=True):
        send(meg, "x.zip", make())
    import_worker()
    run = ImportRun.objects.get()
    assert run.state == "failed"
    assert words in run.error
    assert run.cure
    shown = page(meg, run)
    assert "Traceback" not in shown
    assert 'role="alert"' in shown


def test_files_that_cannot_be_read_are_named_before_anything_is_imported(
    meg: Client, import_worker: Worker, tmp_path: Path, django_capture_on_commit_callbacks: Any
) -> None:
    folder = write_package(tmp_path / "study")
    (folder / "ae.xpt").write_bytes((folder / "ae.xpt").read_bytes()[:-90])
    (folder / "vs.xpt").write_text("Dear colleague,")
    with django_capture_on_commit_callbacks(execute=True):
        send(meg, "half.zip", zipped(folder))
    import_worker()
    run = ImportRun.objects.get()
    shown = page(meg, run)
    assert "2 files cannot be read." in shown
    assert "= 0 read" not in shown
    assert "read; 2 files cannot be read" in shown
    assert shown.count("cannot be read</span>") == 2  # a domain each
    assert "vs.xpt is no SAS transport file" in shown
    whole = json.loads(b"".join(meg.get(f"/imports/{run.pk}/report.json").streaming_content))  # type: ignore[arg-type]
    unread = {one["domain"]: one["unreadable"] for one in whole["domains"] if one["unreadable"]}
    assert set(unread) == {"AE", "VS"}
    for path in folder.glob("*.xpt"):
        path.write_text("Dear colleague,")
    with django_capture_on_commit_callbacks(execute=True):
        send(meg, "none.zip", zipped(folder))
    import_worker()
    failed = ImportRun.objects.get(state="failed")
    assert failed.error.startswith("No SAS transport file of the package can be read. ae.xpt is no SAS transport file")
    assert "/" not in failed.error


def test_what_is_no_study_is_refused_at_the_door(meg: Client, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, body, words in (
        ("letter.pdf", b"%PDF", "cannot be imported"),
        ("a.zip", b"", "is empty"),
        ("a.csv", b"a,b\n1,2\n", "which trial"),
    ):
        answer = send(meg, name, body)
        assert answer.status_code == 422
        assert words in answer.content.decode()
    assert "No file was sent" in meg.post(NEW, {"from": "sent"}).content.decode()
    assert "cannot name a trial" in send(meg, "a.zip", b"x", trial="a/b").content.decode()
    monkeypatch.setattr(places, "UPLOAD_BYTES", 1_000)
    answer = send(meg, "a.zip", b"x" * 5_000)
    assert "larger than" in answer.content.decode()
    assert sent_files() == []
    assert not ImportRun.objects.exists()
    # a file that no page asked for is not kept
    meg.post("/sign-out/", {"file": SimpleUploadedFile("a.zip", b"x")})
    assert sent_files() == []


def test_only_the_folder_for_imports_can_be_chosen(meg: Client, settings: Any, tmp_path: Path) -> None:
    root = tmp_path / "root"
    write_package(root / "good")
    write_package(tmp_path / "secret")
    (root / "way-out").symlink_to(tmp_path / "secret")
    settings.IMPORT_ROOT = str(root)
    offered = meg.get(NEW).content.decode()
    assert '<option value="good"' in offered
    assert "way-out" not in offered
    for name in ("../secret", "way-out", "/etc", "", "good\x00", "nowhere"):
        answer = meg.post(NEW, {"from": "root", "chosen": name})
        assert answer.status_code == 404, name
    assert meg.post(NEW, {"from": "root", "chosen": "good"}).status_code == 302
    settings.IMPORT_ROOT = ""
    assert "No folder for imports is set" in meg.get(NEW).content.decode()


def test_a_folder_with_a_link_out_of_it_is_not_read(meg: Client, settings: Any, tmp_path: Path) -> None:
    """Whoever may put files there must not have the portal read, and show refused rows of, a file they may not."""
    root = tmp_path / "root"
    write_package(root / "good")
    write_package(tmp_path / "secret")
    inside = next(path for path in (tmp_path / "secret").iterdir() if path.suffix == ".xpt")
    (root / "good" / "linked.xpt").symlink_to(inside)
    (root / "deep").mkdir()
    (root / "deep" / "below").symlink_to(tmp_path / "secret")
    settings.IMPORT_ROOT = str(root)
    for name in ("good", "deep"):
        answer = meg.post(NEW, {"from": "root", "chosen": name})
        assert answer.status_code == 403, name
        assert "link" in answer.content.decode()
    with pytest.raises(Forbidden, match="link"):
        places.allowed(root / "good")
    (root / "good" / "linked.xpt").unlink()
    (root / "good" / "again.xpt").symlink_to(next((root / "good").glob("*.xpt")))
    assert meg.post(NEW, {"from": "root", "chosen": "good"}).status_code == 302, "a link within is no way out"


def test_who_may_import_what(import_place: Lake) -> None:
    trial = people.trial("DEMO")
    other = people.trial("OTHER")
    run = ImportRun.objects.filter(trial=None)
    here, everywhere, watcher, approver = Client(), Client(), Client(), Client()
    here.force_login(people.person("here", "ml_engineer", at=trial))
    everywhere.force_login(people.person("admin", "administrator"))
    watcher.force_login(people.person("ann", "auditor", at=trial))
    approver.force_login(people.person("both", "ml_engineer", "model_approver", at=trial))
    assert here.get("/trials/DEMO/imports/new/").status_code == 200
    assert here.get(NEW).status_code == 403, "a new trial needs a grant for every trial"
    assert here.get(f"/trials/{other.pk}/imports/").status_code == 403
    assert everywhere.get(NEW).status_code == 200
    assert watcher.get("/trials/DEMO/imports/").status_code == 200
    assert watcher.get("/trials/DEMO/imports/new/").status_code == 403
    assert watcher.post("/trials/DEMO/imports/new/").status_code == 403
    # a report shows rows of the study's files: who holds a blinded role gets none of it
    for address in ("/trials/DEMO/imports/", "/trials/DEMO/imports/new/"):
        answer = approver.get(address)
        assert answer.status_code == 403
        assert "blinded" in answer.content.decode()
    assert not run.exists()


STRANGERS = {
    "lacks DM, VS, CM": random_trial.Trial(seed=5, subjects=25, without=("dm", "vs", "cm"), study="STRANGE1"),
    "random": random_trial.Trial(seed=6, subjects=25, study="STRANGE2"),
    "other units, broken dates": random_trial.Trial(
        seed=7, subjects=25, units="other", broken_dates=0.15, study="STRANGE3"
    ),
    "lacks AE": random_trial.Trial(seed=8, subjects=10, without=("ae",), study="STRANGE4"),
}


@pytest.mark.usefixtures("import_bronze")
@pytest.mark.parametrize("name", STRANGERS)
def test_a_strangers_package_comes_in_with_a_report(
    name: str,
    meg: Client,
    import_place: Lake,
    import_worker: Worker,
    tmp_path: Path,
    django_capture_on_commit_callbacks: Any,
) -> None:
    drawn = STRANGERS[name]
    folder = write(tmp_path / "study", rows_of(drawn))
    with django_capture_on_commit_callbacks(execute=True):
        send(meg, "stranger.zip", zipped(folder, inside="m5/datasets/tabulations/sdtm/"))
    import_worker()
    check = ImportRun.objects.get()
    assert check.state == "succeeded", check.error
    with django_capture_on_commit_callbacks(execute=True):
        meg.post(f"/imports/{check.pk}/go/")
    import_worker()
    run = ImportRun.objects.get(kind="import")
    assert run.state == "succeeded", run.error
    assert run.trial_id == drawn.study
    assert run.domains.count() >= 4
    for domain in run.domains.all():
        assert domain.rows_read == domain.rows_carried + domain.rows_refused
    shown = page(meg, run)
    assert "Traceback" not in shown
    for absent in drawn.without:
        assert any(f"({absent.upper()})" in remark for remark in run.remarks)
    assert not run.refusals.filter(why="").exists()
    assert not run.refusals.filter(cure="").exists()
    profile = patients.profile(drawn.study)
    assert ("blood_pressure_systolic" in profile.signs_required) == ("vs" not in drawn.without)
    assert events(import_place) == run.sent


VITALS = """Subject;Centre;Taken;Pulse;SBP;Temp (°F);Note;ALT [U/L]
P1;S1;28/03/2026 23:30;80;120;98,6;ok;31
P1;S1;29/03/2026 03:30;82;121;99,1;;
P2;S1;29/03/2026 02:30;70;110;98,2;;
P3;;30/03/2026 08:00;ERROR;;;;
;S1;30/03/2026 08:00;70;;;;
P4;S2;30/03/2026 09:00;75;118;97,9;;<5
"""


@pytest.mark.usefixtures("import_bronze")
def test_a_table_comes_in_by_the_same_way(
    meg: Client, import_place: Lake, import_worker: Worker, django_capture_on_commit_callbacks: Any
) -> None:
    now = datetime(2026, 4, 10, tzinfo=UTC)
    with clock.fixed(now):
        answer = send(meg, "ward.csv", VITALS.encode(), trial="WARD1", title="A ward")
        run = ImportRun.objects.get()
        columns = f"/imports/{run.pk}/columns/"
        assert answer["Location"] == columns
        first = meg.get(columns).content.decode()
        assert "What do the columns of ward.csv mean?" in first
        assert '<option value="heart_rate" selected>' in first
        assert "P1 at 2026-03-28T23:30:00Z: heart rate 80" in first, "the guess is shown at work"
        form = _form(first) | {"source": "Ward 7 monitors", "zone": "Europe/Madrid"}
        # saved, taken again
        saved = meg.post(columns, form | {"act": "save", "name": "Ward 7"}).content.decode()
        assert "Saved as Ward 7, version 1." in saved
        assert ImportMapping.objects.get().body["time_format"] == "dmy"
        kept = meg.post(columns, form | {"act": "download"})
        assert kept["Content-Disposition"].startswith("attachment")
        assert meg.post(columns, {"act": "paste", "json": kept.content.decode()}).status_code == 200
        for broken, words in (
            ("{", "no JSON"),
            ('{"source": "x"}', "No column names the patient|cannot be read"),
            ('{"sauce": 1}', "no entry"),
        ):
            told = meg.post(columns, {"act": "paste", "json": broken})
            assert told.status_code == 422
            assert any(word in told.content.decode() for word in words.split("|"))
        refused = meg.post(columns, form | {"act": "check", "source": ""})
        assert refused.status_code == 422
        assert "no usable name" in refused.content.decode()
        with django_capture_on_commit_callbacks(execute=True):
            meg.post(columns, form | {"act": "check"})
        import_worker()
        run.refresh_from_db()
        assert run.state == "succeeded", run.error
        account = {one.domain: (one.rows_read, one.rows_carried, one.rows_refused) for one in run.domains.all()}
        assert account == {"VITALS": (14, 9, 5), "LABS": (2, 2, 0)}
        rules = set(run.refusals.values_list("rule", flat=True))
        assert rules == {"no_such_time", "not_a_number", "no_patient"}
        assert not Trial.objects.exists()
        with django_capture_on_commit_callbacks(execute=True):
            meg.post(f"/imports/{run.pk}/go/")
        import_worker()
        done = ImportRun.objects.get(kind="import")
        assert done.state == "succeeded", done.error
        lines = [line for topic in TOPICS for batch in read_claimed(import_place, topic) for line in batch.lines()]
        assert {line["headers"]["producer"] for line in lines} == {"table-import"}
        taken = sorted(line["value"]["timestamp"] for line in lines if line["topic"] == "patient-vitals")
        assert taken[:2] == ["2026-03-28T22:30:00Z", "2026-03-29T01:30:00Z"], "CET, and then CEST"
        lab = next(line["value"] for line in lines if line["topic"] == "lab-results" and line["value"]["value"] is None)
        assert (lab["value_text"], lab["test_name"], lab["unit"]) == ("<5", "ALT", "U/L")
        enrolled = [line["value"] for line in lines if line["topic"] == "patient-context"]
        assert sorted(value["patient_id"] for value in enrolled) == ["P1", "P4"]

        # a later file of the same source adds, and corrects what it says otherwise; nobody is enrolled twice
        later = VITALS.replace(";80;120;", ";80;125;").replace("P2;S1;29/03/2026 02:30", "P2;S1;31/03/2026 02:30")
        send(meg, "ward.csv", later.encode(), "/trials/WARD1/imports/new/")
        second = ImportRun.objects.filter(kind="check").exclude(pk=run.pk).get()
        body = f"/trials/WARD1/imports/{second.pk}/columns/"
        with django_capture_on_commit_callbacks(execute=True):
            meg.post(body, form | {"act": "check"})
        import_worker()
        second.refresh_from_db()
        assert (second.new, second.corrected, second.retracted) == (2, 1, 0)
        change = second.changes.get()
        assert change.columns["blood_pressure_systolic"] == [120.0, 125.0]
    assert not Patient.objects.exists(), "patients come from events alone"
    assert not Site.objects.exists()


def _form(html: str) -> dict[str, str]:
    """What a browser would send of the page's form."""
    from html.parser import HTMLParser

    found: dict[str, str] = {}

    class Reader(HTMLParser):
        select, area, inside = "", "", False

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            have = dict(attrs)
            name = have.get("name") or ""
            if tag == "form":
                self.inside = (have.get("action") or "").endswith("/columns/")
            if not self.inside:
                return
            if tag == "input" and name:
                found[name] = have.get("value") or ""
            elif tag == "select":
                self.select = name
                found.setdefault(name, "")
            elif tag == "option" and "selected" in have:
                found[self.select] = have.get("value") or ""

    Reader().feed(html)
    found.pop("csrfmiddlewaretoken", None)
    return {name: value for name, value in found.items() if name}


def test_a_damaged_table_is_a_sentence(meg: Client) -> None:
    for name, body, words in (
        ("a.parquet", b"PAR1 and then nothing", "damaged"),
        ("a.csv", b"\x00\x01\x02" * 40, "neither text nor Parquet"),
        ("a.csv", b"one column\n1\n", "names 1 column"),
        ("a.csv", b"a,a\n1,2\n", "Two columns are named"),
    ):
        answer = send(meg, name, body, trial="T1")
        shown = meg.get(answer["Location"])
        assert shown.status_code == 422
        assert words in shown.content.decode()
        assert "Traceback" not in shown.content.decode()


@pytest.mark.usefixtures("import_bronze")
def test_files_nobody_came_back_for_go_after_a_day(
    meg: Client,
    import_worker: Worker,
    tmp_path: Path,
    django_capture_on_commit_callbacks: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import os

    from apps.ingestion import tasks

    with django_capture_on_commit_callbacks(execute=True):
        send(meg, "small.zip", zipped(write_package(tmp_path / "study")))
    import_worker()
    tasks.sweep_uploads()
    assert sent_files()
    old = (datetime.now(UTC) - timedelta(hours=25)).timestamp()
    for path in places.sent_folder().iterdir():
        os.utime(path, (old, old))
    tasks.sweep_uploads()
    assert sent_files() == []
    run = ImportRun.objects.get()
    assert run.place == ""
    answer = meg.post(f"/imports/{run.pk}/go/")
    assert answer.status_code == 409
    assert "no longer there" in answer.content.decode()
