"""History in files of messages: sent through the producer as backfill, judged by bronze like any other message."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
from django.core.management import CommandError, call_command

from apps.core.errors import Invalid
from apps.ingestion import archive_files
from apps.ingestion.bronze_consumer import BronzeConsumer
from apps.ingestion.topics import ensure_topics
from ml.contracts import is_backfill
from ml.lake import Lake
from ml.lake.bronze import read_claimed, read_dead
from ml.stages import messages

VITALS = {"patient_id": "P1", "timestamp": "2026-03-01T08:00:00Z", "heart_rate": 70, "source": "old"}
CONTEXT = {"patient_id": "P1", "kind": "enrolment", "timestamp": "2026-03-01T00:00:00Z"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "history"
    framed = orjson.dumps(VITALS | {"trial_id": "OTHER", "heart_rate": 71})
    messages.write(
        made,
        [(1_772_400_000, "patient-vitals", "OTHER/P1", framed), (1_772_400_001, "patient-vitals", "OTHER/P1", b"\xff")],
    )
    plain = [orjson.dumps(VITALS | {"recorded_at": "2026-03-01T09:00:00Z"}), b'{"patient_id": "P1"', b""]
    with (made / "patient-vitals.ndjson").open("ab") as file:
        file.write(b"\n".join(plain) + b"\n")
    (made / "patient-context.ndjson").write_bytes(orjson.dumps(CONTEXT) + b"\n")
    return made


def test_every_line_is_in_bronze_or_among_the_dead_letters(
    folder: Path, fresh_broker: list[str], settings: Any, tmp_path: Path
) -> None:
    settings.KAFKA_BOOTSTRAP_SERVERS = fresh_broker
    ensure_topics(fresh_broker)
    sent = archive_files.send(folder, trial="DEMO")
    assert sent.topics == {"patient-context": 1, "patient-vitals": 4}
    assert sent.undated == 1, "the broken line bears no time that can be read"
    lake = Lake.from_url(tmp_path / "lake")
    BronzeConsumer(lake=lake, servers=fresh_broker, group_id="g", default_trial="DEMO").run(lambda: False, drain=True)
    found = [batch for topic in sent.topics for batch in read_claimed(lake, topic)]
    lines = [line for batch in found for line in batch.lines() if line["topic"] == "patient-vitals"]
    assert {(line["key"], line["timestamp"], line["headers"]["producer"]) for line in lines} == {
        ("OTHER/P1", 1_772_400_000_000, "history-import"),
        ("DEMO/P1", 1_772_355_600_000, "history-import"),
    }
    assert is_backfill("history-import")
    dead = [letter["raw"] for batch in found for letter in read_dead(lake, batch.claim)]
    assert sorted(dead) == sorted([b"\xff", b'{"patient_id": "P1"'])


def test_what_is_no_archive_is_said(tmp_path: Path, pg: None) -> None:
    with pytest.raises(Invalid, match="no files of messages"):
        archive_files.files_of(tmp_path)
    (tmp_path / "weather.ndjson").touch()
    with pytest.raises(Invalid, match=r"weather\.ndjson is named for none"):
        archive_files.files_of(tmp_path)
    table = tmp_path / "vitals.csv"
    table.touch()
    with pytest.raises(CommandError, match="file is empty"):
        call_command("ingest", str(table))
    (tmp_path / "empty").mkdir()
    with pytest.raises(CommandError, match="no trial NOPE"):
        call_command("ingest", str(tmp_path / "empty"), "--trial", "NOPE")
