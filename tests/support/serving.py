"""A model that serves: random weights, signed by two, and a patient with an hour of vital signs in the online window."""

from __future__ import annotations

import numpy as np

from apps.core.lake import lake
from apps.ingestion.window import WindowStore
from apps.patients.models import Trial
from apps.registry import services as registry
from apps.registry.models import ModelVersion
from ml.cleaning import to_facts
from ml.facts import Facts
from ml.features import FEATURES, NAMES, TABLE_DIGEST
from ml.scoring import Bundle, Scaler
from ml.window import Window
from tests.support import people, silver


def bundle(seed: int = 0, *, blinded: bool = True) -> Bundle:
    """A bundle of random weights over the 120 features."""
    rng = np.random.default_rng(seed)
    n = len(NAMES)
    scaler = Scaler(
        names=tuple(NAMES),
        median=np.zeros(n),
        mean=np.zeros(n),
        std=np.full(n, 50.0),
        lowest=np.full(n, -1e6),
        highest=np.full(n, 1e6),
        missing_share=np.zeros(n),
        masked=np.array([blinded and feature.blinding == "arm" for feature in FEATURES]),
        clip=6.0,
    )
    weights = {
        "w1": rng.normal(0, 0.15, (64, n)),
        "b1": rng.normal(0, 0.3, 64),
        "w2": rng.normal(0, 0.2, (32, 64)),
        "b2": rng.normal(0, 0.3, 32),
        "w3": rng.normal(0, 0.4, 32),
        "b3": rng.normal(0, 0.3, 1),
    }
    arrays = {name: value.astype(np.float32) for name, value in weights.items()}
    return Bundle(arrays, scaler, 0.9, -1.2, TABLE_DIGEST, "0" * 64, "profile", 10)


def release(trial: Trial, *, seed: int = 0, silent: bool = False) -> ModelVersion:
    """Register a bundle and have two approvers of their own sign for it."""
    made = bundle(seed)
    path = f"models/test-{seed}"
    made.save_to_lake(lake(), path)
    version = registry.register(
        by=people.SYSTEM,
        trial=trial,
        name="adverse-event-predictor",
        metrics=people.BELOW if silent else people.GOOD,
        digests={**made.digests, "bundle": made.digest},
        data_version="0" * 64,
        bundle_path=path,
        git_commit="0" * 40,
    )
    for name in ("one", "two"):
        signer = people.person(f"approver-{name}-{seed}", "model_approver")
        registry.sign(by=signer, password=people.PASSWORD, version=version, as_silent=silent)
    version.refresh_from_db()
    return version


def fill_window(store: WindowStore, trial_id: str, patient_id: str, *, until: int, readings: int = 8) -> None:
    """An enrolled patient with `readings` vital signs, a quarter of an hour apart, the last at `until` (seconds)."""
    context = silver.rows(
        "patient-context",
        silver.context(patient_id, trial_id=trial_id, event_time=until - 86_400, known_time=until - 86_400),
    )
    vitals = silver.rows(
        "patient-vitals",
        *(
            {
                "trial_id": trial_id,
                "patient_id": patient_id,
                "record_id": None,
                "record": f"v{number}",
                "event_time": until - 900 * number,
                "known_time": until - 900 * number,
                "offset": readings - number,
                "source": "monitor",
                "heart_rate": 80.0 + number,
                "blood_pressure_systolic": 120.0,
                "blood_pressure_diastolic": 75.0,
                "temperature": 36.8,
                "spo2": 97.0,
                "respiratory_rate": 15.0,
            }
            for number in range(readings)
        ),
    )
    facts = Facts.concat([to_facts("patient-context", context), to_facts("patient-vitals", vitals)])
    watermark = {"patient-vitals": [silver.TOPIC_ID, 0, readings], "patient-context": [silver.TOPIC_ID, 0, 0]}
    name = f"{trial_id}/{patient_id}"
    store.save([Window(name, facts, watermark, newest=until)], positions={})
    store.finish()
