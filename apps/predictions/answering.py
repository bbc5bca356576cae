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
from ml.scoring import score

TOP_FACTORS = 9
"""Factors stored with a prediction; a page shows these and the sum of the others."""


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
    contributions = np.ascontiguousarray(scores.contributions, dtype="<f8")
    return [
        Answer(
            question=question,
            probability=None if np.isnan(scores.probability[row]) else float(scores.probability[row]),
            logit=None if np.isnan(scores.logit[row]) else float(scores.logit[row]),
            level=scores.level[row],
            reasons=tuple(scores.reasons[row]),
            features=vector_bytes(vectors[row]),
            features_sha256=vector_sha256(vectors[row]),
            contributions=contributions[row].tobytes(),
            top_factors=top_factors(vectors[row], contributions[row]) if scores.level[row] != "INDETERMINATE" else [],
        )
        for row, question in enumerate(questions)
    ]


def top_factors(vector: NDArray[np.float32], contributions: NDArray[np.float64], most: int = TOP_FACTORS) -> list[dict[str, Any]]:
    """The largest contributions in probability, then the sum of all others, so that they add up to the difference.

    Ties keep the order of the feature table. Factors that contribute nothing are left out.
    """
    order = sorted(range(len(FEATURES)), key=lambda i: (-abs(contributions[i]), i))
    named = [i for i in order[:most] if contributions[i] != 0.0]
    factors = [
        {
            "feature": FEATURES[i].name,
            "contribution": float(contributions[i]),
            "value": None if np.isnan(vector[i]) else float(vector[i]),
            "unit": FEATURES[i].unit,
        }
        for i in named
    ]
    rest = [i for i in range(len(FEATURES)) if i not in set(named)]
    factors.append({"feature": "other_features", "count": len(rest), "contribution": float(sum(contributions[i] for i in rest))})
    return factors
