"""A comparison of two models on the same rows and the same draws of patients, as plain JSON. *One* serves or came first,
*two* is the challenger; every gain is two's figure less one's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.evaluation import measures
from ml.evaluation.bootstrap import DRAWS, Estimate, estimates
from ml.evaluation.measures import Ranked
from ml.profile import LEVELS

Float = NDArray[np.float64]
FORMAT = 1
REQUIRED_GAIN = 0.02
"""AUROC by which a challenger must be better to be promoted for its performance."""
SMALLEST_CELL = 10
"""Rows with an event, and without one, below which nothing is decided and a subgroup is not compared."""
MODELS = ("one", "two")
NAMES = ("Model 1", "Model 2")
"""What the two are called where nobody says."""

#: (verdict, does it hold for (gain, its interval's low, high), sentence), the first that holds.
VERDICTS = (
    ("better", lambda gain, low, high: low > 0 and gain >= REQUIRED_GAIN,
     "better by the {required:g} that a promotion asks for, and not by chance"),
    ("slightly better", lambda _, low, high: low > 0,
     "better and not by chance, but by less than the {required:g} that a promotion asks for"),
    ("worse", lambda _, low, high: high < 0, "worse, and not by chance"),
    ("alike", lambda _, low, high: low > -REQUIRED_GAIN and high < REQUIRED_GAIN, "alike: the interval lies within ± {required:g}"),
    ("undecided", lambda *_: True, "undecided: the interval holds both a gain and a loss that would matter"),
)  # fmt: skip


@dataclass(frozen=True)
class Pair:
    """n rows, one a patient and as-of time. `patient` any integers that tell patients apart; `groups` labels by grouping."""

    patient: NDArray[np.integer]
    label: NDArray[np.integer]
    one: Float
    two: Float
    groups: Mapping[str, NDArray[np.str_]] = field(default_factory=dict)

    @property
    def both(self) -> dict[str, Float]:
        """The probabilities by model."""
        return {"one": np.asarray(self.one, np.float64), "two": np.asarray(self.two, np.float64)}


def compare(
    pair: Pair,
    *,
    bands: tuple[float, ...],
    names: tuple[str, str] = NAMES,
    draws: int = DRAWS,
    seed: int = 0,
) -> dict[str, Any]:
    """The comparison as plain JSON: `figures` {name: {one, two, gain}} each with its 95 % interval over draws of patients,
    `alerts` at the study's bands, `disagreement`, `subgroups` and the `decision`, whose sentence calls the two by `names`.
    ValueError where no row is left."""
    if not len(pair.label):
        raise ValueError("No row is left to compare the two models on.")
    y, both = np.asarray(pair.label, np.float64), pair.both
    ranked = {name: Ranked.of(y, p) for name, p in both.items()}
    cells = {grouping: _cells(labels, y) for grouping, labels in pair.groups.items()}
    inside = {
        (grouping, group): {name: Ranked.of(y[mask], p[mask]) for name, p in both.items()}
        for grouping, parts in cells.items()
        for group, mask in parts.items()
    }

    def statistic(weights: Float) -> dict[str, Float]:
        found: dict[str, Float] = {}
        total = weights.sum(axis=1)
        for name, p in both.items():
            found[f"auroc:{name}"] = measures.auroc(*ranked[name].groups(weights))
            found[f"auprc:{name}"] = measures.average_precision(*ranked[name].groups(weights))
            found[f"ece:{name}"] = measures.calibration_error(ranked[name], weights)
            found[f"brier:{name}"], _ = measures.brier(y, p, weights)
            for band in bands:
                found[f"alerts {band:g}:{name}"] = weights @ (p >= band) / total
            for (grouping, group), own in inside.items():
                chosen = weights[:, cells[grouping][group]]
                found[f"{grouping}/{group}:{name}"] = measures.auroc(*own[name].groups(chosen))
        for figure in {key.rpartition(":")[0] for key in found}:
            found[f"{figure}:gain"] = found[f"{figure}:two"] - found[f"{figure}:one"]
        return found

    found, _ = estimates(statistic, pair.patient, draws=draws, seed=seed)

    def three(figure: str) -> dict[str, Any]:
        return {side: found[f"{figure}:{side}"].to_json() for side in (*MODELS, "gain")}

    return {
        "format": FORMAT,
        "rows": len(y),
        "patients": len(np.unique(pair.patient)),
        "events": int(y.sum()),
        "draws": draws,
        "interval": "95 % percentile interval over draws of patients, the same draws for both models",
        "figures": {figure: three(figure) for figure in ("auroc", "auprc", "ece", "brier")},
        "calibration": {name: _line(y, p) for name, p in both.items()},
        "alerts": [{"band": band, **three(f"alerts {band:g}")} for band in bands],
        "disagreement": _disagreement(both, bands),
        "subgroups": _subgroups(pair, y, cells, three),
        "decision": decide(found["auroc:gain"], events=int(y.sum()), without=int((1 - y).sum()), names=names),
    }


def decide(gain: Estimate, *, events: int, without: int, names: tuple[str, str] = NAMES) -> dict[str, Any]:
    """What the gain in AUROC says, and whether it is enough to promote for performance. With fewer rows with an `event`
    or `without` one than `SMALLEST_CELL`, nothing: so few draw an interval that looks narrower than it is."""
    one, two = names
    if min(events, without) < SMALLEST_CELL or gain.value is None or gain.low is None or gain.high is None:
        sentence = (
            f"Whether {two} is better than {one} cannot be judged: of {events + without:,} patient-days that neither has "
            f"learned from, {events:,} have an event; at least {SMALLEST_CELL} with and {SMALLEST_CELL} without one are needed."
        )
        return {"verdict": "not judged", "promote": False, "required": REQUIRED_GAIN, "sentence": sentence}
    verdict, _, words = next(row for row in VERDICTS if row[1](gain.value, gain.low, gain.high))
    return {
        "verdict": verdict,
        "promote": verdict == "better",
        "required": REQUIRED_GAIN,
        "sentence": f"{two} against {one}: {words.format(required=REQUIRED_GAIN)}.",
    }


def in_words(body: Mapping[str, Any]) -> str:
    """The decision with the figures it rests on, for where no table stands beside it."""
    auroc = body["figures"]["auroc"]
    gain = auroc["gain"]
    sentence = str(body["decision"]["sentence"])
    if body["decision"]["verdict"] == "not judged":
        return sentence
    return (
        f"{sentence} AUROC {auroc['two']['value']:.3f} against {auroc['one']['value']:.3f}, difference {gain['value']:+.3f}, "
        f"95 % interval {gain['low']:+.3f} to {gain['high']:+.3f}."
    )


def _cells(labels: NDArray[np.str_], y: Float) -> dict[str, NDArray[np.bool_]]:
    masks = {str(group): labels == group for group in np.unique(labels)}
    return {
        group: mask
        for group, mask in masks.items()
        if min(float(y[mask].sum()), float((1 - y[mask]).sum())) >= SMALLEST_CELL
    }


def _line(y: Float, p: Float) -> dict[str, float | None]:
    """Calibration intercept and slope; None where they cannot be had."""
    intercept, slope, _ = (float(part[0]) for part in measures.calibration_line(y, p, np.ones((1, len(y)))))
    return {name: value if np.isfinite(value) else None for name, value in (("intercept", intercept), ("slope", slope))}


def _disagreement(both: Mapping[str, Float], bands: tuple[float, ...]) -> dict[str, Any]:
    """Rows by the level that each model gives them (one's down, two's across), and how far the probabilities differ."""
    levels = {name: np.searchsorted(np.array(bands), p, side="right") for name, p in both.items()}
    size = len(bands) + 1
    table = np.zeros((size, size), np.int64)
    np.add.at(table, (levels["one"], levels["two"]), 1)
    away = np.abs(both["one"] - both["two"])
    return {
        "levels": list(LEVELS[:size]),
        "table": table.tolist(),
        "other_level": float((levels["one"] != levels["two"]).mean()),
        "two_levels_apart": float((np.abs(levels["one"] - levels["two"]) > 1).mean()),
        "mean_difference": float(away.mean()),
        "largest_difference": float(away.max()),
    }


def _subgroups(
    pair: Pair, y: Float, cells: Mapping[str, Mapping[str, NDArray[np.bool_]]], three: Any
) -> dict[str, list[dict[str, Any]]]:
    tables: dict[str, list[dict[str, Any]]] = {}
    for grouping, labels in pair.groups.items():
        rows: list[dict[str, Any]] = []
        for group in np.unique(labels).tolist():
            mask = cells[grouping].get(str(group))
            if mask is None:
                reason = f"fewer than {SMALLEST_CELL} events or rows without one"
                rows.append({"group": str(group), "suppressed": True, "reason": reason})
                continue
            counts = {"rows": int(mask.sum()), "events": int(y[mask].sum())}
            rows.append({"group": str(group), "suppressed": False, **counts, **three(f"{grouping}/{group}")})
        tables[grouping] = rows
    return tables
