"""A small ward for the pages: patients with records, predictions, a model that serves, runs and an import.

Rows are laid straight into the tables (triggers resting), since what is tested is how they are shown. Everything is a
function of the seed and of ``now``.
"""

from __future__ import annotations

import hashlib
import math
import random
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction

from apps.ingestion.models import ImportDomain, ImportRefusal, ImportRun
from apps.patients.models import AdverseEvent, LabResult, Medication, Patient, Site, Trial, VitalSigns
from apps.pipelines.models import JobRun
from apps.predictions.models import Prediction
from apps.registry.models import Approval, ModelTransition, ModelVersion
from ml.profile import StudyProfile
from tests.support import people

TOPICS = ("adverse-events", "lab-results", "medications", "patient-context", "patient-vitals")
TOPIC_ID = "dGVzdHRlc3R0ZXN0dGVzdA"
FACTORS = (
    ("heart_rate_mean_24h", 104.2, "/min"),
    ("alt_rate", 62.0, "U/L/d"),
    ("temperature_trend_72h", 0.021, "Cel/h"),
    ("respiratory_rate_max_24h", 24.0, "/min"),
    ("creatinine_change_from_baseline", 0.8, "mg/dL"),
    ("study_dose_missed_7d", 2.0, "1"),
    ("spo2_mean_24h", 96.1, "%"),
    ("platelets_latest", 231.0, "10*9/L"),
    ("blood_pressure_systolic_deviation_24h", -1.4, "SD"),
)
#: probability now of the first patients; the others are low
RISKS = (0.82, 0.44, 0.36, 0.31, 0.27, 0.21, 0.17, 0.14, 0.12, 0.11, None, None)


@dataclass
class Ward:
    """What was made."""

    trial: Trial
    sites: list[Site]
    patients: list[Patient]
    version: ModelVersion
    now: datetime
    seed: int = 1
    offsets: dict[str, int] = field(default_factory=dict)


def ward(
    now: datetime,
    *,
    patients: int = 40,
    seed: int = 1,
    silent: bool = False,
    arms: tuple[str, str] = ("Placebo", "Active 80 mg"),
    days: int = 5,
) -> Ward:
    """A blinded, simulated trial DEMO with three sites, its record of ``days`` days and its predictions."""
    dice = random.Random(seed)
    trial = people.trial("DEMO", simulated=True)
    profile = StudyProfile.from_json(trial.profiles.get().body)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        sites = [
            Site.objects.create(key=f"DEMO/{name}", trial=trial, site_id=name, name=town, timezone=zone)
            for name, town, zone in (
                ("701", "Ghent", "Europe/Brussels"),
                ("704", "Lyon", "Europe/Paris"),
                ("708", "Turin", "Europe/Rome"),
            )
        ]
        version = _model(trial, now, silent=silent)
        made = Ward(trial, sites, [], version, now, seed)
        for number in range(patients):
            site = sites[number % 3]
            name = f"{site.site_id}-{1015 + number}"
            patient = Patient.objects.create(
                key=f"DEMO/{name}",
                trial=trial,
                patient_id=name,
                site=site,
                enrolled_at=now - timedelta(days=40 + number % 7),
                age=45 + dice.randrange(35),
                sex=dice.choice("FM"),
                arm_code=str(number % 2),
                arm_name=arms[number % 2],
                known_since=now - timedelta(days=40),
            )
            made.patients.append(patient)
            risk = RISKS[number] if number < len(RISKS) else round(dice.uniform(0.01, 0.09), 3)
            predict(made, patient, risk, dice, days=days, profile=profile)
            if number < 6:
                _record(made, patient, dice, ill=risk is not None and risk > 0.3, days=days, arm=arms[number % 2])
            elif number % 5:
                _vitals(made, patient, dice, [now - timedelta(minutes=4 + number)], ill=False)
        _runs(trial, now)
        _import(trial, now)
    return made


def _model(trial: Trial, now: datetime, *, silent: bool) -> ModelVersion:
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


def predict(
    of: Ward, patient: Patient, risk: float | None, dice: random.Random, *, days: int, profile: StudyProfile
) -> None:
    """Predictions of the last days that end at ``risk`` now (None = no score can be given any more)."""
    end = risk if risk is not None else 0.14
    count = days * 12
    rows = []
    for place in range(count):
        as_of = of.now - timedelta(hours=2) * (count - 1 - place) - timedelta(seconds=40)
        part = place / (count - 1)
        value = max(
            0.005,
            min(
                0.99,
                end * (0.35 + 0.65 / (1 + math.exp(-(part - 0.93) * 40)))
                + 0.008 * math.sin(place * 1.7)
                + dice.uniform(-0.004, 0.004),
            ),
        )
        if place == count - 1:
            value = end
        rows.append(prediction(of, patient, None if risk is None and part > 0.9 else round(value, 4), as_of, profile))
    Prediction.objects.bulk_create(rows)


