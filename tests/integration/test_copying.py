"""Rows that go in by COPY are the rows an INSERT makes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from apps.audit.models import AuditEvent
from apps.core.copying import COPY_FROM, insert_many
from apps.predictions import services
from apps.predictions.answering import Answer, Question
from apps.predictions.models import Prediction
from apps.predictions.serving import current, forget
from tests.support import people
from tests.support import serving as support
from tests.support.silver import context, rows

pytestmark = pytest.mark.usefixtures("pg")

ODD = 'tab\t line\nbreak\r back\\slash "quoted" {braces}, ½ \\N'


def event(number: int, **values: Any) -> AuditEvent:
    given: dict[str, Any] = {
        "at": datetime(2026, 1, 2, 3, 4, 5, number, tzinfo=UTC),
        "actor": ODD,
        "actor_type": "process",
        "action": "predictions.predicted",
        "object_type": "predictions.Prediction",
        "object_id": str(number),
        "before": None,
        "after": {"text": ODD, "list": [True, None, "1"], ODD: {}},
        "leaf_hash": bytes(range(number % 7, 32)),
    }
    return AuditEvent(**{**given, **values})


def kept(model: type[Any]) -> list[dict[str, Any]]:
    found = list(model.objects.order_by("pk").values())
    return [{name: bytes(v) if isinstance(v, memoryview) else v for name, v in row.items()} for row in found]


def test_copied_rows_equal_inserted_ones() -> None:
    events = [event(number) for number in range(COPY_FROM)]
    with transaction.atomic():
        insert_many(events)
    copied = kept(AuditEvent)
    AuditEvent.objects.bulk_create([event(number) for number in range(COPY_FROM)])
    inserted = kept(AuditEvent)[COPY_FROM:]
    for before, after in zip(copied, inserted, strict=True):
        assert {**after, "id": None} == {**before, "id": None}
    assert [row["id"] for row in copied] == [made.pk for made in events]
    assert not any(made._state.adding for made in events)


def test_many_predictions_are_stored_as_a_few_are(lake: str, settings: Any, valkey: Any) -> None:
    from apps.core.lake import lake as the_lake
    from apps.patients.projection import project

    settings.LAKE_URL = lake
    the_lake.cache_clear()
    trial = people.trial("DEMO")
    support.release(trial)
    forget()
    serving = current("DEMO")
    assert serving is not None
    project("patient-context", rows("patient-context", context("P1")))

    def answer(number: int) -> Answer:
        scored = number % 3
        return Answer(
            question=Question("DEMO/P1", 1_760_000_000 + number, {"lab-results": ["id", 0, number]}, f"c{number}"),
            probability=0.1 + number / 1000 if scored else None,
            logit=-1e-7 * number if scored else None,
            level="MODERATE" if scored else "INDETERMINATE",
            reasons=() if scored else ('No "pulse" is known.\nMeasure it, {now}.', "b\\c"),
            features=bytes([number % 256]) * 480,
            features_sha256="0" * 64,
            contributions=b"\\x\n\t" * 320 if scored else b"",
            top_factors=[{"feature": "x", "contribution": 1e-17 * number, "value": None}] if scored else [],
        )

    answers = [answer(number) for number in range(COPY_FROM + 10)]
    many = services.store(by=people.SYSTEM, answers=answers, serving=serving, source="batch")
    few = [services.store(by=people.SYSTEM, answers=[one], serving=serving, source="batch")[0] for one in answers]
    table = {row["id"]: {**row, "id": None, "created_at": None} for row in kept(Prediction)}
    assert [table[row.pk] for row in many] == [table[row.pk] for row in few]
    events = AuditEvent.objects.filter(action="predictions.predicted")
    assert set(events.values_list("object_id", flat=True)) == {str(row.pk) for row in [*many, *few]}

    broken = [answer(number) for number in range(COPY_FROM)]
    broken[7] = answer(8)
    object.__setattr__(broken[7], "level", "INDETERMINATE")  # with a probability: the table's own check refuses it
    with pytest.raises(IntegrityError), transaction.atomic():
        services.store(by=people.SYSTEM, answers=broken, serving=serving, source="batch")
    assert Prediction.objects.count() == len(table), "all or none"
    assert events.count() == len(table)
    the_lake.cache_clear()
    forget()
