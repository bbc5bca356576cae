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

from ml.comparison.places import place_of
from ml.comparison.versions import Version, compare_versions
from ml.lake import Lake, LakeError
from ml.profile import StudyProfile
from ml.scoring import BundleError
from ml.training.data import DataError


def tell(**message: Any) -> None:
    """Write one line."""
    sys.stdout.write(json.dumps(message, separators=(",", ":")) + "\n")
    sys.stdout.flush()


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
        one, two = Version(given.one_name, given.one), Version(given.two_name, given.two)
        body = compare_versions(Lake.from_url(given.lake, **options), profile, one, two, tell=tell)
    except (DataError, LakeError, BundleError, OSError, ValueError) as error:
        tell(error=str(error))
        return 1
    auroc = body["figures"]["auroc"]
    tell(
        outcome={
            "comparison": place_of(profile.trial_id, one.name, two.name),
            "decision": body["decision"]["sentence"],
            "auroc_one": auroc["one"]["value"],
            "auroc_two": auroc["two"]["value"],
            "held_out_rows": body["rows"],
        }
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
