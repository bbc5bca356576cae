"""The gates of a study, applied to a version's evaluation. The rules are ``ml.evaluation.gates``; here they are kept as
rows, and a study without a single blocking gate lets nothing through."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ml.evaluation.gates import gates
from ml.profile import StudyProfile


def judge(profile: StudyProfile, evaluation: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One row a gate: {name, measure, sentence, operator, threshold, value, low, high, outcome, reason, blocking,
    holds_back}; ``reason`` names the figure."""
    return [verdict.to_json() for verdict in gates(profile, evaluation)]


def passed(rows: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the version may serve openly."""
    return any(row["blocking"] for row in rows) and not any(row["holds_back"] for row in rows)


def failures(rows: Sequence[Mapping[str, Any]]) -> str:
    """The gates that hold the version back, with their figures, as one sentence without its full stop."""
    held = [f"{row['sentence']}: {row['reason'].rstrip('.')}" for row in rows if row["holds_back"]]
    return "; ".join(held) or "its study has no gate"
