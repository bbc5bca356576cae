"""The quality check: each limit found exceeded where it is, nothing found where nothing is."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from apps.core import clock
from apps.patients import selectors as patients
from apps.pipelines import quality
from apps.pipelines.models import JobRun
from ml.lake import Lake
from ml.lake.bronze import dead_line, good_line, write_batch
from ml.lake.claims import Chain, genesis
from ml.lake.epochs import open_epoch
from tests.support import people

pytestmark = pytest.mark.usefixtures("pg")
NOW = 1_772_400_000
HOUR = 3600
CHAIN = Chain("patient-vitals", "vitals-id", 0)


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lake:
    made = Lake.from_url(tmp_path / "lake")
    monkeypatch.setattr(quality, "the_lake", lambda: made)
    monkeypatch.setattr(clock, "now", lambda: datetime.fromtimestamp(NOW, UTC))
    monkeypatch.setattr(patients, "live_trial_ids", lambda: ["DEMO"])
    open_epoch(made, CHAIN.topic, CHAIN.topic_id, opened="2026-03-01", partitions=1)
    genesis(made, CHAIN, 0)
    return made


def batch(lake: Lake, start: int, count: int, *, dead: int = 0, age_hours: float = 1.0) -> None:
    at = int(1000 * (NOW - age_hours * HOUR))
    lines = [good_line(CHAIN, start + n, at, b"k", [], b'{"patient_id":"P1"}', "DEMO/P1") for n in range(count)]
    letters = [dead_line(CHAIN, start + count + n, at, b"k", [], b"x", []) for n in range(dead)]
    write_batch(lake, CHAIN, start, lines, letters, writer="t", created="2026-03-01")


def report(lake: Lake, *sites: tuple[str, int, int]) -> None:
    """A cleaning report of one day: (site, messages, set aside)."""
    day = {
        "topic": "patient-vitals",
        "date": "2026-03-01",
        "messages": [{"trial": "DEMO", "site": site, "count": count} for site, count, _ in sites],
        "quarantine": [{"trial": "DEMO", "site": site, "rule": "r", "field": "f", "count": n} for site, _, n in sites],
    }
    lake.put(quality.LATEST_REPORT, json.dumps({"path": "quality/x.json", "days": [day]}).encode())


def found(**context: Any) -> dict[str, set[str]]:
    quality.check(context, lambda *_: None)
    body = json.loads(quality.the_lake().get(quality.LATEST_CHECK))
    names: dict[str, set[str]] = {}
    for one in body["findings"]:
        names.setdefault(one["check"], set()).add(one["subject"])
    return names


def test_a_healthy_lake_has_no_findings(lake: Lake) -> None:
    batch(lake, 0, 95, dead=5)
    batch(lake, 100, 10)
    report(lake, ("S1", 200, 5), ("S2", 100, 15), ("tiny", 10, 10))
    assert found() == {}


@pytest.mark.parametrize(
    ("sites", "expected"),
    [
        ([("S1", 100, 0), ("S2", 100, 21)], {"quarantined": {"patient-vitals"}, "quarantined_site": {"DEMO/S2"}}),
        ([("S1", 300, 0), ("S2", 100, 21)], {"quarantined_site": {"DEMO/S2"}}),
        ([("S1", 49, 49)], {}),
    ],
)
def test_what_was_set_aside_by_topic_and_by_site(lake: Lake, sites: Any, expected: Any) -> None:
    batch(lake, 0, 10)
    report(lake, *sites)
    assert found() == expected


def test_refused_messages_and_silence(lake: Lake) -> None:
    batch(lake, 0, 80, dead=20, age_hours=7)
    assert found() == {"refused": {"patient-vitals"}, "stale_vitals": {"patient-vitals"}}


def test_silence_means_nothing_where_no_trial_is_live(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patients, "live_trial_ids", list)
    batch(lake, 0, 10, age_hours=1000)
    assert found() == {}


def test_a_gap_and_an_altered_object(lake: Lake) -> None:
    batch(lake, 0, 10)
    batch(lake, 10, 10)
    batch(lake, 20, 10)
    first = json.loads(lake.get("claims/patient-vitals/vitals-id/0/00000000000000000000.json"))["object"]
    lake.delete("claims/patient-vitals/vitals-id/0/00000000000000000010.json")
    assert found() == {"contiguous": {"patient-vitals"}}
    lake.put(first, lake.get(first) + b"{}\n")
    assert found() == {"contiguous": {"patient-vitals"}}, "compared before: not each time anew"
    assert found(deep=True) == {"contiguous": {"patient-vitals"}, "intact": {"patient-vitals"}}


def test_an_altered_object_is_found_again_until_it_is_mended(lake: Lake) -> None:
    batch(lake, 0, 10)
    path = next(info.path for info in lake.list("raw/"))
    whole = lake.get(path)
    lake.put(path, whole[:-5])
    assert set(found()) == set(found()) == {"intact"}
    lake.put(path, whole)
    assert found() == {}


def test_the_command_warns_and_the_page_shows_it(lake: Lake) -> None:
    batch(lake, 0, 10, age_hours=8)
    heard = StringIO()
    call_command("quality", "--here", stdout=heard)
    assert "WARNING  Hours without vital signs: patient-vitals, the newest message is 8.0 h old." in heard.getvalue()
    with pytest.raises(CommandError, match="1 limits are exceeded"):
        call_command("quality", "--here", "--strict", stdout=heard)
    run = JobRun.objects.filter(job="quality").latest("created_at")
    assert (run.state, run.outcome["warnings"]) == ("succeeded", 1)
    trial = people.trial("DEMO")
    client = Client()
    client.force_login(people.person("ml", "ml_engineer", at=trial))
    for address in (reverse("portal:runs", args=["DEMO"]), reverse("portal:run", args=["DEMO", run.pk])):
        page = client.get(address).content.decode()
        assert "1 warning" in page
        assert "Hours without vital signs" in page
