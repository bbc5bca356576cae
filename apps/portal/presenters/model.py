"""A model version for clinicians and approvers: what it is, how good, through which gates, signed by whom."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from apps.portal.presenters import evaluation as tables
from apps.portal.presenters import words
from apps.portal.presenters.evaluation import evaluation, interval, three
from apps.portal.presenters.panels import Cell, Column, PanelRow, Table
from apps.portal.presenters.runs import StateLook
from apps.portal.viewer import Viewer
from apps.registry.models import Approval, ModelTransition, ModelVersion
from apps.registry.states import SIGNATURES_NEEDED

STATE_LOOKS = {
    "candidate": StateLook("quiet", "ring", "Candidate"),
    "staging": StateLook("open", "half", "Staging"),
    "production": StateLook("good", "tick", "Production"),
    "silent": StateLook("open", "half", "Silent, research only"),
    "retired": StateLook("quiet", "ring", "Retired"),
    "rejected": StateLook("bad", "cross", "Rejected"),
}
LINE_AT = 35.0
"""Where the gates' shared line stands, in per cent of the plot."""


@dataclass(frozen=True, slots=True)
class GatePlot:
    dot: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class GateRow:
    name: str
    number: str
    interval: str
    plot: GatePlot | None
    threshold: str
    based_on: str
    verdict: str
    verdict_words: str
    icon: str


@dataclass(frozen=True, slots=True)
class Signature:
    given: bool
    title: str
    state: str
    name: str = ""
    meaning: str = ""
    when: str = ""
    hash: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    word: str
    note: str
    looks: str


@dataclass(frozen=True, slots=True)
class VersionRow:
    """One version in the list."""

    number: int
    title: str
    state: StateLook
    auroc: str
    events: str
    gates: str
    made: str


@dataclass(frozen=True, slots=True)
class ModelPage:
    headline: str
    lead: str
    steps: list[Step]
    facts: list[tuple[str, str, str]]
    gates: list[GateRow]
    gates_summary: str
    figures: Table | None
    comparisons: Table | None
    subgroups: Table | None
    confusion: str
    oracle: str
    calibration: PanelRow | None
    calibration_words: str
    calibration_table: Table | None
    signatures: list[Signature]
    history: Table
    research_only: bool
    simulated: bool


# ------------------------------------------------------------------ gates
def gate_row(gate: Mapping[str, Any]) -> GateRow:
    """One gate: its number against its line, right of it is good."""
    value, threshold = gate.get("value"), float(gate["threshold"])
    low, high = gate.get("low"), gate.get("high")
    better_above = gate["operator"] in (">=", ">")
    outcome = gate.get("outcome") or ("met" if gate.get("passed") else "not judged" if value is None else "not met")
    crosses = low is not None and high is not None and low < threshold < high
    verdict, text, icon = {
        "met": ("uncertain", "Met, uncertain", "half") if crosses else ("met", "Met", "tick"),
        "not met": ("failed", "Not met", "cross"),
        "not judged": ("not_judged", "Not judged", "ring"),
    }[outcome]
    shown = words.MISSING if value is None else three(value)
    if value is not None and abs(threshold) >= 10:  # milliseconds: a third of one is not none
        shown = words.number(value, 2)
    return GateRow(
        name=gate.get("sentence") or gate["name"],
        number=shown,
        interval=interval({"low": low, "high": high}),
        plot=_gate_plot(value, low, high, threshold, better_above) if value is not None else None,
        threshold=f"{ {'>=': '≥', '<=': '≤'}.get(gate['operator'], gate['operator']) } {threshold:g}",
        based_on="" if gate.get("blocking", True) else "informs only",
        verdict=verdict,
        verdict_words=text,
        icon=icon,
    )


def _gate_plot(value: float, low: float | None, high: float | None, threshold: float, better_above: bool) -> GatePlot:
    """Positions on one scale for all gates: the distance from the line in parts of what is left to the best value."""
    reach = max(abs(1 - threshold) if better_above else abs(threshold), 0.05)
    if not better_above and abs(threshold) >= 10:
        reach = abs(threshold)

    def place(number: float) -> float:
        distance = (number - threshold) / reach * (1 if better_above else -1)
        return round(min(98.0, max(2.0, LINE_AT + distance * (98 - LINE_AT) * 0.8)), 1)

    ends = sorted([place(low), place(high)]) if low is not None and high is not None else [None, None]
    return GatePlot(place(value), ends[0], ends[1])


def gates_summary(rows: list[GateRow]) -> str:
    """How many stand where."""
    counted = [
        (sum(row.verdict == "met" for row in rows), "met"),
        (sum(row.verdict == "uncertain" for row in rows), "met, but the interval crosses the line"),
        (sum(row.verdict == "failed" for row in rows), "not met"),
        (sum(row.verdict == "not_judged" for row in rows), "not judged"),
    ]
    return "; ".join(f"{count} {text}" for count, text in counted if count) or "No gate in this study's profile"


# ------------------------------------------------------------------ the page
def page(version: ModelVersion, viewer: Viewer, history: list[ModelTransition], approvals: list[Approval]) -> ModelPage:
    """Everything the model page shows of one version."""
    body = evaluation(version)
    rows = [gate_row(gate) for gate in version.gates]
    calibration, calibration_table = tables.calibration(body)
    slope = (body.get("figures") or {}).get("calibration_slope") or {}
    return ModelPage(
        headline=_headline(version, approvals),
        lead=_lead(version, body),
        steps=_steps(version, approvals, viewer),
        facts=_facts(version, viewer),
        gates=rows,
        gates_summary=gates_summary(rows),
        figures=tables.figures(body, version),
        comparisons=tables.comparisons(body),
        subgroups=tables.subgroups(body),
        confusion=tables.confusion(body),
        oracle=tables.oracle(body),
        calibration=calibration,
        calibration_words=f"Slope {three(slope.get('value'))} ({interval(slope)}); 1 is perfect." if slope else "",
        calibration_table=calibration_table,
        signatures=_signatures(version, approvals, viewer),
        history=_history(history, viewer),
        research_only=version.state == "silent",
        simulated=version.simulated,
    )


