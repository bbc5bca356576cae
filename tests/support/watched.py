"""A trial with a model that has served for two weeks: patients, daily predictions, what happened to them afterwards.

Rows are laid straight into the tables (triggers resting); the model's files, its training sample and its split are real.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from django.db import connection, transaction

from apps.core.lake import lake
from apps.ingestion.models import ConsumerState
from apps.patients.models import AdverseEvent, ContextRecord, Medication, Patient, Trial
from apps.predictions.models import Prediction
from apps.registry import services as registry
from apps.registry.models import ModelVersion
from ml.drift import Reference
from ml.facts import stable_code
from ml.features import NAMES, canonical, vector_bytes
from ml.profile import StudyProfile
from tests.support import people, serving

NOW = datetime(2026, 3, 20, 13, 0, tzinfo=UTC)
DAYS = 16


@dataclass
class Watched:
    """What was made. ``events``: (patient, onset)."""

    trial: Trial
    version: ModelVersion
    patients: list[Patient]
    profile: StudyProfile
    events: list[tuple[str, datetime]]
    now: datetime


def trial(
    *,
    patients: int = 60,
    skill: float = 3.0,
    seed: int = 1,
    trained: datetime | None = None,
    shift: float = 0.0,
    shifted: tuple[str, ...] = (),
    maturity: int = 3,
    silent: bool = False,
    event_share: float = 0.1,
    now: datetime = NOW,
    held_out: int = 0,
) -> Watched:
    """A live, simulated trial DEMO. ``skill`` 0 = the model knows nothing, 3 = much. Vectors are drawn like the training
    sample, but for the ``shifted`` features, which lie ``shift`` standard deviations off. Every day each patient has one
    prediction at noon and one in the evening."""
    rng = np.random.default_rng(seed)
    trained = trained or now - timedelta(days=30)
    made = people.trial("DEMO", simulated=True, label_maturity_days=maturity)
    profile = StudyProfile.from_json(made.profiles.get().body)
    version = serving.release(made, seed=seed, silent=silent)
    reference = Reference(
        tuple(NAMES),
        rng.normal(0, 1, (600, len(NAMES))).astype(np.float32),
        {
            "train": ("DEMO/P1", "DEMO/P2"),
            "validation": ("DEMO/P3",),
            "test": ("DEMO/P4", *(f"DEMO/P{n}" for n in range(5, held_out + 1))),
        },
        int(trained.timestamp()),
    )
    digests = reference.save(lake(), version.bundle_path)
    found = Watched(made, version, [], profile, [], now)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        metrics = {**version.metrics, "reference": digests}
        ModelVersion.objects.filter(pk=version.pk).update(metrics=metrics, created_at=trained)
        version.refresh_from_db()
        found.patients = [
            Patient.objects.create(key=f"DEMO/P{n}", trial=made, patient_id=f"P{n}") for n in range(1, patients + 1)
        ]
        _enrol(found)
        _course(found, rng, skill, shift, shifted, event_share)
        cursor.execute(
            "SET LOCAL session_replication_role = origin"
        )  # a test is one transaction: its triggers wake again
    return found


def candidate(of: Trial, *, seed: int) -> ModelVersion:
    """A registered version of random weights that nobody has signed for."""
    made = serving.bundle(seed)
    path = f"models/candidate-{seed}"
    made.save_to_lake(lake(), path)
    return registry.register(
        by=people.SYSTEM,
        trial=of,
        name="adverse-event-predictor",
        metrics=people.GOOD,
        digests={**made.digests, "bundle": made.digest},
        data_version="0" * 64,
        bundle_path=path,
        git_commit="0" * 40,
    )


def keep(version: ModelVersion, parts: dict[str, range]) -> None:
    """Lay a training sample and a split beside a version's bundle."""
    split = {part: tuple(f"{version.trial_id}/{number:03d}" for number in numbers) for part, numbers in parts.items()}
    kept = Reference(tuple(NAMES), np.zeros((3, len(NAMES)), np.float32), split, 1)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        metrics = {**version.metrics, "reference": kept.save(lake(), version.bundle_path)}
        ModelVersion.objects.filter(pk=version.pk).update(metrics=metrics)
        cursor.execute("SET LOCAL session_replication_role = origin")
    version.refresh_from_db()


