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

from django.db import connection, transaction

from apps.ingestion.models import ImportDomain, ImportRefusal, ImportRun
from apps.patients.models import (
    Patient,
    Site,
    StudyProfileVersion,
    Trial,
)
from apps.pipelines.models import JobRun
from apps.predictions.models import Prediction
from apps.registry.models import ModelVersion
from ml.profile import StudyProfile
from tests.support import clinic_model, clinic_records, people

TOPICS = ("adverse-events", "lab-results", "medications", "patient-context", "patient-vitals")
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
    profile_version: StudyProfileVersion
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
        version = clinic_model.model(trial, now, silent=silent)
        made = Ward(trial, sites, [], version, now, trial.profiles.get(), seed)
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
                clinic_records.record(
                    made, patient, dice, ill=risk is not None and risk > 0.3, days=days, arm=arms[number % 2]
                )
            elif number % 5:
                clinic_records.vitals(made, patient, dice, [now - timedelta(minutes=4 + number)], ill=False)
        _runs(trial, now)
        _import(trial, now)
    return made


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
        else ["The newest heart rate is 10 hours old; this study asks for one within 6 hours.\nMeasure heart rate."],
        model_version=of.version,
        silent=of.version.state == "silent",
        top_factors=factors if probability is not None else [],
        contributions=b"",
        features=features,
        features_sha256=hashlib.sha256(features).hexdigest(),
        watermark={topic: [clinic_records.TOPIC_ID, 1, 4000 + place] for place, topic in enumerate(TOPICS)},
        profile_version=of.profile_version,
        tables_version="t1",
        fingerprint="f1",
        correlation_id="c0ffee00c0ffee00c0ffee00c0ffee00",
        source="live",
        created_at=as_of + timedelta(seconds=1),
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
        trial_name=trial.pk,
        source="/data/pilot",
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
            why="The result is neither a number nor a coded text.",
            cure="Correct the result in the source.",
        )
        for place in range(12)
    )
