"""What a watcher of the demonstration sees in its first ten minutes: whose level changed because the true hazard rose.

    make bench NAME=first_minutes        (while `make run` is up, some minutes after its start)

For every patient: the live predictions of the ten minutes after the first one, the largest rise of the probability, and
beside it the simulator's true probability at the same two moments. A rise counts when it is of ten points or more, crosses
a level, is live, and the true probability rose by a point or more with it. Simulated patients only.
"""

from __future__ import annotations

import os
import sys
from datetime import timedelta
from typing import Any

import django

MINUTES = 10
POINTS = 0.10
TRUE_POINTS = 0.01


def main() -> int:
    """Print one line a patient that changed, then the verdict."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "clinical_portal.settings.local")
    django.setup()
    import numpy as np

    from apps.ingestion import simulate
    from apps.predictions.models import Prediction
    from ml.simulation import true_probability

    state = simulate.remembered()
    live = Prediction.objects.filter(trial__simulated=True, source="live", probability__isnull=False)
    first = live.order_by("created_at").first()
    if state is None or first is None:
        print("There are no live predictions yet: start `make run` and wait a few minutes.")
        return 1
    rows = live.filter(created_at__lt=first.created_at + timedelta(minutes=MINUTES)).order_by(
        "patient_id", "as_of", "id"
    )
    paths: dict[str, list[Any]] = {}
    for row in rows.only("patient_id", "as_of", "probability", "level", "top_factors"):
        paths.setdefault(row.patient_id, []).append(row)
    seen = 0
    for patient, path in sorted(paths.items()):
        low = path[0]
        best = None
        for row in path[1:]:
            if row.probability < low.probability:
                low = row
            elif best is None or row.probability - low.probability > best[1].probability - best[0].probability:
                best = (low, row)
        if best is None:
            continue
        before, after = best
        if after.probability - before.probability < POINTS or after.level == before.level:
            continue
        names = [patient.partition("/")[2]] * 2
        times = np.array([int(before.as_of.timestamp()), int(after.as_of.timestamp())], np.int64)
        truth = true_probability(state.config, names, times)
        rose = truth[1] - truth[0] >= TRUE_POINTS
        seen += bool(rose)
        reason = after.top_factors[0]["feature"] if after.top_factors else "-"
        print(
            f"{patient}: {before.probability:.2f} {before.level} -> {after.probability:.2f} {after.level}, "
            f"true {truth[0]:.2f} -> {truth[1]:.2f}, first reason {reason}"
        )
    verdict = "met" if seen >= 1 else "missed"
    print(
        f"first_minutes: ours {seen} patients, peer 0 patients, of {len(paths)} scored, goal >= 1, {verdict} (simulated)"
    )
    return 0 if seen else 1


if __name__ == "__main__":
    sys.exit(main())