def _enrol(of: Watched) -> None:
    ContextRecord.objects.bulk_create(
        ContextRecord(
            **_lineage(of.trial, one.pk, number, of.now - timedelta(days=90), of.now - timedelta(days=90)),
            kind="enrolment",
        )
        for number, one in enumerate(of.patients)
    )


def _course(
    of: Watched, rng: np.random.Generator, skill: float, shift: float, shifted: tuple[str, ...], share: float
) -> None:
    predictions, events = [], []
    columns = [NAMES.index(name) for name in shifted]
    start = datetime(of.now.year, of.now.month, of.now.day, tzinfo=UTC) - timedelta(days=DAYS)
    for one in of.patients:
        for day in range(DAYS + 1):
            noon = start + timedelta(days=day, hours=12)
            happens = rng.random() < share
            if happens:
                # within the horizon of both of the day's predictions, and before the next day's noon
                onset = noon + timedelta(hours=float(rng.uniform(13, 23)))
                events.append((one.pk, onset))
            for hours in (0, 11):
                as_of = noon + timedelta(hours=hours)
                if as_of > of.now:
                    continue
                vector = rng.normal(0, 1, len(NAMES))
                vector[columns] += shift
                risk = 1 / (1 + np.exp(-(rng.normal(-2.4, 1.0) + skill * happens)))
                predictions.append(prediction(of, one, as_of, float(risk), vector))
    of.events = events
    Prediction.objects.bulk_create(predictions)
    AdverseEvent.objects.bulk_create(event(of.trial, who, onset, number) for number, (who, onset) in enumerate(events))


def prediction(of: Watched, one: Patient, as_of: datetime, risk: float | None, vector: Any = None) -> Prediction:
    """One prediction, not saved."""
    values = np.zeros(len(NAMES)) if vector is None else vector
    return Prediction(
        trial=of.trial,
        patient=one,
        as_of=as_of,
        probability=risk,
        level=of.profile.level(risk),
        reasons=[] if risk is not None else ["Too old."],
        model_version=of.version,
        silent=False,
        features=vector_bytes(canonical(values)),
        features_sha256="0" * 64,
        watermark={},
        profile_version=of.trial.profiles.get(),
        tables_version="t",
        fingerprint="f",
        source="live",
        created_at=as_of,
    )


def event(
    trial: Trial, patient: str, onset: datetime, number: int, *, known: timedelta = timedelta(hours=2), **more: Any
) -> AdverseEvent:
    """An adverse event, known two hours after its onset; not saved."""
    return AdverseEvent(**_lineage(trial, patient, number, onset, onset + known), event_type="Nausea", grade=2, **more)


def disposition(trial: Trial, patient: str, at: datetime, number: int) -> ContextRecord:
    """The end of a patient's follow-up; not saved."""
    return ContextRecord(**_lineage(trial, patient, number, at, at), kind="disposition", status="withdrawn")


def dose(trial: Trial, patient: str, at: datetime, number: int, *, outcome: str = "") -> Medication:
    """A dose of the study's own drug; not saved."""
    return Medication(
        **_lineage(trial, patient, number, at, at), drug_name="Study drug", study_dose=True, outcome=outcome
    )


def arm(trial: Trial, patient: str, at: datetime, number: int, *, treated: bool) -> ContextRecord:
    """The arm a patient is in, and whether they ever took its drug; not saved."""
    return ContextRecord(**_lineage(trial, patient, number, at, at), kind="arm", arm_code="A", treated=treated)


def lag(messages: int, at: datetime = NOW) -> None:
    """A consumer that is so far behind."""
    ConsumerState.objects.create(
        group="live", topic="patient-vitals", topic_id="t", partition=0, next_offset=1, lag=messages, last_record_at=at,
        updated_at=at,
    )  # fmt: skip


def _lineage(trial: Trial, patient: str, number: int, event_time: datetime, known_time: datetime) -> dict[str, Any]:
    whole = event_time.replace(microsecond=0)
    return {
        "trial": trial,
        "patient_id": patient,
        "record_key": stable_code("record", patient, str(number)),
        "event_time": whole,
        "known_time": known_time.replace(microsecond=0),
        "epoch": 0,
        "topic_id": f"t-{patient}",
        "partition": 0,
        "offset": number,
    }
