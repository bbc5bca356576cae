"""The monitoring page in words: is the model still right, are the data still as in training, does everything arrive."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from apps.core import clock
from apps.monitoring.models import Check, ModelComparison, PerformanceReport, TriggerVerdict
from apps.monitoring.performance import FEWEST_EVENTS, WINDOW_DAYS
from apps.monitoring.triggers import BY_NAME, TRIGGERS
from apps.pipelines.models import JobRun
from apps.portal.presenters import evaluation, words
from apps.portal.presenters import monitoring_tables as tables
from apps.portal.presenters.panels import Cell, Column, PanelRow, Table, epoch
from apps.portal.presenters.runs import StateLook
from apps.portal.viewer import Viewer
from apps.registry.models import ModelVersion
from ml.drift.table import KS_LIMIT

QUIET_SECONDS = 900
"""A topic of vital signs from which nothing came for so long is called quiet."""
TOP_FEATURES = 12
LIMITS = tuple(sorted({row.threshold for row in TRIGGERS if row.measure == "auroc"}))


@dataclass(frozen=True, slots=True)
class Answer:
    """One question of the status line with its answer."""

    question: str
    state: StateLook
    answer: str
    more: str


@dataclass(frozen=True, slots=True)
class MonitoringPage:
    """Everything the page shows."""

    headline: str
    lead: str
    answers: list[Answer]
    due: str
    figures: Table | None
    about: str
    trend: PanelRow | None
    trend_table: Table | None
    calibration: PanelRow | None
    calibration_words: str
    calibration_table: Table | None
    distribution: PanelRow | None
    distribution_table: Table | None
    triggers: list[tables.TriggerRow]
    drift: Table | None
    drift_all: Table | None
    drift_words: str
    freshness: Table
    checks: Table
    comparisons: Table
    runs: list[tables.RunLine]
    checked: str


def page(
    viewer: Viewer,
    *,
    version: ModelVersion | None,
    check: Check | None,
    checks: Sequence[Check],
    reports: Sequence[PerformanceReport],
    freshness: Sequence[Mapping[str, Any]],
    comparisons: Sequence[ModelComparison],
    runs: Sequence[JobRun],
    due: datetime | None,
) -> MonitoringPage:
    """The page of one trial. ``reports`` are the last of each day of the serving version, oldest first."""
    verdicts = list(check.verdicts.all()) if check is not None else []
    newest = reports[-1] if reports else None
    body: Mapping[str, Any] = newest.evaluation if newest is not None else {}
    calibration, calibration_table = evaluation.calibration(body)
    distribution, distribution_table = _distribution(body)
    trend, trend_table = _trend(reports)
    rows = tables.visible(check.drift if check is not None else [], viewer)
    right = _right(version, newest, verdicts)
    same = _same(check, verdicts)
    arriving = _arriving(freshness, viewer)
    firing = [verdict for verdict in verdicts if verdict.state == "firing"]
    return MonitoringPage(
        headline=_headline(version, check, firing),
        lead=_lead(version, check),
        answers=[right, same, arriving],
        due=_due(newest, due, viewer),
        figures=_figures(body, newest),
        about=_about(newest),
        trend=trend,
        trend_table=trend_table,
        calibration=calibration,
        calibration_words=_slope(body),
        calibration_table=calibration_table,
        distribution=distribution,
        distribution_table=distribution_table,
        triggers=[tables.trigger(verdict) for verdict in verdicts],
        drift=tables.drift(rows[:TOP_FEATURES], "Features, the most shifted first") if rows else None,
        drift_all=tables.drift(rows, "All continuous features the model reads") if len(rows) > TOP_FEATURES else None,
        drift_words=tables.drift_words(check, rows),
        freshness=tables.freshness(freshness),
        checks=tables.checks(checks, viewer),
        comparisons=tables.comparisons(comparisons, viewer),
        runs=[tables.run(run, viewer) for run in runs],
        checked=f"{words.when(check.at, viewer.zone, year=True)} {words.zone_words(check.at, viewer.zone)}"
        if check
        else "",
    )


# ------------------------------------------------------------------ the head
def _headline(version: ModelVersion | None, check: Check | None, firing: Sequence[TriggerVerdict]) -> str:
    if version is None:
        return "No model serves this trial"
    if check is None:
        return "Not checked yet"
    if not firing:
        return "Nothing asks for attention"
    critical = sum(verdict.severity == "critical" for verdict in firing)
    count = f"{words.plural(len(firing), 'trigger')} fire{'s' if len(firing) == 1 else ''}"
    return f"{count}, {critical} critical" if critical else count


def _lead(version: ModelVersion | None, check: Check | None) -> str:
    if version is None:
        return "Monitoring begins when a model version has been signed for."
    silent = ", silent, for research only" if version.state == "silent" else ""
    every = "Looked at every six hours" if check is not None else "The first look follows within six hours"
    return f"{version.name} {version.version} serves{silent}. {every}, and when somebody asks."


def _right(
    version: ModelVersion | None,
    newest: PerformanceReport | None,
    verdicts: Sequence[TriggerVerdict],
) -> Answer:
    question = "Is the model still right?"
    if version is None:
        return Answer(question, tables.STATES["not judged"], "No model serves", "")
    if newest is None or not newest.evaluation:
        reason = (newest.reason if newest is not None else "no report yet") or "no report yet"
        return Answer(question, tables.STATES["not judged"], "Not known yet", f"{reason[0].upper()}{reason[1:]}.")
    figure = newest.evaluation["figures"]["auroc"]
    firing = [one for one in verdicts if one.state == "firing" and BY_NAME[one.trigger].measure == "auroc"]
    state = StateLook("bad", "cross", "Below its limit") if firing else StateLook("good", "tick", "Yes, so far")
    return Answer(
        question,
        state,
        f"AUROC {evaluation.three(figure['value'])} ({evaluation.interval(figure)})",
        f"{words.plural(newest.events, 'event')} in {newest.rows:,} patient-days whose labels have matured.",
    )


def _same(check: Check | None, verdicts: Sequence[TriggerVerdict]) -> Answer:
    question = "Are the data as in training?"
    number = check.measures.get("features_drifted") if check is not None else None
    if check is None or number is None:
        said = next((one.sentence for one in verdicts if one.trigger == "drift"), "")
        return Answer(question, tables.STATES["not judged"], "Not judged", said.removeprefix("Not judged: "))
    firing = any(one.state == "firing" and one.trigger.startswith("drift") for one in verdicts)
    judged = sum(bool(row["counted"]) for row in check.drift)
    state = StateLook("bad", "cross", "Shifted") if firing else StateLook("good", "tick", "Yes")
    return Answer(
        question,
        state,
        f"{number:.0f} of {judged} features shifted",
        f"Shifted = KS distance above {KS_LIMIT:g}; 4 warn, 6 retrain.",
    )


def _arriving(freshness: Sequence[Mapping[str, Any]], viewer: Viewer) -> Answer:
    question = "Is data arriving?"
    if not viewer.live:
        return Answer(question, StateLook("quiet", "ring", "Finished trial"), "Nothing new is expected", "")
    times = [datetime.fromisoformat(row["last_record_at"]) for row in freshness if row["last_record_at"]]
    if not times:
        return Answer(question, tables.STATES["not judged"], "No consumer has said how far it is", "")
    old = (clock.now() - max(times)).total_seconds()
    behind = max((row["lag"] or 0 for row in freshness), default=0)
    quiet = old > QUIET_SECONDS
    state = StateLook("bad", "cross", "No") if quiet else StateLook("good", "tick", "Yes")
    return Answer(
        question, state, f"Last record {words.age(old)} ago", f"At most {behind:,} messages of a topic wait to be read."
    )


def _due(newest: PerformanceReport | None, due: datetime | None, viewer: Viewer) -> str:
    if newest is not None and newest.evaluation and not newest.retrospective:
        return ""
    ripens = f"{viewer.profile.horizon_hours} h of horizon and {words.plural(viewer.profile.label_maturity_days, 'day')} of maturity"
    if due is None:
        return f"A prediction can be judged after {ripens}; this version has made none since its training."
    when = f"{words.when(due, viewer.zone, year=True)} {words.zone_words(due, viewer.zone)}"
    if due > clock.now():
        return f"The first prediction made since training can be judged on {when}, after {ripens}."
    return f"Predictions made since training are judged since {when}; a figure needs {FEWEST_EVENTS} patient-days with an event."


# ------------------------------------------------------------------ figures and charts
def _figures(body: Mapping[str, Any], newest: PerformanceReport | None) -> Table | None:
    if newest is None or not body:
        return None
    table = [
        [
            Cell(title),
            Cell(evaluation.three(body["figures"][name]["value"]), True),
            Cell(evaluation.interval(body["figures"][name]), True),
        ]
        for name, title in evaluation.FIGURES
        if name in body["figures"]
    ]
    data = "Simulated data. " if newest.simulated else ""
    columns = [Column("Measure"), Column("Value", True), Column("95 % interval", True)]
    return Table("Figures on the last seven days of labels", columns, table, f"{data}{body['interval']}.")


def _about(newest: PerformanceReport | None) -> str:
    """What the figures are of: which days, which rows, and what was left out."""
    if newest is None:
        return ""
    days = f"{words.day(newest.first_day)} to {words.day(newest.last_day, year=True)}"
    left = "; ".join(f"{count:,} {reason}" for reason, count in sorted(newest.left_out.items()))
    asked = newest.rows + newest.indeterminate
    share = f" {newest.indeterminate / asked * 100:.1f} % of {asked:,} were indeterminate." if asked else ""
    spared = (
        " They lie before this version served, of patients whose days did not train it." if newest.retrospective else ""
    )
    out = f" Left out: {left}." if left else ""
    return f"Patient-days of {days} (UTC), one prediction each at a moment drawn by hash.{spared}{share}{out}"


def _trend(reports: Sequence[PerformanceReport]) -> tuple[PanelRow | None, Table | None]:
    """AUROC of each day with its interval; days without a figure stand in the table."""
    rows = [
        [
            Cell(words.day(one.as_of.astimezone(UTC), year=True)),
            Cell(evaluation.three((_auroc(one) or {}).get("value")), True),
            Cell(evaluation.interval(_auroc(one)), True),
            Cell(f"{one.events:,}", True),
            Cell(f"{one.rows:,}", True),
            Cell(_note(one)),
        ]
        for one in reversed(reports)
    ]
    columns = [
        Column("As of (UTC)"), Column("AUROC", True), Column("95 % interval", True), Column("Events", True),
        Column("Patient-days", True), Column("Note"),
    ]  # fmt: skip
    table = (
        Table("AUROC of the last seven days of labels, day by day", columns, rows, empty="No report yet.")
        if reports
        else None
    )
    known = [(one, figure) for one in reports if (figure := _auroc(one)) is not None and figure["value"] is not None]
    if not known:
        return None, table
    x = [epoch(one.as_of) for one, _ in known]
    lows = [figure["low"] if figure["low"] is not None else figure["value"] for _, figure in known]
    bottom = max(0.0, min(0.7, min(lows) - 0.02))
    day = 86_400
    ends = [x[0] - day // 2, max(x[-1], x[0] + 6 * day) + day // 2]
    step = max(1, round((ends[1] - ends[0]) / day / 7)) * day
    first = -(-ends[0] // day) * day
    data = {
        "x": x,
        "y": [figure["value"] for _, figure in known],
        "reach": [
            [at, figure["low"], figure["high"]]
            for at, (_, figure) in zip(x, known, strict=True)
            if figure["low"] is not None
        ],
        "x_range": ends,
        "y_range": [bottom, 1.0],
        "y_ticks": [tick / 10 for tick in range(int(bottom * 10), 11) if tick / 10 >= bottom],
        "x_ticks": [
            {"t": at, "label": words.day(datetime.fromtimestamp(at, UTC))} for at in range(first, ends[1], step)
        ],
        "lines": [{"y": limit, "label": f"{limit:.2f}"} for limit in LIMITS],
    }
    last, figure = known[-1]
    limits = " and ".join(f"{limit:.2f}" for limit in LIMITS)
    sentence = (
        f"As of {words.day(last.as_of.astimezone(UTC))} AUROC is {evaluation.three(figure['value'])} "
        f"({evaluation.interval(figure)}) on {words.plural(last.events, 'event')}; the limits are {limits}."
    )
    return PanelRow("trend", data, sentence), table


def _note(one: PerformanceReport) -> str:
    return one.reason or ("before the version served; patients it was not trained on" if one.retrospective else "")


def _auroc(one: PerformanceReport) -> Mapping[str, Any] | None:
    figures: Mapping[str, Any] = one.evaluation.get("figures", {}) if one.evaluation else {}
    return figures.get("auroc")


def _slope(body: Mapping[str, Any]) -> str:
    figures = body.get("figures") or {}
    if not figures:
        return ""
    slope, intercept, ece = (figures[name] for name in ("calibration_slope", "calibration_intercept", "ece"))
    return (
        f"Slope {evaluation.three(slope['value'])} ({evaluation.interval(slope)}), 1 is perfect; "
        f"intercept {evaluation.three(intercept['value'])}, 0 is perfect; calibration error {evaluation.three(ece['value'])}."
    )


def _distribution(body: Mapping[str, Any]) -> tuple[PanelRow | None, Table | None]:
    """Probabilities in twenty equal steps, each outcome's share of its own days: few events would vanish otherwise."""
    found = body.get("distribution")
    if not found:
        return None, None
    edges, with_event, without = found["edges"], found["with_event"], found["without_event"]
    total_with, total_without = max(1, sum(with_event)), max(1, sum(without))
    shares = [
        [round(100 * n / total, 2) for n in counts]
        for counts, total in ((with_event, total_with), (without, total_without))
    ]
    top = max(1.0, *shares[0], *shares[1]) * 1.08
    step = next(nice for nice in (1, 2, 5, 10, 20, 25) if top / nice <= 6)
    data = {
        "edges": [round(edge * 100) for edge in edges],
        "with_event": shares[0],
        "without_event": shares[1],
        "x_range": [0, 100],
        "y_range": [0, top],
        "x_ticks": [0, 20, 40, 60, 80, 100],
        "y_ticks": list(range(0, int(top) + 1, step)),
    }
    above = sum(n for edge, n in zip(edges, with_event, strict=False) if edge >= 0.5)
    sentence = (
        f"Of {words.plural(sum(with_event), 'day')} before an event {above:,} had a probability of 50 % or more; "
        f"of {sum(without):,} without one {sum(n for edge, n in zip(edges, without, strict=False) if edge >= 0.5):,}."
    )
    rows = [
        [Cell(f"{low * 100:.0f} to {high * 100:.0f} %"), Cell(f"{a:,}", True), Cell(f"{b:,}", True)]
        for low, high, a, b in zip(edges, edges[1:], with_event, without, strict=False)
    ]
    columns = [Column("Probability"), Column("Days before an event", True), Column("Other days", True)]
    return PanelRow("columns", data, sentence), Table("Probabilities by outcome", columns, rows)


def window_words() -> str:
    """What the figures are of, for the page's heading."""
    return f"on the labels that matured in the last {WINDOW_DAYS} days"
