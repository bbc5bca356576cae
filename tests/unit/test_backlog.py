"""What bronze holds, read here and in a process beside: the same rows, between the same offsets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pytest

from ml import backlog
from ml.backlog import Portion, Request, portions, read
from ml.lake import Lake, LakeError
from ml.lake.bronze import Line, good_line, write_batch
from ml.lake.claims import Chain, genesis
from ml.lake.epochs import open_epoch
from ml.profile import StudyProfile

VITALS, LABS = "patient-vitals", "lab-results"
NOW = "2026-03-01T10:00:00Z"
MESSAGES = 60


def message(topic: str, number: int) -> dict[str, Any]:
    shared = {
        "patient_id": f"P{number % 3}",
        "trial_site_id": "S1",
        "timestamp": f"2026-03-01T09:{number % 60:02d}:00Z",
    }
    if topic == VITALS:
        return shared | {"source": "monitor", "heart_rate": 60 + number}
    return shared | {"test_name": "ALT", "value": 20 + number, "unit": "U/L", "lab_id": "L"}


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """Two topics, two partitions each, sixty messages a partition in claims of seven."""
    made = Lake.from_url(tmp_path)
    for topic in (VITALS, LABS):
        open_epoch(made, topic, f"id-{topic}", opened=NOW, partitions=2)
        for partition in (0, 1):
            chain = Chain(topic, f"id-{topic}", partition)
            genesis(made, chain, 0)
            for start in range(0, MESSAGES, 7):
                lines: list[Line] = [
                    good_line(
                        chain, number, 1_772_359_200_000 + number, b"DEMO/P", [("producer", b"device")],
                        orjson.dumps(message(topic, number)), f"DEMO/P{number % 3}",
                    )
                    for number in range(start, min(MESSAGES, start + 7))
                ]  # fmt: skip
                write_batch(made, chain, start, lines, writer="test", created=NOW)
    return made


def request(lake: Lake, since: dict[tuple[str, str, int], int], until: int = MESSAGES) -> Request:
    places = [(topic, f"id-{topic}", partition) for topic in (VITALS, LABS) for partition in (0, 1)]
    profiles = {"DEMO": StudyProfile(trial_id="DEMO", study_treatments=("drug",))}
    return Request(lake, (LABS, VITALS), since, dict.fromkeys(places, until), profiles, "DEMO")


def together(found: list[Portion]) -> dict[str, pa.Table]:
    topics = list(dict.fromkeys(portion.topic for portion in found))
    return {topic: pa.concat_tables([p.rows for p in found if p.topic == topic]) for topic in topics}


def offsets(table: pa.Table, partition: int) -> list[int]:
    rows = zip(table["partition"].to_pylist(), table["offset"].to_pylist(), strict=True)
    return sorted(offset for number, offset in rows if number == partition)


def test_a_process_beside_gives_the_same_rows(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = request(lake, {})
    assert asked.messages == 4 * MESSAGES
    here = list(read(asked))
    monkeypatch.setattr(backlog, "BESIDE_ABOVE", 1)
    beside = list(portions(asked))
    assert list(together(beside)) == [LABS, VITALS], "in the order asked for"
    assert together(beside) == together(here)
    assert sum(portion.messages for portion in beside) == 4 * MESSAGES


def test_only_what_lies_between_the_offsets_is_read(lake: Lake) -> None:
    since = {(VITALS, f"id-{VITALS}", 0): 10, (VITALS, f"id-{VITALS}", 1): MESSAGES, (LABS, f"id-{LABS}", 0): 14}
    found = together(list(read(request(lake, since))))
    assert offsets(found[VITALS], 0) == list(range(10, MESSAGES)), "10 lies within a claim"
    assert offsets(found[VITALS], 1) == []
    assert offsets(found[LABS], 0) == list(range(14, MESSAGES)), "14 begins a claim"
    assert offsets(found[LABS], 1) == list(range(MESSAGES))
    assert list(read(request(lake, {}, until=0))) == []


def test_whoever_stops_listening_leaves_no_process(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    import psutil

    monkeypatch.setattr(backlog, "BESIDE_ABOVE", 1)
    stream = portions(request(lake, {}))
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    assert not [child for child in psutil.Process().children() if "ml.backlog" in " ".join(child.cmdline())]


def test_what_is_wrong_with_bronze_is_said_here(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backlog, "BESIDE_ABOVE", 1)
    victim = next(info.path for info in lake.list("raw/") if VITALS in info.path)
    lake.put(victim, lake.get(victim).replace(b"heart_rate", b"heart_rote"))
    with pytest.raises(LakeError, match="is not what was claimed"):
        list(portions(request(lake, {})))


def test_a_request_survives_the_pipe(lake: Lake) -> None:
    asked = request(lake, {(VITALS, "x", 3): 7})
    assert Request.from_bytes(asked.to_bytes()) == asked
