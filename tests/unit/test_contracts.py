"""The wire contracts: what is accepted, what is refused and with which reason; units against molar mass."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest

from ml.contracts import (
    ANALYTES,
    EVENTS,
    SIGNS,
    TOPICS,
    UNITS,
    Accepted,
    Refused,
    analyte_of,
    is_backfill,
    unit_rule,
    validate,
)
from ml.contracts.events import MAX_MESSAGE_BYTES
from ml.contracts.signals import SIGNAL_CODES, SIGNAL_NAMES

GOOD: dict[str, dict[str, Any]] = {
    "patient-vitals": {"patient_id": "P-1", "timestamp": "2026-01-01T00:00:00Z", "heart_rate": 80, "source": "monitor"},
    "lab-results": {
        "patient_id": "P-1",
        "timestamp": "2026-01-01T08:00:00Z",
        "test_name": "ALT",
        "value": 31,
        "unit": "U/L",
        "reference_range": "7-56",
        "lab_id": "L1",
    },
    "medications": {
        "patient_id": "P-1",
        "timestamp": "2026-01-01T08:00:00.250Z",
        "drug_name": "Aspirin",
        "dosage": 100,
        "unit": "mg",
        "route": "oral",
        "frequency": "QD",
    },
    "adverse-events": {
        "patient_id": "P-1",
        "event_timestamp": "2026-01-01T08:00:00+00:00",
        "event_type": "headache",
        "severity": "grade_2",
        "reported_by": "coordinator",
        "report_timestamp": "2026-01-02T08:00:00Z",
    },
    "patient-context": {"patient_id": "P-1", "timestamp": "2026-01-01T08:00:00Z", "kind": "enrolment"},
}


def judge(topic: str, **changes: Any) -> Accepted | Refused:
    message = {name: value for name, value in (GOOD[topic] | changes).items() if value is not ...}
    return validate(topic, json.dumps(message).encode())


def rules(verdict: Accepted | Refused) -> set[tuple[str, str]]:
    assert isinstance(verdict, Refused)
    return {(reason.rule, reason.path) for reason in verdict.reasons}


@pytest.mark.parametrize("topic", TOPICS)
def test_the_payload_of_the_requirements_is_accepted(topic: str) -> None:
    assert isinstance(judge(topic), Accepted)


@pytest.mark.parametrize("topic", TOPICS)
def test_every_required_column_is_missed(topic: str) -> None:
    for column in EVENTS[topic].columns:
        if column.required:
            verdict = judge(topic, **{column.name: ...})
            assert isinstance(verdict, Refused), column.name
            assert any(column.name in reason.message for reason in verdict.reasons), column.name


def test_a_column_nobody_knows_does_no_harm() -> None:
    assert isinstance(judge("patient-vitals", ward="7b"), Accepted)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"timestamp": "2026-02-30T00:00:00Z"}, ("not_a_date", "timestamp")),
        ({"timestamp": "2026-01-01 00:00:00"}, ("schema_pattern", "timestamp")),
        ({"timestamp": "2026-01-01T00:00:00+02:00"}, ("schema_pattern", "timestamp")),
        ({"timestamp": 1767225600}, ("schema_type", "timestamp")),
        ({"heart_rate": "80"}, ("schema_type", "heart_rate")),
        ({"heart_rate": 10**30}, ("schema_maximum", "heart_rate")),
        ({"heart_rate": None}, ("schema_anyOf", "")),
        ({"heart_rate": ...}, ("schema_anyOf", "")),
        ({"patient_id": ""}, ("schema_pattern", "patient_id")),
        ({"patient_id": "a\x00b"}, ("schema_pattern", "patient_id")),
        ({"patient_id": "a/b"}, ("schema_pattern", "patient_id")),
        ({"trial_id": "a/b"}, ("schema_pattern", "trial_id")),
        ({"patient_id": "x" * 65}, ("schema_maxLength", "patient_id")),
        ({"consciousness": "X"}, ("schema_enum", "consciousness")),
        ({"retracted": "yes"}, ("schema_type", "retracted")),
    ],
)
def test_what_breaks_a_vitals_message(changes: dict[str, Any], expected: tuple[str, str]) -> None:
    assert expected in rules(judge("patient-vitals", **changes))


@pytest.mark.parametrize(
    ("raw", "rule"),
    [
        (None, "empty"),
        (b"", "not_json"),
        (b"{", "not_json"),
        (b"\xff\xfe{}", "not_utf8"),
        (b'{"heart_rate": NaN}', "not_json"),
        (b'{"heart_rate": 1e999}', "not_json"),
        (b"[" * 5000, "not_json"),
        (b"[]", "schema_type"),
        (b" " * (MAX_MESSAGE_BYTES + 1), "too_large"),
    ],
)
def test_bytes_that_are_no_message(raw: bytes | None, rule: str) -> None:
    verdict = validate("patient-vitals", raw)
    assert isinstance(verdict, Refused)
    assert {reason.rule for reason in verdict.reasons} == {rule}


def test_an_unknown_version_is_refused() -> None:
    verdict = validate("patient-vitals", orjson.dumps(GOOD["patient-vitals"]), version="9")
    assert rules(verdict) == {("unknown_version", "")}


def test_a_retraction_needs_no_sign() -> None:
    assert isinstance(judge("patient-vitals", heart_rate=..., retracted=True), Accepted)


def test_all_reasons_are_named_at_once() -> None:
    assert len(rules(validate("lab-results", b"{}"))) == 1
    verdict = validate("lab-results", b"{}")
    assert isinstance(verdict, Refused)
    assert len(verdict.reasons) == len([c for c in EVENTS["lab-results"].columns if c.required])


def test_backfill_is_a_matter_of_the_table() -> None:
    assert is_backfill("sdtm-import")
    assert not is_backfill("simulator-live")
    assert not is_backfill("stranger")
    assert not is_backfill(None)


def test_signal_codes_are_one_to_one() -> None:
    assert len(SIGNAL_NAMES) == len(SIGNAL_CODES)


def test_every_spelling_means_one_analyte() -> None:
    for analyte in ANALYTES:
        for spelling in (analyte.name, analyte.loinc, *analyte.synonyms):
            found = analyte_of(f" {spelling.lower()} ")
            assert found is analyte, spelling


#: analyte, from, to its canonical unit: published factors (AJKD and JAMA tables), each to within 0.5 %.
PUBLISHED = [
    ("creatinine", "umol/L", 1 / 88.4),
    ("bilirubin", "umol/L", 1 / 17.1),
    ("glucose", "mmol/L", 1 / 0.0555),
    ("urea_nitrogen", "mmol/L", 1 / 0.357),
    ("calcium", "mmol/L", 1 / 0.2495),
    ("calcium", "mEq/L", 0.5 / 0.2495),
    ("magnesium", "mmol/L", 1 / 0.4114),
    ("phosphate", "mmol/L", 1 / 0.3229),
    ("urate", "umol/L", 1 / 59.48),
    ("lactate", "mg/dL", 0.111),
    ("cholesterol", "mmol/L", 1 / 0.02586),
    ("triglycerides", "mmol/L", 1 / 0.01129),
    ("hemoglobin", "g/L", 0.1),
    ("hemoglobin", "mmol/L", 1 / 0.6206),
    ("albumin", "g/L", 0.1),
    ("crp", "mg/dL", 10),
    ("alt", "ukat/L", 60),
    ("sodium", "mEq/L", 1),
    ("platelets", "K/uL", 1),
    ("neutrophils", "/uL", 0.001),
    ("crp", "ug/mL", 1),
    ("alt", "nkat/L", 0.06),
    ("wbc", "10^3/mm3", 1),
    ("rbc", "MILL/uL", 1),
    ("hematocrit", "fraction of 1", 100),
    ("tsh", "uIU/mL", 1),
]


@pytest.mark.parametrize(("name", "unit", "factor"), PUBLISHED)
def test_factors_agree_with_published_ones(name: str, unit: str, factor: float) -> None:
    analyte = analyte_of(name)
    assert analyte is not None
    rule = unit_rule(analyte, unit)
    assert rule is not None
    assert rule.factor == pytest.approx(factor, rel=0.005)


def test_the_unit_table_is_closed() -> None:
    alt = analyte_of("ALT")
    assert alt is not None
    assert unit_rule(alt, "mg/dL") is None
    assert unit_rule(alt, "furlong") is None
    assert unit_rule(alt, None) is None
    assert len({(rule.analyte, rule.unit) for rule in UNITS}) == len(UNITS)


def test_limits_enclose_one_another() -> None:
    for row in (*SIGNS, *ANALYTES):
        assert row.impossible_below <= row.implausible_below < row.implausible_above <= row.impossible_above, row.name
        if row.reference_low is not None and row.reference_high is not None:
            assert row.implausible_below <= row.reference_low < row.reference_high <= row.implausible_above, row.name