def prediction(
    of: Ward, patient: Patient, probability: float | None, as_of: datetime, profile: StudyProfile
) -> Prediction:
    """One prediction, not saved."""
    shares = (0.38, 0.26, 0.16, 0.12, 0.09, 0.06, -0.09, -0.06, -0.03)
    gain = (probability or 0.0) - 0.05
    turn = int(patient.patient_id[-2:]) % 6
    factors = [
        {
            "feature": name,
            "contribution": gain * shares[(place + turn) % 6 if place < 6 else place],
            "value": value,
            "unit": unit,
        }
        for place, (name, value, unit) in enumerate(FACTORS)
    ]
    factors.sort(key=lambda one: -abs(float(str(one["contribution"]))))
    rest = gain - sum(float(str(one["contribution"])) for one in factors)
    factors.append({"feature": "other_features", "count": 111, "contribution": rest})
    features = hashlib.sha256(f"{patient.pk}{as_of}".encode()).digest() * 15
    return Prediction(
        trial=of.trial,
        patient=patient,
        as_of=as_of,
        probability=probability,
        logit=None,
        level=profile.level(probability),
        reasons=[]
        if probability is not None
        else ["The newest heart rate is 10 hours old; this study asks for one within 6 hours. Measure heart rate."],
        model_version=of.version,
        silent=of.version.state == "silent",
        top_factors=factors if probability is not None else [],
        contributions=b"",
        features=features,
        features_sha256=hashlib.sha256(features).hexdigest(),
        watermark={topic: [TOPIC_ID, 1, 4000 + place] for place, topic in enumerate(TOPICS)},
        profile_version=of.trial.profiles.get(),
        tables_version="t1",
        fingerprint="f1",
        correlation_id="c0ffee00c0ffee00c0ffee00c0ffee00",
        source="live",
        created_at=as_of + timedelta(seconds=1),
    )


def _lineage(of: Ward, patient: Patient, topic: str, moment: datetime) -> dict[str, Any]:
    offset = of.offsets[topic] = of.offsets.get(topic, -1) + 1
    key = int.from_bytes(hashlib.sha256(f"{topic}{offset}".encode()).digest()[:8], "big", signed=True)
    site = patient.site_id.partition("/")[2] if patient.site_id else ""
    return {
        "trial": of.trial,
        "patient": patient,
        "trial_site_id": site,
        "record_key": key,
        "event_time": moment,
        "known_time": moment,
        "epoch": 0,
        "topic_id": TOPIC_ID,
        "partition": 1,
        "offset": offset,
        "producer": "simulator-live",
        "correlation_id": "c0ffee",
    }


def _vitals(of: Ward, patient: Patient, dice: random.Random, moments: list[datetime], *, ill: bool) -> None:
    VitalSigns.objects.bulk_create(
        VitalSigns(
            **_lineage(of, patient, "patient-vitals", moment),
            source="bedside",
            heart_rate=round(
                74
                + 6 * math.sin(moment.hour / 24 * 6.28)
                + (30 * max(0.0, 1 - (of.now - moment).days / 3) if ill else 0)
                + dice.uniform(-3, 3)
            ),
            blood_pressure_systolic=round(122 + dice.uniform(-8, 8)),
            blood_pressure_diastolic=round(76 + dice.uniform(-5, 5)),
            temperature=round(
                36.7 + (1.6 if ill and (of.now - moment) < timedelta(days=1) else 0) + dice.uniform(-0.2, 0.2), 1
            ),
            spo2=round(97 + dice.uniform(-1, 1)),
            respiratory_rate=round(
                15 + (7 if ill and (of.now - moment) < timedelta(days=1) else 0) + dice.uniform(-2, 2)
            ),
            consciousness="A",
        )
        for moment in moments
    )


