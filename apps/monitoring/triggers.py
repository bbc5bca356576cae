"""When something must be done: the triggers as a table, and the one function that judges them.

A trigger compares one measure with its threshold. Where the measure cannot be had it is *not judged*, which is never
taken for quiet. ``retrain`` names the reason under which a firing trigger asks for the whole pipeline.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Severity = Literal["critical", "warning", "objective"]
Reason = Literal["", "performance", "drift", "manual"]
State = Literal["firing", "quiet", "not judged"]
_COMPARE: dict[str, Callable[[float, float], bool]] = {"<": operator.lt, ">": operator.gt}


@dataclass(frozen=True, slots=True)
class Trigger:
    """One row. ``running``: in how many checks one after the other the number must break the threshold; ``unit`` and
    ``scale`` are for showing it."""

    name: str
    title: str
    measure: str
    operator: Literal["<", ">"]
    threshold: float
    severity: Severity
    requirement: str
    retrain: Reason = ""
    running: int = 1
    unit: str = ""
    scale: float = 1.0

    def shown(self, value: float) -> str:
        """A number as a person reads it: ``0.74``, ``6.2 %``, ``310 ms``."""
        number = value * self.scale
        return f"{number:,.0f}{self.unit}" if abs(number) >= 100 else f"{number:.3g}{self.unit}"


# fmt: off
TRIGGERS: tuple[Trigger, ...] = (
    Trigger("auroc_critical", "AUROC of 7 days, critical", "auroc", "<", 0.75, "critical", "FR-8.4", retrain="performance"),
    Trigger("auroc_low", "AUROC of 7 days, low", "auroc", "<", 0.80, "warning", "FR-8.4"),
    Trigger("auroc_low_twice", "AUROC of 7 days, low in two checks running", "auroc", "<", 0.80, "critical", "FR-9.1",
            retrain="performance", running=2),
    Trigger("drift", "Features with KS above 0.2", "features_drifted", ">", 3, "warning", "FR-8.4"),
    Trigger("drift_many", "Features with KS above 0.2, many", "features_drifted", ">", 5, "critical", "FR-9.1", retrain="drift"),
    Trigger("errors", "Questions the API could not answer", "error_share", ">", 0.05, "critical", "FR-8.4", unit=" %", scale=100),
    Trigger("latency", "Slowest hundredth of answers", "latency_p99", ">", 0.300, "warning", "FR-8.4", unit=" ms", scale=1000),
    Trigger("latency_objective", "Slowest hundredth of answers, our objective", "latency_p99", ">", 0.200, "objective", "FR-8.4",
            unit=" ms", scale=1000),
    Trigger("invalid", "Records set aside as invalid", "invalid_share", ">", 0.10, "warning", "FR-8.4", unit=" %", scale=100),
    Trigger("lag", "Messages a consumer is behind", "lag", ">", 10_000, "warning", "FR-8.4"),
    Trigger("spark_failed", "Spark jobs that failed in 24 h", "spark_failed", ">", 0, "warning", "FR-8.4"),
)
# fmt: on
BY_NAME: dict[str, Trigger] = {row.name: row for row in TRIGGERS}


@dataclass(frozen=True, slots=True)
class Judged:
    """One trigger's verdict."""

    trigger: Trigger
    value: float | None
    state: State
    sentence: str


def judge(
    measures: Mapping[str, float | None],
    why: Mapping[str, str],
    earlier: Sequence[Mapping[str, float | None]] = (),
) -> list[Judged]:
    """Every trigger against the measures of this check. ``why`` says of a measure that is None why it is; ``earlier``
    are the measures of the checks before it, newest first, as far as they count for "running"."""
    return [_judge(trigger, measures, why, earlier) for trigger in TRIGGERS]


def _judge(
    trigger: Trigger,
    measures: Mapping[str, float | None],
    why: Mapping[str, str],
    earlier: Sequence[Mapping[str, float | None]],
) -> Judged:
    value = measures.get(trigger.measure)
    if value is None:
        return Judged(trigger, None, "not judged", f"Not judged: {why.get(trigger.measure, 'there is no number')}.")
    breaks = _COMPARE[trigger.operator]
    words = {"<": ("below", "not below"), ">": ("above", "not above")}[trigger.operator]
    limit = trigger.shown(trigger.threshold)
    if not breaks(value, trigger.threshold):
        return Judged(trigger, value, "quiet", f"{trigger.shown(value)} is {words[1]} {limit}.")
    sentence = f"{trigger.shown(value)} is {words[0]} {limit}"
    before: list[Any] = [one.get(trigger.measure) for one in earlier[: trigger.running - 1]]
    if len(before) < trigger.running - 1 or any(one is None for one in before):
        return Judged(
            trigger, value, "quiet", f"{sentence} for the first time; it fires if the next check finds the same."
        )
    if not all(breaks(one, trigger.threshold) for one in before):
        return Judged(trigger, value, "quiet", f"{sentence}, and was not in the check before.")
    again = f" in {trigger.running} checks running" if trigger.running > 1 else ""
    return Judged(trigger, value, "firing", f"{sentence}{again}.")


def retraining(judged: Sequence[Judged]) -> tuple[Reason, str]:
    """The reason for which the firing triggers ask for retraining, and their sentences; "" where none does.

    Performance comes first: a model that is wrong is trained anew whatever its inputs look like.
    """
    asking = [one for one in judged if one.state == "firing" and one.trigger.retrain]
    for reason in ("performance", "drift"):
        if chosen := [one for one in asking if one.trigger.retrain == reason]:
            return reason, " ".join(f"{one.trigger.title}: {one.sentence}" for one in chosen)
    return "", ""


def render() -> str:
    """The table as a page."""
    lines = [
        "# Triggers",
        "",
        "Printed from `apps/monitoring/triggers.py`; judged every six hours and whenever somebody asks. A number that cannot be",
        "had is *not judged*. *Retrain* asks for the whole pipeline once, under that reason; what it ends in is a candidate,",
        "which serves only over two signatures.",
        "",
        "| trigger | measure | fires when | severity | retrain | requirement |",
        "|---|---|---|---|---|---|",
    ]
    for row in TRIGGERS:
        when = f"{row.operator} {row.shown(row.threshold)}" + (
            f" in {row.running} checks running" if row.running > 1 else ""
        )
        lines.append(
            f"| {row.title} | `{row.measure}` | {when} | {row.severity} | {row.retrain or '–'} | {row.requirement} |"
        )
    return "\n".join(lines)
