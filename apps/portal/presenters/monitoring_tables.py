"""The tables of the monitoring page: triggers, drift, freshness, checks, comparisons, runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from apps.core import clock
from apps.monitoring.models import Check, ModelComparison, TriggerVerdict
from apps.monitoring.triggers import BY_NAME
from apps.pipelines.models import JobRun
from apps.portal.presenters import evaluation, feature_words, words
from apps.portal.presenters.panels import Cell, Column, Table
from apps.portal.presenters.runs import STATE_LOOKS, StateLook
from apps.portal.viewer import Viewer

STATES = {
    "firing": StateLook("bad", "cross", "Firing"),
    "quiet": StateLook("good", "tick", "Quiet"),
    "not judged": StateLook("quiet", "ring", "Not judged"),
}
SEVERITIES = {"critical": "critical", "warning": "warning", "objective": "our objective"}


@dataclass(frozen=True, slots=True)
class TriggerRow:
    title: str
    state: StateLook
    sentence: str
    severity: str
    limit: str
    retrains: str


@dataclass(frozen=True, slots=True)
class RunLine:
    id: str
    state: StateLook
    when: str
    why: str
    by: str
    outcome: str


def trigger(verdict: TriggerVerdict) -> TriggerRow:
    """One verdict, with the trigger's own limit."""
    row = BY_NAME.get(verdict.trigger)
    limit = f"{ {'<': 'below', '>': 'above'}[verdict.operator] } {row.shown(verdict.threshold) if row else verdict.threshold}"
    return TriggerRow(
        title=row.title if row else verdict.trigger,
        state=STATES[verdict.state],
        sentence=verdict.sentence,
        severity=SEVERITIES.get(verdict.severity, verdict.severity),
        limit=limit,
        retrains=f"retrains ({row.retrain})" if row and row.retrain else "",
    )


def visible(rows: Sequence[Mapping[str, Any]], viewer: Viewer) -> list[Mapping[str, Any]]:
    """Without what reveals the arm to who is blinded. Means over all patients reveal nobody."""
    return [row for row in rows if not feature_words.hidden(row["feature"], blinded=viewer.blinded, personal=True)]


def drift(rows: Sequence[Mapping[str, Any]], caption: str) -> Table:
    """Rows of the drift table."""
    columns = [
        Column("Feature"), Column("KS distance", True), Column("Effect, SD", True), Column("Mean in training", True),
        Column("Mean now", True), Column("Missing in training", True), Column("Missing now", True),
        Column("Outside training's range", True), Column("Values now", True), Column("Note"),
    ]  # fmt: skip
    return Table(caption, columns, [_drift_row(row) for row in rows])


def _drift_row(row: Mapping[str, Any]) -> list[Cell]:
    distance = words.MISSING if row["distance"] is None or not row["judged"] else f"{row['distance']:.2f}"
    effect = words.MISSING if row["effect"] is None else words.signed(row["effect"], 2)
    outside = words.MISSING if row["outside_range"] is None else f"{row['outside_range'] * 100:.1f} %"
    return [
        Cell(feature_words.say(row["feature"], None).title, out=row["drifted"]),
        Cell(distance, True, row["drifted"]),
        Cell(effect, True),
        Cell(words.number(row["mean_training"]), True),
        Cell(words.number(row["mean_recent"]), True),
        Cell(f"{row['missing_training'] * 100:.1f} %", True),
        Cell(f"{row['missing_recent'] * 100:.1f} %", True),
        Cell(outside, True),
        Cell(f"{row['values_recent']:,}", True),
        Cell("shifted" if row["drifted"] else row["reason"]),
    ]


def drift_words(check: Check | None, rows: Sequence[Mapping[str, Any]]) -> str:
    """What the drift table is of, and what shifted."""
    if check is None or not check.drift_window:
        return ""
    of = check.drift_window
    shifted = [feature_words.say(row["feature"], None).title for row in rows if row["drifted"]]
    named = f" Shifted: {', '.join(shifted[:4])}{' and others' if len(shifted) > 4 else ''}." if shifted else ""
    span = "24 hours" if of["days"] == 1 else f"{of['days']} days"
    return (
        f"{of['rows']:,} vectors of {words.plural(of['patients'], 'patient')} from the last {span} against "
        f"{of['training_rows']:,} rows of training. The distance says how far two distributions lie apart, 0 to 1; the effect by "
        f"how many standard deviations the mean moved.{named}"
    )


def freshness(rows: Sequence[Mapping[str, Any]]) -> Table:
    """How far each consumer is."""
    now = clock.now()
    table = []
    for row in rows:
        last = datetime.fromisoformat(row["last_record_at"]) if row["last_record_at"] else None
        table.append(
            [
                Cell(row["topic"]),
                Cell(row["group"]),
                Cell(f"{words.age((now - last).total_seconds())} ago" if last else words.MISSING, True),
                Cell(words.MISSING if row["lag"] is None else f"{row['lag']:,}", True),
                Cell(row["alarm"]),
            ]
        )
    columns = [
        Column("Topic"),
        Column("Consumer"),
        Column("Last record", True),
        Column("Waiting", True),
        Column("Alarm"),
    ]
    return Table("How fresh the data are", columns, table, empty="No consumer has said how far it is.")


def checks(checks: Sequence[Check], viewer: Viewer) -> Table:
    """The last checks and what fired."""
    rows = []
    for one in checks:
        firing = [BY_NAME[v.trigger].title for v in one.verdicts.all() if v.state == "firing" and v.trigger in BY_NAME]
        auroc = one.measures.get("auroc")
        drifted = one.measures.get("features_drifted")
        rows.append(
            [
                Cell(words.when(one.at, viewer.zone)),
                Cell(str(one.model_version.version) if one.model_version else words.MISSING, True),
                Cell(evaluation.three(auroc), True),
                Cell(words.MISSING if drifted is None else f"{drifted:.0f}", True),
                Cell(", ".join(firing) or "nothing"),
            ]
        )
    columns = [
        Column(f"When ({words.zone_words(viewer.now, viewer.zone)})"), Column("Model", True), Column("AUROC", True),
        Column("Shifted features", True), Column("Fired"),
    ]  # fmt: skip
    return Table("The last checks", columns, rows, empty="Not checked yet.")


def comparisons(rows: Sequence[ModelComparison], viewer: Viewer) -> Table:
    """Candidates against what served."""
    columns = [
        Column(f"When ({words.zone_words(viewer.now, viewer.zone)})"), Column("Candidate", True), Column("Serving", True),
        Column("Outcome"), Column("On the same held-out patients"),
    ]  # fmt: skip
    table = [
        [
            Cell(words.when(one.at, viewer.zone)),
            Cell(str(one.candidate.version), True),
            Cell(str(one.serving.version), True),
            Cell(one.outcome),
            Cell(one.sentence.replace(" -", f" {words.MINUS}")),
        ]
        for one in rows
    ]
    return Table("Candidates against what served", columns, table, empty="No candidate was compared yet.")


def run(run: JobRun, viewer: Viewer) -> RunLine:
    """One training in a line."""
    tone, icon, word = STATE_LOOKS[run.state]
    reason = run.arguments.get("reason", "schedule")
    why = {"manual": "by hand", "drift": "drift", "performance": "performance", "schedule": "schedule"}.get(
        reason, reason
    )
    return RunLine(
        id=str(run.pk),
        state=StateLook(tone, icon, word),
        when=words.when(run.created_at, viewer.zone),
        why=f"{why}: {run.arguments['why']}" if run.arguments.get("why") else why,
        by=run.by,
        outcome=str(run.outcome.get("version", "")) or run.error,
    )
