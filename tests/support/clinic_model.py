"""A model version with its evaluation, gates, history and signatures, as the model page shows it."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta

from apps.patients.models import Trial
from apps.registry.models import Approval, ModelTransition, ModelVersion
from tests.support import people


def model(trial: Trial, now: datetime, *, silent: bool) -> ModelVersion:
    """The version that serves, openly or silent."""

    def figure(value: float, reach: float) -> dict[str, float]:
        return {"value": value, "low": value - reach, "high": value + reach}

    evaluation = {
        "rows": 9000,
        "patients": 150,
        "events": 455,
        "prevalence": 0.0506,
        "interval": "95 % percentile interval over draws of patients",
        "figures": {
            "auroc": figure(0.846, 0.015),
            "auprc": figure(0.33, 0.03),
            "brier": figure(0.041, 0.002),
            "ece": figure(0.006, 0.003),
            "calibration_slope": figure(0.97, 0.07),
            "calibration_intercept": figure(-0.02, 0.08),
            "recall": figure(0.21, 0.04),
        },
        "confusion_matrix": {
            "threshold": 0.5,
            "true_positive": 96,
            "false_positive": 51,
            "false_negative": 359,
            "true_negative": 8494,
        },
        "calibration_curve": [
            {"rows": 900, "predicted": p, "observed": o}
            for p, o in (
                (0.004, 0.003),
                (0.008, 0.009),
                (0.013, 0.011),
                (0.019, 0.022),
                (0.027, 0.024),
                (0.036, 0.041),
                (0.048, 0.046),
                (0.07, 0.078),
                (0.11, 0.101),
                (0.31, 0.302),
            )
        ],
        "subgroups": {
            "sex": [
                {"group": "F", "suppressed": False, "rows": 5000, "events": 240, "auroc": figure(0.85, 0.02)},
                {"group": "M", "suppressed": False, "rows": 4000, "events": 215, "auroc": figure(0.84, 0.02)},
            ],
            "age": [{"group": "80 and over", "suppressed": True, "reason": "fewer than 10 events"}],
        },
        "comparisons": {
            "logistic": {"rows": 9000, "auroc": figure(0.835, 0.02), "gain": figure(0.011, 0.008)},
            "news2": {"rows": 9000, "auroc": figure(0.715, 0.02), "gain": figure(0.131, 0.02)},
        },
        "oracle": {"auroc": figure(0.881, 0.01), "share": figure(0.908, 0.03)},
    }
    gates = [
        {
            "name": "auroc",
            "measure": "test_auroc",
            "sentence": "AUROC on test patients, event within the horizon",
            "operator": ">=",
            "threshold": 0.8,
            "blocking": True,
            "value": 0.846,
            "low": 0.831,
            "high": 0.861,
            "passed": True,
        },
        {
            "name": "calibration_error",
            "measure": "test_ece",
            "sentence": "Calibration error, ten equal-mass bins",
            "operator": "<",
            "threshold": 0.05,
            "blocking": True,
            "value": 0.006,
            "passed": True,
        },
        {
            "name": "age_gap",
            "measure": "auroc_gap_age",
            "sentence": "AUROC gap over age groups",
            "operator": "<",
            "threshold": 0.05,
            "blocking": True,
            "value": None,
            "passed": False,
        },
        {
            "name": "latency",
            "measure": "latency_ms_single",
            "sentence": "One prediction on a CPU, milliseconds",
            "operator": "<",
            "threshold": 200.0,
            "blocking": True,
            "value": 3.1,
            "passed": True,
        },
    ]
    version = ModelVersion(
        name="adverse-event-predictor",
        version=3,
        trial=trial,
        state="silent" if silent else "production",
        run_id="3f2a9c",
        digests={},
        metrics={"evaluation": evaluation, "test_auroc": 0.846},
        gates=gates,
        gates_passed=not silent,
        data_version=hashlib.sha256(b"data").hexdigest(),
        git_commit="7be31a4" + "0" * 33,
        bundle_path="models/3",
        simulated=True,
        registered_by="process worker",
        created_at=now - timedelta(days=1),
    )
    version.save(force_insert=True)
    for place, (source, target) in enumerate((("", "candidate"), ("candidate", "staging"), ("staging", version.state))):
        ModelTransition.objects.create(
            version=version,
            action="move",
            from_state=source,
            to_state=target,
            by="Approver B" if place == 2 else "process worker",
            at=now - timedelta(hours=20 - place),
            audit_event=version.pk,
        )
    for name in ("approver-a", "approver-b"):
        user = people.User.objects.filter(username=name).first() or people.User.objects.create(
            username=name, printed_name=name.replace("-", " ").title()
        )
        Approval.objects.create(
            version=version,
            user=user,
            printed_name=user.printed_name,
            username=name,
            meaning="I have reviewed the evidence and approve this release",
            signed_text="{}",
            signed_hash=hashlib.sha256(b"text").hexdigest(),
            signed_at=now - timedelta(hours=19),
            demo=True,
        )
    return version
