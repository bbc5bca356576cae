"""The evaluation of a trained model on its test patients, beside its baselines, as one JSON body."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import classification_report

from ml.evaluation.baselines import BaselineInput, fit_baselines
from ml.evaluation.bootstrap import DRAWS
from ml.evaluation.evaluate import THRESHOLD, Rows, evaluate
from ml.evaluation.gates import gates, may_serve, measures_of
from ml.profile import StudyProfile
from ml.scoring import Bundle, score
from ml.splits import PARTS, TEST
from ml.training.data import TrainingData
from ml.training.groups import groups_of
from ml.training.train import Trained, TrainingConfig, auroc_of

Float = NDArray[np.float64]
LATENCY_CALLS = 200


def latency(bundle: Bundle, features: NDArray[np.float32], profile: StudyProfile) -> dict[str, float]:
    """Milliseconds of scoring one row alone: median as `value`, and the 99th percentile."""
    taken = []
    for call in range(LATENCY_CALLS):
        row = features[call % len(features)][None, :]
        begun = time.perf_counter()
        score(bundle, row, profile)
        taken.append(1000 * (time.perf_counter() - begun))
    return {"value": float(np.median(taken)), "p99": float(np.quantile(taken, 0.99))}


def parts_of(data: TrainingData, part: NDArray[np.int8]) -> dict[str, dict[str, int]]:
    """Rows, patients and events of each part of the split."""
    return {
        name: {
            "rows": int((part == number).sum()),
            "patients": len(np.unique(data.patient[part == number])),
            "events": int(data.label[part == number].sum()),
        }
        for number, name in enumerate(PARTS)
    }


def _day(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).date().isoformat()


def assess(
    trained: Trained,
    config: TrainingConfig,
    data: TrainingData,
    profile: StudyProfile,
    *,
    draws: int = DRAWS,
    report: Callable[[str], None] = lambda step: None,
) -> dict[str, Any]:
    """Evaluate on the test patients. `metrics` are the numbers gates and pages read, `intervals` theirs, `gates` the
    verdicts; the rest as `ml.evaluation.evaluate` says. DataError's cure is more data: no test row, no evaluation.
    """
    bundle, test = trained.bundle, trained.part == TEST
    others = fit_baselines(
        BaselineInput(data.features, bundle.scaler, data.label, trained.part, config.seed),
        lambda name: report(f"baseline {name}"),
    )
    report("intervals by drawing patients")
    tested = data.take(test)
    probability = bundle.probabilities(tested.features)
    rows = Rows(
        patient=tested.patient,
        label=tested.label,
        probability=probability,
        hours_to_onset=tested.hours_to_onset,
        groups=groups_of(tested),
        others={name: scores[test] for name, scores in others.items()},
        oracle=tested.oracle,
    )
    second = _second_horizon(tested, probability, profile)
    body = evaluate(
        rows,
        simulated=profile.simulated,
        bands=profile.bands,
        draws=draws,
        extra={
            "trial_id": profile.trial_id,
            "horizon_hours": profile.horizon_hours,
            "blinded": profile.blinded,
            "masked_features": [n for n, m in zip(bundle.names, bundle.scaler.masked.tolist(), strict=True) if m],
            "second_horizon": second,
            "latency_ms_single": latency(bundle, tested.features, profile),
            "split": parts_of(data, trained.part),
            "left_out": data.left_out,
            "data_dates": [_day(int(data.as_of.min())), _day(int(data.as_of.max()))],
            "data_version": bundle.data_version,
            "profile_digest": profile.digest,
            "bundle_digest": bundle.digest,
            "configuration": config.to_json(),
            "best_epoch": trained.best_epoch + 1,
            "epochs": [
                {
                    "epoch": e.number,
                    "train_loss": e.train_loss,
                    "val_loss": e.val_loss,
                    "train_auroc": e.train_auroc,
                    "val_auroc": e.val_auroc,
                }
                for e in trained.epochs
            ],
            "calibration": {"slope": bundle.slope, "offset": bundle.offset},
            "training_seconds": round(trained.seconds, 2),
            "classification_report": classification_report(
                tested.label, (probability >= THRESHOLD).astype(int), labels=[0, 1], zero_division=0, output_dict=True
            ),
        },
    )
    verdicts = gates(profile, body)
    known = measures_of(body)
    body["metrics"] = {name: measure["value"] for name, measure in known.items() if measure.get("value") is not None}
    body["intervals"] = {
        name: [measure["low"], measure["high"]] for name, measure in known.items() if measure.get("low") is not None
    }
    body["gates"] = [verdict.to_json() for verdict in verdicts]
    body["gates_passed"] = may_serve(verdicts)
    return body


def _second_horizon(data: TrainingData, probability: Float, profile: StudyProfile) -> dict[str, Any] | None:
    """AUROC for an onset between the first and the second horizon, among rows without one before."""
    hours = data.hours_to_onset
    if not np.isfinite(hours).any():
        return None
    rows = data.label == 0
    later = (hours > profile.horizon_hours) & (hours <= profile.second_horizon_hours)
    auroc = auroc_of(later[rows], probability[rows])
    return {
        "from_hours": profile.horizon_hours,
        "to_hours": profile.second_horizon_hours,
        "events": int(later[rows].sum()),
        "auroc": auroc if np.isfinite(auroc) else None,
    }
