"""Compare two versions on the newest features: `python -m ml.comparison --lake URL --trial T --profile FILE --one P --two P`.

Both score the same rows: the newest features and labels of the patients that neither was trained or tuned on. Standard
output is JSON, one object a line: {"step", "done", "of"} while it runs, {"outcome"} or {"error"} last. The comparison is
written into the lake.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from ml.comparison.compare import Pair, compare
from ml.comparison.places import place_of
from ml.lake import Lake, LakeError, ObjectMissing
from ml.profile import StudyProfile
from ml.scoring import Bundle, BundleError
from ml.splits import PARTS, TEST
from ml.training import source
from ml.training.data import DataError
from ml.training.groups import groups_of

SPLIT = "split.json"


def tell(**message: Any) -> None:
    """Write one line."""
    sys.stdout.write(json.dumps(message, separators=(",", ":")) + "\n")
    sys.stdout.flush()


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


def run(lake: Lake, profile: StudyProfile, one: str, two: str, words: dict[str, str]) -> dict[str, Any]:
    """Score, compare and keep. Returns the path of the comparison and its main figures."""
    tell(step="reading features and labels", done=0, of=4)
    data, provenance = source.load(lake, profile)
    seen = learned_from(lake, one) | learned_from(lake, two)
    held = np.array([data.patients[row] not in seen for row in data.patient.tolist()], np.bool_)
    if not held.any():
        raise DataError(
            "Every patient with features was learned from by one of the two versions. Wait for new patients."
        )
    rows = data.take(held)
    tell(step="scoring with both versions", done=1, of=4)
    bundles = {name: Bundle.load_from_lake(lake, path) for name, path in (("one", one), ("two", two))}
    scores = {name: bundle.probabilities(rows.features) for name, bundle in bundles.items()}
    tell(step="intervals by drawing patients", done=2, of=4)
    pair = Pair(rows.patient, rows.label, scores["one"], scores["two"], groups_of(rows))
    body = compare(pair, bands=profile.bands) | {
        "trial_id": profile.trial_id,
        "simulated": profile.simulated,
        "horizon_hours": profile.horizon_hours,
        "data_version": provenance.data_version,
        "labels_version": provenance.labels_version,
        "labels_known_by": provenance.known_by,
        "left_out": {"patients one of them learned from": int((~held).sum())},
        "models": {
            name: {"name": words[name], "bundle_path": path, "bundle_digest": bundles[name].digest}
            for name, path in (("one", one), ("two", two))
        },
    }
    place = place_of(profile.trial_id, words["one"], words["two"])
    lake.put(place, (json.dumps(body, indent=1, sort_keys=True, allow_nan=False) + "\n").encode())
    return {
        "comparison": place,
        "decision": body["decision"]["sentence"],
        "auroc_one": body["figures"]["auroc"]["one"]["value"],
        "auroc_two": body["figures"]["auroc"]["two"]["value"],
        "held_out_rows": body["rows"],
    }


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m ml.comparison", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--lake", required=True)
    parser.add_argument("--lake-options", help="JSON file: endpoint, access_key, secret_key, region")
    parser.add_argument("--trial", required=True)
    parser.add_argument("--profile", type=Path, required=True, help="the study profile, JSON")
    for name in ("one", "two"):
        parser.add_argument(f"--{name}", required=True, help="folder of a version's bundle in the lake")
        parser.add_argument(f"--{name}-name", default=name, help="what it is called")
    given = parser.parse_args(argv)
    try:
        options = json.loads(Path(given.lake_options).read_text()) if given.lake_options else {}
        profile = StudyProfile.from_json(json.loads(given.profile.read_text()))
        names = {"one": given.one_name, "two": given.two_name}
        outcome = run(Lake.from_url(given.lake, **options), profile, given.one, given.two, names)
    except (DataError, LakeError, BundleError, OSError, ValueError) as error:
        tell(error=str(error))
        return 1
    tell(outcome=outcome)
    return 0


if __name__ == "__main__":
    sys.exit(main())
