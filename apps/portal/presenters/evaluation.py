"""The evaluation of a model version as tables and one chart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from apps.portal.presenters import words
from apps.portal.presenters.panels import Cell, Column, PanelRow, Table
from apps.registry.models import ModelVersion

FIGURES = (
    ("auroc", "AUROC"),
    ("auprc", "Average precision"),
    ("brier", "Brier score"),
    ("brier_scaled", "Brier, scaled by prevalence"),
    ("ece", "Calibration error"),
    ("calibration_slope", "Calibration slope"),
    ("calibration_intercept", "Calibration intercept"),
    ("precision", "Precision at 50 %"),
    ("recall", "Recall at 50 %"),
    ("specificity", "Specificity at 50 %"),
    ("f1", "F1 at 50 %"),
)
OTHER_MODELS = {
    "logistic": "Logistic regression",
    "lightgbm": "Gradient boosting",
    "news2": "NEWS2 alone",
    "day_arm_dose": "Study day, arm and dose alone",
}


def evaluation(version: ModelVersion) -> Mapping[str, Any]:
    """The evaluation's JSON, wherever the registration put it."""
    body = version.metrics
    found: Mapping[str, Any] = body.get("evaluation", body) if isinstance(body, dict) else {}
    return found


def three(value: float | None) -> str:
    """A figure with three decimals."""
    return words.MISSING if value is None else f"{value:.3f}".replace("-", words.MINUS)


def interval(figure: Mapping[str, Any] | None) -> str:
    """``0.831–0.860``."""
    if not figure or figure.get("low") is None or figure.get("high") is None:
        return words.MISSING
    low, high = three(figure["low"]), three(figure["high"])
    return f"{low} to {high}" if words.MINUS in low + high else f"{low}–{high}"


def figures(body: Mapping[str, Any], version: ModelVersion) -> Table | None:
    """Every figure with its interval, on test patients and, where it was done, out of fold on all of them; None where
    nothing was evaluated."""
    tested, crossed = body.get("figures") or {}, body.get("cross_validation") or {}
    sides = [tested, crossed["figures"]] if crossed.get("figures") else [tested]
    rows = [
        [Cell(title), *(cell for side in sides for cell in _figure(side.get(name) or {}))]
        for name, title in FIGURES
        if isinstance(tested.get(name), dict)
    ]
    if not rows:
        return None
    columns = [Column("Measure"), Column("Test patients", True), Column("95 % interval", True)]
    if len(sides) > 1:
        columns += [Column("Out of fold", True), Column("95 % interval", True)]
    data = "Simulated data." if version.simulated else "Real data."
    foot = f"{data} {body.get('interval', '95 % intervals over draws of patients')}. {_out_of_fold(body)}".strip()
    return Table("Evaluation on test patients" + (", and out of fold" if crossed else ""), columns, rows, foot)


def _figure(figure: Mapping[str, Any]) -> tuple[Cell, Cell]:
    return Cell(three(figure.get("value")), True), Cell(interval(figure), True)


def _out_of_fold(body: Mapping[str, Any]) -> str:
    """What the figures out of fold rest on, or why there are none."""
    if reason := body.get("cross_validation_not_done"):
        return f"Not tested out of fold: {reason}"
    crossed = body.get("cross_validation") or {}
    if not crossed:
        return ""
    return (
        f"Out of fold: all {crossed['rows']:,} patient-days of {crossed['patients']:,} patients, {crossed['events']:,} before"
        f" an event, each told by one of {crossed['folds']} models that saw nothing of its patient."
    )


def comparisons(body: Mapping[str, Any]) -> Table | None:
    """Other models on the same rows."""
    found = body.get("comparisons") or {}
    rows = [
        [
            Cell(OTHER_MODELS.get(name, name.replace("_", " ").capitalize())),
            Cell(three(one["auroc"].get("value")), True),
            Cell(
                words.signed(one["gain"]["value"], 3) if one["gain"].get("value") is not None else words.MISSING, True
            ),
            Cell(interval(one["gain"]), True),
        ]
        for name, one in found.items()
    ]
    columns = [
        Column("Other model, same rows"),
        Column("Its AUROC", True),
        Column("Our gain", True),
        Column("95 % interval", True),
    ]
    return Table("Against other models on the same rows", columns, rows) if rows else None


