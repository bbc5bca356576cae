"""Answers about now, for the API: from the patients' online windows."""

from __future__ import annotations

from collections.abc import Sequence

from apps.core.errors import Unavailable
from apps.ingestion.window import window_store
from apps.predictions import services
from apps.predictions.answering import Question, answer
from apps.predictions.gather import Gatherer, Request
from apps.predictions.models import Prediction
from apps.predictions.serving import current


def answer_group(requests: Sequence[Request]) -> list[Prediction]:
    """One read of the windows, one scoring call and one insert for each trial among the requests."""
    found: dict[int, Prediction] = {}
    for trial in sorted({request.trial for request in requests}):
        members = [index for index, request in enumerate(requests) if request.trial == trial]
        serving = current(trial)
        if serving is None:
            raise Unavailable(
                f"No model serves trial {trial} yet.",
                cure="A model approver signs for a version in the admin; then ask again.",
                code="no_model",
                extra={"retry_after": 60},
            )
        names = sorted({requests[index].patient for index in members})
        facts, watermarks = window_store().load_many(names)
        questions = [
            Question(
                requests[index].patient,
                requests[index].as_of,
                watermarks.get(requests[index].patient, {}),
                requests[index].correlation_id,
            )
            for index in members
        ]
        actors = [requests[index].actor for index in members]
        rows = services.store(by=actors, answers=answer(questions, facts, serving), serving=serving, source="api")
        found.update(zip(members, rows, strict=True))
    return [found[index] for index in range(len(requests))]


gatherer = Gatherer(answer_group)