def _record(of: Ward, patient: Patient, dice: random.Random, *, ill: bool, days: int, arm: str) -> None:
    start = of.now - timedelta(days=days)
    _vitals(
        of,
        patient,
        dice,
        [start + timedelta(minutes=60) * place for place in range(days * 24 - 1)] + [of.now - timedelta(minutes=4)],
        ill=ill,
    )
    LabResult.objects.bulk_create(
        LabResult(
            **_lineage(of, patient, "lab-results", start + timedelta(days=day, hours=8, minutes=30)),
            test_name=name.upper(),
            analyte=name,
            value=value * (1.6**day if ill and name == "alt" else 1 + 0.03 * day),
            unit=unit,
            low=low,
            high=high,
            value_reported=value,
            unit_reported=unit,
            reference_range=f"{low:g}-{high:g}",
            lab_id="L1",
        )
        for day in range(days)
        for name, value, unit, low, high in (
            ("alt", 31.0, "U/L", 7, 55),
            ("bilirubin", 0.8, "mg/dL", 0.2, 1.2),
            ("creatinine", 0.9, "mg/dL", 0.4, 1.5),
            ("platelets", 231.0, "10*9/L", 150, 450),
            ("potassium", 4.4, "mmol/L", 3.5, 5.0),
        )
    )
    doses = [of.now - timedelta(days=39 - day) + timedelta(hours=-6) for day in range(40)]
    Medication.objects.bulk_create(
        Medication(
            **_lineage(of, patient, "medications", moment),
            drug_name=arm,
            dosage=80.0 if arm != "Placebo" else 0.0,
            unit="mg",
            route="oral",
            frequency="once daily",
            study_dose=True,
            outcome="missed" if place == 37 else "",
        )
        for place, moment in enumerate(doses)
    )
    Medication.objects.bulk_create(
        Medication(
            **_lineage(of, patient, "medications", moment),
            drug_name=name,
            dosage=dose,
            unit="mg",
            route="oral",
            frequency=often,
            end_time=end,
            term=term,
        )
        for moment, name, dose, often, end, term in (
            (of.now - timedelta(days=3), "Clarithromycin", 500.0, "twice daily", None, "Sinusitis"),
            (of.now - timedelta(days=200), "Simvastatin", 40.0, "at night", None, ""),
            (of.now - timedelta(days=4), "Paracetamol", 1000.0, "as needed", of.now - timedelta(days=2), "Headache"),
        )
    )
    AdverseEvent.objects.bulk_create(
        AdverseEvent(
            **_lineage(of, patient, "adverse-events", moment),
            event_type=term.lower(),
            term=term,
            body_system="",
            grade=grade,
            serious=grade > 2,
            causality=causality,
            outcome="",
            end_time=end,
            report_time=moment,
        )
        for moment, term, grade, causality, end in (
            (of.now - timedelta(days=1, hours=3), "NAUSEA", 1, "possible", None),
            (of.now - timedelta(days=4), "HEADACHE", 1, "not related", of.now - timedelta(days=2, hours=5)),
            (of.now - timedelta(days=3), "FATIGUE", 2, "possible", None),
        )
    )


def _runs(trial: Trial, now: datetime) -> None:
    for place, (job, state, progress, step, error, cure) in enumerate(
        (
            (
                "features",
                "running",
                46,
                "120 features a patient-day, as they were known then: 92 of 200 patients",
                "",
                "",
            ),
            (
                "train",
                "failed",
                62,
                "",
                "The archive holds no label older than 7 days.",
                "Wait until the study is a week old, or lower label maturity in its profile.",
            ),
            ("clean", "succeeded", 100, "", "", ""),
        )
    ):
        started = now - timedelta(minutes=4 + 60 * place)
        JobRun.objects.create(
            job=job,
            trial=trial if job != "clean" else None,
            state=state,
            progress=progress,
            step=step,
            error=error,
            cure=cure,
            by="beat",
            started_at=started,
            created_at=started,
            finished_at=None if state == "running" else started + timedelta(seconds=95),
            log="Read 24 partitions.\nWrote 24 partitions.\n" * 8,
            outcome={"rows": 123456, "quarantined": 12} if state == "succeeded" else {},
            heartbeat_at=now,
        )


def _import(trial: Trial, now: datetime) -> None:
    run = ImportRun.objects.create(
        trial=trial,
        folder="/data/pilot",
        state="succeeded",
        progress=100,
        by="Operator",
        started_at=now - timedelta(hours=3),
        finished_at=now - timedelta(hours=2, minutes=57),
    )
    for domain, read, refused in (("AE", 961, 0), ("LB", 59580, 880), ("VS", 29643, 0)):
        ImportDomain.objects.create(
            run=run,
            domain=domain,
            file=f"{domain.lower()}.xpt",
            sha256="ab" * 32,
            rows_read=read,
            rows_carried=read - refused,
            rows_refused=refused,
            events=read - refused,
        )
    ImportRefusal.objects.bulk_create(
        ImportRefusal(
            run=run,
            domain="LB",
            row=f"LB:01-701-1015:{place}",
            rule="lab_without_a_number",
            message="The result is neither a number nor a coded text.",
        )
        for place in range(12)
    )