def subgroups(body: Mapping[str, Any]) -> Table | None:
    """AUROC by group; groups too small to be judged say so."""
    rows = []
    for grouping, groups in (body.get("subgroups") or {}).items():
        for one in groups:
            name = f"{grouping.replace('_', ' ').capitalize()}: {one['group']}"
            if one.get("suppressed"):
                rows.append(
                    [
                        Cell(name),
                        Cell(words.MISSING, True),
                        Cell(one.get("reason", "too few"), True),
                        Cell(words.MISSING, True),
                    ]
                )
            else:
                rows.append(
                    [
                        Cell(name),
                        Cell(three(one["auroc"].get("value")), True),
                        Cell(interval(one["auroc"]), True),
                        Cell(f"{one['events']:,}", True),
                    ]
                )
    columns = [Column("Group"), Column("AUROC", True), Column("95 % interval", True), Column("Events", True)]
    return Table("Subgroups", columns, rows) if rows else None


def confusion(body: Mapping[str, Any]) -> str:
    """The confusion matrix at 50 % as a sentence."""
    point = body.get("confusion_matrix") or {}
    if "true_positive" not in point:
        return ""
    right, missed = point["true_positive"], point["false_negative"]
    return (
        f"At 50 %: of {right + missed:,} patient-days before an event it calls {right:,} and misses {missed:,}; "
        f"of {point['false_positive'] + point['true_negative']:,} without one it calls {point['false_positive']:,}."
    )


def oracle(body: Mapping[str, Any]) -> str:
    """How far the best reachable figure is, where the true hazard is known."""
    oracle = body.get("oracle") or {}
    if not oracle:
        return ""
    auroc, share = oracle.get("auroc") or {}, oracle.get("share") or {}
    reached = (
        f"; ours reaches {share['value'] * 100:.0f} % of the way from chance ({interval(share)})"
        if share.get("value") is not None
        else ""
    )
    return f"Best anyone can reach here (the simulator's true hazard): AUROC {three(auroc.get('value'))}{reached}."


def calibration(body: Mapping[str, Any]) -> tuple[PanelRow | None, Table | None]:
    """The calibration curve with the interval of each bin, and its table."""
    curve = body.get("calibration_curve") or []
    if len(curve) < 2:
        return None, None
    x = [round(one["predicted"] * 100, 3) for one in curve]
    y = [round(one["observed"] * 100, 3) for one in curve]
    reach = []
    for one, at in zip(curve, x, strict=True):
        p, n = one["observed"], max(1, one["rows"])
        half = 1.96 * (p * (1 - p) / n) ** 0.5 * 100
        reach.append([at, max(0.0, p * 100 - half), min(100.0, p * 100 + half)])
    top = max(*x, *(high for _, _, high in reach)) * 1.08
    step = next(nice for nice in (0.5, 1, 2, 5, 10, 20, 25) if top / nice <= 6) if top <= 150 else 25
    ticks = [round(step * place, 2) for place in range(int(top / step) + 1)]
    data = {
        "x": x,
        "y": y,
        "reach": reach,
        "x_range": [0, top],
        "y_range": [0, top],
        "x_ticks": ticks,
        "y_ticks": ticks,
    }
    last = curve[-1]
    text = f"When it says {x[-1]:.0f} %, {y[-1]:.0f} % had an event ({last['rows']:,} patient-days)."
    table = Table(
        "Calibration in bins of equal size",
        [Column("Predicted %", True), Column("Observed %", True), Column("Patient-days", True)],
        [
            [Cell(f"{a:.1f}", True), Cell(f"{b:.1f}", True), Cell(f"{one['rows']:,}", True)]
            for a, b, one in zip(x, y, curve, strict=True)
        ],
    )
    return PanelRow("square", data, text), table
