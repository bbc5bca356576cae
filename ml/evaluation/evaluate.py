"""One evaluation: every figure of a model on a set of rows, with patient-bootstrap intervals, as plain JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.evaluation import measures
from ml.evaluation.bootstrap import DRAWS, Estimate, estimates, finite, interval
from ml.evaluation.measures import Ranked

Float = NDArray[np.float64]
FORMAT = 1
THRESHOLD = 0.5
SMALLEST_CELL = 10
"""A subgroup with fewer events, or fewer rows without one, is not reported (and not judged)."""
LEAD_HOURS = ((0.0, 6.0), (6.0, 24.0), (24.0, 48.0))
PRIMARY_FIGURES = (
    "auroc",
    "auprc",
    "brier",
    "brier_scaled",
    "calibration_intercept",
    "calibration_slope",
    "ece",
    "precision",
    "recall",
    "specificity",
    "f1",
)


@dataclass(frozen=True)
class Rows:
    """What is evaluated: n rows, one a patient and as-of time.

    `patient` any integers that tell patients apart; `hours_to_onset` hours until the next onset after the as-of time
    (NaN = none known); `groups` text labels [n] by grouping (age, sex, site, period); `others` scores [n] of other
    models on the same rows (any rising scale; NaN = this model cannot say, which leaves the row out of its comparison);
    `oracle` the true probability, known for simulated data only.
    """

    patient: NDArray[np.integer]
    label: NDArray[np.integer]
    probability: Float
    hours_to_onset: Float | None = None
    groups: Mapping[str, NDArray[np.str_]] = field(default_factory=dict)
    others: Mapping[str, Float] = field(default_factory=dict)
    oracle: Float | None = None


def evaluate(
    rows: Rows,
    *,
    simulated: bool,
    bands: tuple[float, ...] = (),
    draws: int = DRAWS,
    seed: int = 0,
    extra: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The evaluation as plain JSON.

    `figures` (value, low, high, skipped draws) · `confusion_matrix` and `operating_points` at 0.5 and at the study's
    bands · `calibration_curve` ten bins · `lead_time` · `subgroups` and `gaps` · `comparisons` with other models on the
    same rows and draws · `oracle`. `extra` is laid beside it as it is. ValueError if there is no row.
    """
    if len(rows.label) == 0:
        raise ValueError("There is no row to evaluate.")
    y = np.asarray(rows.label, dtype=np.float64)
    p = np.asarray(rows.probability, dtype=np.float64)
    ranked = Ranked.of(y, p)
    start = tuple(float(part[0]) for part in measures.calibration_line(y, p, np.ones((1, len(y)))))
    contests = _contests(rows)
    cells = {name: _cells(labels, y) for name, labels in rows.groups.items()}
    inside = {(name, group): Ranked.of(y[m], p[m]) for name, parts in cells.items() for group, m in parts.items()}

    def statistic(weights: Float) -> dict[str, Float]:
        groups = ranked.groups(weights)
        found = {"auroc": measures.auroc(*groups), "auprc": measures.average_precision(*groups)}
        found["ece"] = measures.calibration_error(ranked, weights)
        found["brier"], found["brier_scaled"] = measures.brier(y, p, weights)
        found["calibration_intercept"], found["calibration_slope"], _ = measures.calibration_line(
            y, p, weights, start=(start[0], start[1], start[2])
        )
        rates = measures.at_threshold(y, p, weights, THRESHOLD)
        found.update({name: rates[name] for name in ("precision", "recall", "specificity", "f1")})
        for name, (mask, other, own) in contests.items():
            theirs = measures.auroc(*other.groups(weights[:, mask]))
            ours = found["auroc"] if mask.all() else measures.auroc(*own.groups(weights[:, mask]))
            found[f"auroc:{name}"], found[f"gain:{name}"] = theirs, ours - theirs
            if name == "oracle":
                with np.errstate(divide="ignore", invalid="ignore"):
                    found["oracle_share"] = (ours - 0.5) / (theirs - 0.5)
        for grouping, parts in cells.items():
            for group, mask in parts.items():
                own = inside[grouping, group]
                found[f"group:{grouping}:{group}"] = measures.auroc(*own.groups(weights[:, mask]))
        return found

    found, drawn = estimates(statistic, rows.patient, draws=draws, seed=seed)
    subgroups, gaps = _subgroups(rows, y, p, cells, found, drawn)
    body: dict[str, Any] = {
        "format": FORMAT,
        "simulated": simulated,
        "rows": len(y),
        "patients": len(np.unique(rows.patient)),
        "events": int(y.sum()),
        "prevalence": float(y.mean()),
        "draws": draws,
        "interval": "95 % percentile interval over draws of patients",
        "figures": {name: found[name].to_json() for name in PRIMARY_FIGURES},
        "confusion_matrix": _point(y, p, THRESHOLD),
        "operating_points": [_point(y, p, threshold) for threshold in (*bands, THRESHOLD)],
        "calibration_curve": _curve(ranked),
        "distribution": _distribution(y, p),
        "lead_time": _lead_time(rows, p, bands),
        "subgroups": subgroups,
        "gaps": gaps,
        "comparisons": {
            name: {
                "rows": int(mask.sum()),
                "auroc": found[f"auroc:{name}"].to_json(),
                "gain": found[f"gain:{name}"].to_json(),
            }
            for name, (mask, _, _) in contests.items()
            if name != "oracle"
        },
        "oracle": None,
    }
    if "oracle" in contests:
        body["oracle"] = {
            "auroc": found["auroc:oracle"].to_json(),
            "share": found["oracle_share"].to_json(),
            "meaning": "AUROC of the simulator's own hazard, the best anyone can reach; share = (ours − 0.5) / (its − 0.5)",
        }
    body.update(extra or {})
    return body


