"""From facts to answers: the one way that the API, the live loop, the batch and a replay all go.

events → facts (ml.cleaning) → 120 features (ml.features) → masked → probability and contributions (ml.scoring).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apps.predictions.serving import Serving
from ml.facts import Facts
from ml.features import FEATURES, canonical, compute, mask, vector_bytes, vector_sha256
from ml.scoring import TopFactors, score, top_factors

TOP_FACTORS = 9
"""Factors stored with a prediction; a page shows these and the sum of the others."""
OTHERS = "other_features"
UNITS = {feature.name: feature.unit for feature in FEATURES}


@dataclass(frozen=True, slots=True)
class Question:
    """About whom, as of when (seconds since 1970 UTC), and what of their events had been applied."""

    patient: str
    as_of: int
    watermark: dict[str, list[Any]]
    correlation_id: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What is stored, shown and replayed. `features` and `contributions` are canonical little-endian bytes."""

    question: Question
    probability: float | None
    logit: float | None
    level: str
    reasons: tuple[str, ...]
    features: bytes
    features_sha256: str
    contributions: bytes
    top_factors: list[dict[str, Any]] = field(default_factory=list)


def answer(questions: Sequence[Question], facts: Facts, serving: Serving) -> list[Answer]:
    """Answer questions about patients whose facts are given. A patient without facts is answered INDETERMINATE."""
    if not questions:
        return []
    names = sorted({*facts.patients, *(question.patient for question in questions)})
    facts = Facts.concat([facts, Facts.empty(names)])
    position = {name: index for index, name in enumerate(facts.patients)}
    who = np.array([position[question.patient] for question in questions], np.int32)
    when = np.array([question.as_of for question in questions], np.int64)
    matrix = compute(facts, who, when, serving.profile)
    return answer_vectors(questions, canonical(mask(matrix, serving.profile)), serving)


def answer_vectors(questions: Sequence[Question], vectors: NDArray[np.float32], serving: Serving) -> list[Answer]:
    """Answer from masked float32 vectors [n, 120], in the order of the questions."""
    scores = score(serving.bundle, vectors, serving.profile)
    factors = top_factors(scores, TOP_FACTORS)
    return [
        Answer(
            question=question,
            probability=scores.probability_of(row),
            logit=None if np.isnan(scores.logit[row]) else float(scores.logit[row]),
            level=scores.level[row],
            reasons=tuple(f"{reason.sentence}\n{reason.remedy}" for reason in scores.reasons[row]),
            features=vector_bytes(vectors[row]),
            features_sha256=vector_sha256(vectors[row]),
            contributions=scores.contribution_bytes(row) or b"",
            top_factors=_shown(factors, row),
        )
        for row, question in enumerate(questions)
    ]


def _shown(factors: TopFactors, row: int) -> list[dict[str, Any]]:
    """The strongest factors with their units, then the sum of all others, so that they add up to the difference."""
    named = factors.row(row)
    if not named:
        return []
    shown = [factor | {"unit": UNITS[factor["feature"]]} for factor in named]
    return [*shown, {"feature": OTHERS, "count": factors.rest_count, "contribution": float(factors.rest[row])}]
