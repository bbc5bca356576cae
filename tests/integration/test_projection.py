"""Silver rows become the record the portal shows, whatever order and however often they come."""

from __future__ import annotations

import itertools
import time
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest
from django.db import models

from apps.patients.columns import MODELS, fields
from apps.patients.models import Patient, Site
from apps.patients.projection import project
from apps.patients.records import AdverseEvent, ContextRecord, LabResult, VitalSigns
from ml.contracts import EVENTS
from ml.contracts.tables import SILVER
from tests.support import people
from tests.support.silver import START, context, rows

pytestmark = pytest.mark.django_db


@pytest.fixture
def demo() -> None:
    people.trial("DEMO")
    project("patient-context", rows("patient-context", context("P1"), context("P2", offset=1)))


def at(seconds: int) -> datetime:
    return datetime.fromtimestamp(START + seconds, UTC)


def table_of(model: type[models.Model]) -> list[dict[str, Any]]:
    names = [field.attname for field in model._meta.concrete_fields if field.name not in {"id", "created_at"}]
    order = [name for name in ("trial_id", "topic_id", "partition", "offset", "key") if name in names]
    return list(model._default_manager.order_by(*order).values(*names))


def test_context_makes_sites_and_patients_and_sets_what_they_show() -> None:
    people.trial("DEMO")
    given = rows(
        "patient-context",
        context("P/1"),
        {"patient_id": "P/1", "kind": "demographics", "offset": 1, "age": 71.0, "sex": "F", "race": "WHITE"},
        {"patient_id": "P/1", "kind": "arm", "offset": 2, "arm_code": "Pbo", "arm_name": "Placebo", "treated": True},
        {"patient_id": "P/1", "kind": "disposition", "offset": 3, "status": "completed", "term": "DONE"},
    )
    assert project("patient-context", given).written == 4
    patient = Patient.objects.get()
    assert (patient.key, patient.site_id, patient.enrolled_at) == ("DEMO/P/1", "DEMO/S1", at(0))
    assert (patient.age, patient.sex, patient.race, patient.arm_code, patient.treated) == (
        71.0,
        "F",
        "WHITE",
        "Pbo",
        True,
    )
    assert (patient.status, patient.status_term, patient.status_at) == ("completed", "DONE", at(3))
    assert Site.objects.get().timezone == "UTC"


def test_a_corrected_or_retracted_context_changes_the_patient(demo: None) -> None:
    arm = {"kind": "arm", "record": "arm", "arm_code": "A", "offset": 10}
    project("patient-context", rows("patient-context", arm))
    project(
        "patient-context", rows("patient-context", {**arm, "arm_code": "B", "offset": 11, "known_time": START + 50})
    )
    assert Patient.objects.get(pk="DEMO/P1").arm_code == "B"
    project(
        "patient-context", rows("patient-context", {**arm, "retracted": True, "offset": 12, "known_time": START + 60})
    )
    assert Patient.objects.get(pk="DEMO/P1").arm_code == ""


def test_a_patient_moves_to_the_site_of_the_latest_enrolment(demo: None) -> None:
    moved = context("P1", offset=20, trial_site_id="S2", known_time=START + 99)
    project("patient-context", rows("patient-context", moved))
    assert Patient.objects.get(pk="DEMO/P1").site_id == "DEMO/S2"


def test_unknown_trials_and_patients_are_handed_back(demo: None) -> None:
    given = rows(
        "patient-vitals",
        {"heart_rate": 70.0},
        {"heart_rate": 71.0, "patient_id": "P9"},
        {"heart_rate": 72.0, "trial_id": "OTHER"},
    )
    done = project("patient-vitals", given)
    assert done.written == 1
    assert done.unknown["offset"].to_pylist() == [1, 2]
    assert project("patient-context", rows("patient-context", context("P1", trial_id="A/B"))).unknown.num_rows == 1


def test_the_same_rows_again_change_nothing(demo: None) -> None:
    given = rows("lab-results", {"test_name": "ALT", "value": 31.0, "flags": ["implausible_alt"]}, {"test_name": "AST"})
    assert project("lab-results", given).written == 2
    before = table_of(LabResult)
    assert project("lab-results", given).written == 0
    assert project("lab-results", pa.concat_tables([given, given])).written == 0
    assert table_of(LabResult) == before