def _contests(rows: Rows) -> dict[str, tuple[NDArray[np.bool_], Ranked, Ranked]]:
    others = dict(rows.others)
    if rows.oracle is not None:
        others["oracle"] = rows.oracle
    found = {}
    for name, scores in others.items():
        mask = np.isfinite(scores)
        if mask.any():
            found[name] = (
                mask,
                Ranked.of(rows.label[mask], scores[mask]),
                Ranked.of(rows.label[mask], rows.probability[mask]),
            )
    return found


def _cells(labels: NDArray[np.str_], y: Float) -> dict[str, NDArray[np.bool_]]:
    """The groups that are large enough, by name."""
    masks = {str(group): labels == group for group in np.unique(labels)}
    return {
        group: mask
        for group, mask in masks.items()
        if y[mask].sum() >= SMALLEST_CELL and (1 - y[mask]).sum() >= SMALLEST_CELL
    }


def _subgroups(
    rows: Rows,
    y: Float,
    p: Float,
    cells: Mapping[str, Mapping[str, NDArray[np.bool_]]],
    found: Mapping[str, Estimate],
    drawn: Mapping[str, Float],
) -> tuple[dict[str, Any], dict[str, Any]]:
    tables: dict[str, Any] = {}
    gaps: dict[str, Any] = {}
    for grouping, labels in rows.groups.items():
        table = []
        for group in np.unique(labels):
            mask = cells[grouping].get(str(group))
            if mask is None:
                table.append({"group": str(group), "suppressed": True, "reason": f"fewer than {SMALLEST_CELL} events"})
                continue
            table.append(
                {
                    "group": str(group),
                    "suppressed": False,
                    "rows": int(mask.sum()),
                    "events": int(y[mask].sum()),
                    "mean_probability": float(p[mask].mean()),
                    "observed_rate": float(y[mask].mean()),
                    "auroc": found[f"group:{grouping}:{group}"].to_json(),
                }
            )
        tables[grouping] = table
        gaps[grouping] = _gap(grouping, list(cells[grouping]), found, drawn)
    return tables, gaps


def _gap(grouping: str, groups: list[str], found: Mapping[str, Estimate], drawn: Mapping[str, Float]) -> dict[str, Any]:
    """The widest AUROC gap between two groups. The interval is that of a signed difference, widened for the number of
    pairs looked at: the largest of several gaps is above zero by chance alone.
    """
    if len(groups) < 2:
        reason = f"fewer than two groups with {SMALLEST_CELL} events"
        return {"value": None, "low": None, "high": None, "judged": False, "reason": reason}

    def auroc(group: str) -> float:
        value = found[f"group:{grouping}:{group}"].value
        return np.nan if value is None else value

    pairs = list(combinations(groups, 2))
    one, two = max(pairs, key=lambda pair: abs(auroc(pair[0]) - auroc(pair[1])))
    if auroc(one) < auroc(two):
        one, two = two, one
    difference = drawn[f"group:{grouping}:{one}"] - drawn[f"group:{grouping}:{two}"]
    estimate = interval(auroc(one) - auroc(two), difference, level=1 - 0.05 / len(pairs))
    return {**estimate.to_json(), "groups": [one, two], "pairs": len(pairs), "judged": estimate.low is not None}


def _point(y: Float, p: Float, threshold: float) -> dict[str, Any]:
    counts = measures.at_threshold(y, p, np.ones((1, len(y))), threshold)
    whole = ("true_positive", "false_positive", "false_negative", "true_negative")
    body: dict[str, Any] = {"threshold": threshold}
    body.update({name: int(values[0]) if name in whole else finite(values[0]) for name, values in counts.items()})
    return body


def _curve(ranked: Ranked) -> list[dict[str, Any]]:
    # weights follow the rows' own order, which for all ones is any order
    weight, predicted, observed = measures.calibration_bins(ranked, np.ones((1, len(ranked.label))))
    return [
        {"rows": int(w), "predicted": float(q), "observed": float(o)}
        for w, q, o in zip(weight[0], predicted[0], observed[0], strict=True)
        if w > 0
    ]


def _distribution(y: Float, p: Float) -> dict[str, Any]:
    """Counts of probabilities in twenty equal steps, by outcome."""
    edges = np.linspace(0.0, 1.0, 21)
    with_event, _ = np.histogram(p[y == 1], edges)
    without, _ = np.histogram(p[y == 0], edges)
    return {"edges": edges.tolist(), "with_event": with_event.tolist(), "without_event": without.tolist()}


def _lead_time(rows: Rows, p: Float, bands: tuple[float, ...]) -> list[dict[str, Any]]:
    """How well rows at a given distance before an onset are told from rows with no onset in the longest distance."""
    if rows.hours_to_onset is None:
        return []
    hours = np.asarray(rows.hours_to_onset, dtype=np.float64)
    quiet = ~(hours <= LEAD_HOURS[-1][1])
    table: list[dict[str, Any]] = []
    for low, high in LEAD_HOURS:
        near = (hours > low) & (hours <= high)
        body: dict[str, Any] = {"from_hours": low, "to_hours": high}
        if near.sum() < SMALLEST_CELL or quiet.sum() < SMALLEST_CELL:
            table.append({**body, "suppressed": True, "reason": f"fewer than {SMALLEST_CELL} rows"})
            continue
        both = near | quiet
        ranked = Ranked.of(near[both].astype(np.float64), p[both])
        auroc = finite(measures.auroc(*ranked.groups(np.ones((1, int(both.sum())))))[0])
        recall = {f"{band:g}": float((p[near] >= band).mean()) for band in bands}
        table.append({**body, "suppressed": False, "rows": int(near.sum()), "auroc": auroc, "recall_at": recall})
    return table
