"""Two versions of a trial's model on the newest features, of the patients that neither has learned from."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ml.comparison.compare import Pair, compare
from ml.comparison.places import place_of
from ml.drift.reference import SPLIT
from ml.lake import Lake, ObjectMissing
from ml.profile import StudyProfile
from ml.scoring import Bundle
from ml.splits import PARTS, TEST
from ml.training import source
from ml.training.data import DataError
from ml.training.groups import groups_of

STEPS = ("reading features and labels", "scoring with both versions", "intervals by drawing patients", "kept")


@dataclass(frozen=True, slots=True)
class Version:
    """One version: what it is called, and the folder of its bundle in the lake."""

    name: str
    bundle_path: str


def learned_from(lake: Lake, bundle_path: str) -> set[str]:
    """The patients ("trial/patient") whose rows a version was fitted, stopped or calibrated on. DataError where it does
    not say: then nothing is known to be held out from it."""
    try:
        body = json.loads(lake.get(f"{bundle_path}/{SPLIT}"))
    except ObjectMissing as error:
        raise DataError(
            f"{bundle_path} does not say which patients it was trained on, so nothing is known to be held out from it. "
            "Train it again, then compare."
        ) from error
    return {name for part in PARTS if part != PARTS[TEST] for name in body["parts"].get(part, ())}


def compare_versions(
    lake: Lake, profile: StudyProfile, one: Version, two: Version, *, tell: Callable[..., Any]
) -> dict[str, Any]:
    """Score, compare, and keep under ``place_of``; the comparison as it is kept. ``tell`` is called as
    ``tell(step=…, done=…, of=…)``.

    DataError where no patient is held out from both; LakeError and BundleError where something cannot be read.
    """

    def begin(number: int) -> None:
        tell(step=STEPS[number], done=number, of=len(STEPS))

    begin(0)
    data, provenance = source.load(lake, profile)
    seen = learned_from(lake, one.bundle_path) | learned_from(lake, two.bundle_path)
    held = np.array([data.patients[row] not in seen for row in data.patient.tolist()], np.bool_)
    if not held.any():
        raise DataError(
            "Every patient with features was learned from by one of the two versions. Wait for new patients."
        )
    rows = data.take(held)
    begin(1)
    sides = {"one": one, "two": two}
    bundles = {side: Bundle.load_from_lake(lake, version.bundle_path) for side, version in sides.items()}
    scores = {side: bundle.probabilities(rows.features) for side, bundle in bundles.items()}
    begin(2)
    pair = Pair(rows.patient, rows.label, scores["one"], scores["two"], groups_of(rows))
    body = compare(pair, bands=profile.bands, names=(one.name, two.name)) | {
        "trial_id": profile.trial_id,
        "simulated": profile.simulated,
        "horizon_hours": profile.horizon_hours,
        "data_version": provenance.data_version,
        "labels_version": provenance.labels_version,
        "labels_known_by": provenance.known_by,
        "left_out": {"patient-days of patients that one of them learned from": int((~held).sum())},
        "models": {
            side: {"name": version.name, "bundle_path": version.bundle_path, "bundle_digest": bundles[side].digest}
            for side, version in sides.items()
        },
    }
    place = place_of(profile.trial_id, one.name, two.name)
    lake.put(place, (json.dumps(body, indent=1, sort_keys=True, allow_nan=False) + "\n").encode())
    begin(3)
    return body
