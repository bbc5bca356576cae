"""The pilot's traps: its own way to silver loses nothing but under a rule."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from ml.cleaning import Cleaned, clean, dedupe, to_facts
from ml.cleaning.batch import BronzeLine
from ml.contracts import TOPICS
from ml.contracts.signals import SIGNAL_CODES
from ml.facts import Facts
from ml.profile import StudyProfile
from ml.sdtm import read_package


@pytest.fixture(scope="module")
def pilot(pilot_dir: Path) -> dict[str, Cleaned]:
    package = read_package(pilot_dir)
    lines: dict[str, list[BronzeLine]] = {topic: [] for topic in TOPICS}
    for offset, one in enumerate(package.events):
        lines[one.topic].append(
            {
                "topic": one.topic,
                "topic_id": "pilot",
                "partition": 0,
                "offset": offset,
                "timestamp": 1_790_000_000_000,
                "headers": {"producer": "sdtm-import"},
                "value": one.value,
            }
        )
    profile = StudyProfile(package.trial_id, study_treatments=package.study_treatments)
    profiles = {package.trial_id: profile}
    return {topic: clean(topic, lines[topic], epochs={"pilot": 0}, profiles=profiles) for topic in TOPICS}


def test_nothing_is_set_aside(pilot: dict[str, Cleaned]):
    assert {topic: cleaned.quarantine.num_rows for topic, cleaned in pilot.items()} == dict.fromkeys(TOPICS, 0)


def test_records_that_share_every_natural_key_stay_apart(pilot: dict[str, Cleaned]):
    for topic in ("patient-vitals", "lab-results", "medications", "adverse-events"):
        rows = pilot[topic].rows
        assert rows["record_id"].null_count == 0
        pairs = rows.select(["patient_id", "record_id"]).group_by(["patient_id", "record_id"]).aggregate([])
        keys = rows.select(["patient_id", "key"]).group_by(["patient_id", "key"]).aggregate([])
        assert keys.num_rows == pairs.num_rows, topic
        assert dedupe(topic, rows).duplicates.num_rows == 0, topic


def test_three_pressures_of_one_date_are_three_records(pilot: dict[str, Cleaned]):
    rows = pilot["patient-vitals"].rows
    pressures = rows.filter(pc.is_valid(rows["blood_pressure_systolic"]))
    count = Counter(zip(pressures["patient_id"].to_pylist(), pressures["event_time"].to_pylist(), strict=True))
    assert Counter(count.values()).most_common(1)[0][0] == 3


def test_there_is_no_spo2(pilot: dict[str, Cleaned]):
    assert pilot["patient-vitals"].rows["spo2"].null_count == pilot["patient-vitals"].rows.num_rows


def test_results_without_a_number_are_kept(pilot: dict[str, Cleaned]):
    rows = pilot["lab-results"].rows
    silent = rows.filter(pc.is_null(rows["value_reported"]))
    assert silent.num_rows == 880
    assert silent["value_text"].null_count == 0
    assert "no_result" not in flags(rows)


def test_a_ratio_has_the_unit_one(pilot: dict[str, Cleaned]):
    rows = pilot["lab-results"].rows
    mapped = rows.filter(pc.and_(pc.is_valid(rows["analyte"]), pc.is_valid(rows["value_reported"])))
    assert mapped["unit"].null_count == 0
    assert flags(rows)["unmapped_analyte"] > 0


def flags(rows: pa.Table) -> Counter[str]:
    return Counter(name for names in rows["flags"].to_pylist() for name in names)


def test_every_dose_is_a_study_dose(pilot: dict[str, Cleaned]):
    rows = pilot["medications"].rows
    doses = rows.filter(rows["study_dose"])
    assert set(doses["drug_name"].to_pylist()) == {"PLACEBO", "XANOMELINE"}
    assert len(set(doses["record_id"].to_pylist())) == 591


def test_an_event_is_known_when_it_was_recorded(pilot: dict[str, Cleaned]):
    made = Facts.concat([to_facts("adverse-events", pilot["adverse-events"].rows)])
    assert (made.signal == SIGNAL_CODES["adverse_event"]).all()
    late = made.known_time - made.event_time
    assert (late >= 0).all()
    assert sorted(late.tolist())[len(late) // 2] > 7 * 86_400