def _headline(version: ModelVersion, approvals: list[Approval]) -> str:
    name = f"Model {version.version}"
    if version.state in ("candidate", "staging"):
        given = len({approval.user_id for approval in approvals})
        if given < SIGNATURES_NEEDED:
            return f"{name} waits for {'the second signature' if given else 'two signatures'}"
    return {
        "production": f"{name} serves this trial",
        "silent": f"{name} runs silent, for research only",
        "retired": f"{name} is retired",
        "rejected": f"{name} was rejected",
    }.get(version.state, f"{name}: {version.get_state_display().lower()}")


def _lead(version: ModelVersion, body: Mapping[str, Any]) -> str:
    data = "simulated data" if version.simulated else "real patients' data"
    if not body.get("patients"):
        return f"Trained and tested on {data}."
    prevalence = body.get("prevalence") or 0.0
    return (
        f"Tested on {words.plural(body['patients'], 'patient')} it was not trained on ({data}): "
        f"{words.plural(body['rows'], 'patient-day')}, "
        f"{words.plural(body['events'], 'event')}, prevalence {prevalence * 100:.1f} %."
    )


def _gates_word(version: ModelVersion) -> str:
    """What became of the gates, without calling met what was not judged."""
    if not version.gates_passed:
        return "below its gates: silent only"
    unjudged = sum(gate.get("outcome") == "not judged" for gate in version.gates)
    return f"none failed, {unjudged} not judged" if unjudged else "all met"


def _steps(version: ModelVersion, approvals: list[Approval], viewer: Viewer) -> list[Step]:
    given = len({approval.user_id for approval in approvals})
    gates = _gates_word(version)
    serving = version.state in ("production", "silent", "retired")
    made = words.when(version.created_at, viewer.zone, year=True)
    end = {"silent": "Silent", "retired": "Retired", "rejected": "Rejected"}.get(version.state, "Production")
    last = "done" if serving or version.state == "rejected" else "ahead"
    return [
        Step("Candidate", made, "done"),
        Step("Gates", gates, "done"),
        Step("Signatures", f"{min(given, SIGNATURES_NEEDED)} of {SIGNATURES_NEEDED}", "done" if serving else "now"),
        Step(end, "serves now" if version.state in ("production", "silent") else "", last),
    ]


def _facts(version: ModelVersion, viewer: Viewer) -> list[tuple[str, str, str]]:
    return [
        ("Version", f"{version.name} {version.version}", ""),
        ("Predicts", f"a new adverse event within {viewer.profile.horizon_hours} h", ""),
        ("Trained", words.when(version.created_at, viewer.zone, year=True), f"registered by {version.registered_by}"),
        # a digest of data that hold the arms: it would differ between two trials that differ by nothing else
        ("Data version", "masked" if viewer.blinded else version.data_version[:12] or words.MISSING, ""),
        ("Code", version.git_commit[:10] or words.MISSING, ""),
        ("Run", version.run_id[:12] or words.MISSING, "MLflow"),
    ]


def _signatures(version: ModelVersion, approvals: list[Approval], viewer: Viewer) -> list[Signature]:
    shown = [
        Signature(
            True,
            "Signature" + (" (demo account)" if one.demo else ""),
            "for research only" if one.as_silent else "for production",
            one.printed_name,
            one.meaning,
            f"{words.when(one.signed_at, viewer.zone, year=True, seconds=True)} {words.zone_words(one.signed_at, viewer.zone)}",
            f"sha-256 {one.signed_hash[:12]}…{one.signed_hash[-6:]}",
        )
        for one in approvals
    ]
    if version.state in ("candidate", "staging"):
        people = len({one.user_id for one in approvals})
        for place in range(people, SIGNATURES_NEEDED):
            text = (
                "A model approver signs, with their password. Two different people; who trained the model cannot sign."
            )
            shown.append(Signature(False, "Second signature" if place else "First signature", "awaited", text=text))
    return shown


def _history(history: list[ModelTransition], viewer: Viewer) -> Table:
    return Table(
        "History of states",
        [
            Column(f"When ({words.zone_words(viewer.now, viewer.zone)})"),
            Column("From"),
            Column("To"),
            Column("By"),
            Column("Why"),
        ],
        [
            [
                Cell(words.when(one.at, viewer.zone, year=True)),
                Cell(one.from_state or words.MISSING),
                Cell(one.to_state),
                Cell(one.by),
                Cell(one.reason),
            ]
            for one in history
        ],
        empty="No move yet.",
    )


def version_row(version: ModelVersion, viewer: Viewer) -> VersionRow:
    """One line of the list of versions."""
    figure = (evaluation(version).get("figures") or {}).get("auroc") or {}
    value = figure.get("value", version.metrics.get("test_auroc") if isinstance(version.metrics, dict) else None)
    met = sum(bool(gate.get("passed") or gate.get("outcome") == "met") for gate in version.gates)
    return VersionRow(
        version.version,
        f"{version.name} {version.version}",
        STATE_LOOKS[version.state],
        f"{three(value)} ({interval(figure)})" if figure else three(value),
        f"{evaluation(version).get('events', 0):,}" if evaluation(version).get("events") else words.MISSING,
        f"{met} of {len(version.gates)} met",
        words.when(version.created_at, viewer.zone, year=True),
    )
