"""From silver rows to facts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ml.cleaning import clean, split_known, to_facts
from ml.cleaning.drawing import PROFILE, TOPIC_ID, Message, bronze, context, event, lab, medicine, vitals
from ml.clinical.drugs import normalise_drug
from ml.contracts.signals import DOSE_MISSED, DOSE_TAKEN, SIGN_CODES, SIGNAL_CODES, SIGNAL_NAMES
from ml.contracts.tables import SILVER
from ml.facts import ABSENT, Facts, name_code, record_key
from ml.features import compute


def facts(*messages: Message) -> Facts:
    topic = messages[0].topic
    cleaned = clean(
        topic,
        bronze(messages),
        epochs={TOPIC_ID: 4},
        profiles={PROFILE.trial_id: PROFILE},
        default_trial=PROFILE.trial_id,
    )
    return to_facts(topic, cleaned.rows)


def rows(made: Facts, *names: str) -> list[tuple[Any, ...]]:
    signals = [SIGNAL_NAMES[code] for code in made.signal.tolist()]
    return sorted(zip(signals, *(getattr(made, name).tolist() for name in names), strict=True))


def test_signs():
    made = facts(vitals("08:00", heart_rate=70.5, consciousness="V", record_id="VS-1"), vitals("09:00", spo2=97))
    assert rows(made, "value", "extra") == [("consciousness", 2, 1), ("heart_rate", 705, 1), ("spo2", 970, ABSENT)]
    assert set(made.epoch.tolist()) == {4}
    assert made.patients == ("EXAMPLE/P1",)


def test_a_retraction_is_one_of_every_sign():
    made = facts(vitals("08:00", record_id="VS-1", retracted=True))
    assert sorted(made.signal.tolist()) == sorted(SIGN_CODES)
    assert made.retracted.all()
    assert set(made.value.tolist()) == {ABSENT}
    assert set(made.extra.tolist()) == {1}  # a window must keep it as long as what it retracts


def test_the_key_is_the_contract_s():
    made = facts(vitals("08:00", heart_rate=70), vitals("08:00", heart_rate=70, record_id="VS-1"))
    nanoseconds = str(int(np.datetime64("2026-03-01T08:00:00", "ns").astype(np.int64)))
    assert set(made.key.tolist()) == {
        record_key("patient-vitals", nanoseconds, "monitor"),
        record_key("patient-vitals", "record_id", "VS-1"),
    }


def test_two_spellings_of_one_moment_are_one_record():
    first = vitals("08:00", heart_rate=70)
    other = Message(first.topic, {**first.value, "timestamp": "2026-03-01T08:00:00.000+00:00"})
    assert len(set(facts(first, other).key.tolist())) == 1


def test_a_result_and_its_range():
    made = facts(lab("08:00", "CREAT", 88.4, "umol/L", "62-115"))
    assert rows(made, "value", "low", "high") == [("creatinine", 1000, 701, 1301)]


def test_a_result_without_a_number_ends_the_one_before():
    made = facts(lab("08:00", "ALT", 30, "U/L", record_id="LB-1"), lab("08:00", "ALT", None, None, record_id="LB-1"))
    assert rows(made, "retracted", "value") == [("alt", False, 300), ("alt", True, ABSENT)]


def test_a_test_outside_the_table_makes_no_fact():
    assert len(facts(lab("08:00", "ANISOCYTOSIS", 2, None))) == 0


def test_medicines_and_doses():
    made = facts(
        medicine("08:00", "Verumab", 54),
        medicine("20:00", "verumab", 54, outcome="missed"),
        medicine("21:00", "Tylenol", None),
    )
    verumab = name_code(normalise_drug("Verumab"))
    assert rows(made, "value", "code", "extra") == [
        ("medication", ABSENT, name_code("acetaminophen"), ABSENT),
        ("study_dose", 54_000, verumab, DOSE_TAKEN),
        ("study_dose", 54_000, verumab, DOSE_MISSED),
    ]  # fmt: skip


def test_an_adverse_event():
    made = facts(event("08:00", "Nausea", 3, serious=True, end_timestamp="11:00:00.2"))
    end = int(np.datetime64("2026-03-01T11:00:01", "s").astype(np.int64))
    assert rows(made, "value", "code", "extra", "end_time") == [("adverse_event", 3, name_code("nausea"), 1, end)]


def test_context():
    made = facts(
        context("08:00", "enrolment"),
        context("08:00", "demographics", age=63.5, sex="M"),
        context("08:00", "arm", arm_code="ACT", treated=False),
        context("08:00", "history", term="Asthma"),
        context("08:00", "disposition", status="died", term="Death"),
    )
    assert rows(made, "value", "code", "extra") == [
        ("age", 635, ABSENT, ABSENT),
        ("arm", 1, name_code("ACT"), 0),
        ("disposition", 2, ABSENT, ABSENT),
        ("enrolment", 1, ABSENT, ABSENT),
        ("history", 1, name_code("asthma"), ABSENT),
        ("sex", 1, ABSENT, ABSENT),
    ]


def test_an_end_counts_only_once_it_came():
    """Moving an end that lies ahead changes no feature of before; a retraction since is not undone by it."""
    enrolled = facts(context("07:00", "enrolment"))
    at = np.array([np.datetime64(f"2026-03-01T{hour:02d}:30:00", "s").astype(np.int64) for hour in (8, 9, 12, 21)])
    patient = np.zeros(4, np.int32)

    def features(*messages: Message) -> np.ndarray[Any, Any]:
        return compute(Facts.concat([enrolled, facts(*messages)]), patient, at, PROFILE)

    none = features(medicine("08:00", "aspirin", record_id="CM-1"))
    planned = features(medicine("08:00", "aspirin", record_id="CM-1", end_timestamp="10:00"))
    assert np.array_equal(none[:2], planned[:2], equal_nan=True)
    assert not np.array_equal(none[2], planned[2], equal_nan=True)
    gone = medicine("08:00", "aspirin", record_id="CM-1", retracted=True, taken="09:00")
    ended = features(medicine("08:00", "aspirin", record_id="CM-1", end_timestamp="20:00"), gone)
    never = features(medicine("08:00", "aspirin", record_id="CM-1"), gone)
    assert np.array_equal(ended[3], never[3], equal_nan=True)


@pytest.mark.parametrize("topic", SILVER)
def test_nothing_in_nothing_out(topic: str):
    cleaned = clean(topic, [], epochs={}, profiles={})
    assert len(to_facts(topic, cleaned.rows)) == 0
    assert split_known(cleaned.rows, set()).known.num_rows == 0


def test_a_line_that_cannot_be_placed_is_refused():
    lines = bronze([vitals("08:00", heart_rate=70)])
    with pytest.raises(ValueError, match="no epoch"):
        clean("patient-vitals", lines, epochs={}, profiles={})
    with pytest.raises(ValueError, match="was given as one of"):
        clean("lab-results", lines, epochs={TOPIC_ID: 0}, profiles={})


def test_known_signals():
    assert SIGNAL_CODES["heart_rate"] == 1
