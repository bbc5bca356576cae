"""The gates of a study, applied to a version's metrics. A measure that is missing has not passed."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ml.profile import Gate, StudyProfile

_COMPARE: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
}


def judge(profile: StudyProfile, metrics: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One row a gate: {name, measure, sentence, operator, threshold, blocking, value, passed, verdict}.

    ``value`` is null where the metrics lack the measure or it is no finite number; ``verdict`` names the figure.
    """
    return [_row(gate, metrics.get(gate.measure)) for gate in profile.gates]


def passed(rows: Sequence[Mapping[str, Any]]) -> bool:
    """Whether every blocking gate passed; a study without one blocking gate lets nothing through."""
    blocking = [row for row in rows if row["blocking"]]
    return bool(blocking) and all(row["passed"] for row in blocking)


def _row(gate: Gate, measured: Any) -> dict[str, Any]:
    value = measured if isinstance(measured, int | float) and not isinstance(measured, bool) else None
    if value is not None and not math.isfinite(value):
        value = None
    ok = value is not None and _COMPARE[gate.operator](value, gate.threshold)
    wanted = f"{gate.operator} {gate.threshold:g}"
    found = f"{value:.4g}" if value is not None else "no value"
    return {
        "name": gate.name,
        "measure": gate.measure,
        "sentence": gate.sentence,
        "operator": gate.operator,
        "threshold": gate.threshold,
        "blocking": gate.blocking,
        "value": value,
        "passed": ok,
        "verdict": f"{gate.sentence}: {found}, wanted {wanted}: {'passed' if ok else 'failed'}.",
    }