def test_a_changed_cleaning_rule_changes_the_row_in_place(demo: None) -> None:
    project("lab-results", rows("lab-results", {"test_name": "ALT", "value": 31.0}))
    assert (
        project("lab-results", rows("lab-results", {"test_name": "ALT", "value": 31.0, "flags": ["odd"]})).written == 1
    )
    assert LabResult.objects.get().flags == ["odd"]


def test_which_version_holds_does_not_depend_on_the_order_of_arrival(demo: None) -> None:
    versions = [
        {"record": "ae", "event_type": "RASH", "grade": 1, "known_time": START + 10, "offset": 1},
        {"record": "ae", "event_type": "RASH", "grade": 2, "known_time": START + 20, "offset": 0, "epoch": 1},
        {"record": "ae", "event_type": "RASH", "grade": 3, "known_time": START + 20, "offset": 5, "epoch": 0},
    ]
    for order in itertools.permutations(versions):
        AdverseEvent.objects.all().delete()
        for version in order:
            project("adverse-events", rows("adverse-events", version))
        assert list(AdverseEvent.objects.filter(superseded=False).values_list("grade", flat=True)) == [2]


def test_vital_signs_add_up_sign_by_sign(demo: None) -> None:
    first = {"record": "v", "heart_rate": 70.0, "temperature": 36.65, "offset": 1, "known_time": START + 1}
    second = {"record": "v", "heart_rate": 75.0, "offset": 2, "known_time": START + 2}
    project("patient-vitals", rows("patient-vitals", second))
    project("patient-vitals", rows("patient-vitals", first))
    held = VitalSigns.objects.order_by("offset")
    assert [row.superseded for row in held] == [False, False]  # the first still gives the temperature
    project(
        "patient-vitals",
        rows("patient-vitals", {"record": "v", "temperature": 37.0, "offset": 3, "known_time": START + 3}),
    )
    assert [row.superseded for row in VitalSigns.objects.order_by("offset")] == [True, False, False]
    project(
        "patient-vitals",
        rows("patient-vitals", {"record": "v", "retracted": True, "offset": 4, "known_time": START + 4}),
    )
    assert [row.superseded for row in VitalSigns.objects.order_by("offset")] == [True, True, True, False]


def test_odd_text_arrives_as_it_was_sent(demo: None) -> None:
    text = 'a "quoted", {braced} back\\slash\nnew line µ \\N'
    given = rows(
        "adverse-events",
        {"event_type": text, "term": None, "source_rows": [text, "AE:1"], "flags": []},
        {"event_type": "nul\x00", "source_rows": None},
    )
    project("adverse-events", given)
    first, second = AdverseEvent.objects.order_by("offset")
    assert (first.event_type, first.term, first.source_rows, first.flags) == (text, "", [text, "AE:1"], [])
    assert (second.event_type, second.source_rows) == ("nul␀", [])


def test_consciousness_is_its_letter(demo: None) -> None:
    project("patient-vitals", rows("patient-vitals", {"consciousness": 2.0}, {"heart_rate": 60.0}))
    assert list(VitalSigns.objects.order_by("offset").values_list("consciousness", flat=True)) == ["V", ""]


@pytest.mark.parametrize("topic", list(MODELS))
def test_every_field_of_a_record_has_its_silver_column_and_room_for_it(topic: str) -> None:
    model = MODELS[topic]
    contract = {column.name: column for column in EVENTS[topic].columns}
    for field in fields(model):
        assert (field.name if field.name != "record_key" else "key") in SILVER[topic].names
        if (column := contract.get(field.name)) is not None and isinstance(field, models.CharField):
            assert field.max_length is not None
            assert field.max_length >= (column.max_length if not column.choices else max(map(len, column.choices)))


def test_fifteen_thousand_rows_a_second(demo: None) -> None:
    count = 20_000
    given = rows("patient-vitals", {"heart_rate": 70.5, "temperature": 36.6, "spo2": 97.0, "source": "bedside"})
    table = pa.table(
        {
            name: (
                pa.array(range(count), SILVER["patient-vitals"].field(name).type)
                if name in {"offset", "key"}
                else pa.repeat(given[name][0], count)
            )
            for name in given.schema.names
        },
        schema=given.schema,
    )
    began = time.perf_counter()
    assert project("patient-vitals", table).written == count
    rate = count / (time.perf_counter() - began)
    print(f"{rate:,.0f} rows/s")
    # Measured alone on two cores: above 15,000. Under a full test run on a shared machine, half of it must remain.
    assert rate > 7_500
    assert ContextRecord.objects.count() == 2
