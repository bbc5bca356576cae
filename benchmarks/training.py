"""How long training takes: 90,000 × 120 rows, 50 epochs, on this machine.

python -m benchmarks.training
"""

from __future__ import annotations

import sys
import time

import numpy as np

from ml.training.data import TrainingData
from ml.training.train import TrainingConfig, train

PATIENTS, DAYS, FEATURES, EPOCHS = 1000, 90, 120, 50
GOAL_SECONDS = 60.0


def main() -> int:
    """Train once on random rows with a signal; returns the exit status."""
    rng = np.random.default_rng(1)
    n = PATIENTS * DAYS
    features = rng.normal(size=(n, FEATURES)).astype(np.float32)
    logit = features[:, :12] @ rng.normal(0, 0.4, 12) - 3.6
    patient = np.repeat(np.arange(PATIENTS), DAYS).astype(np.int32)
    data = TrainingData(
        names=tuple(f"x{i}" for i in range(FEATURES)),
        patients=tuple(f"BENCH/{i}" for i in range(PATIENTS)),
        patient=patient,
        as_of=np.tile(np.arange(DAYS) * 86_400, PATIENTS),
        features=features,
        label=(rng.random(n) < 1 / (1 + np.exp(-logit))).astype(np.int8),
        site=np.full(n, "01"),
        hours_to_onset=np.full(n, np.nan),
        left_out={},
    )
    began = time.perf_counter()
    trained = train(TrainingConfig(epochs=EPOCHS, patience=EPOCHS), data)
    seconds = time.perf_counter() - began
    met = seconds < GOAL_SECONDS
    print(
        f"training: ours {seconds:.1f} s for {len(trained.epochs)} epochs of {n:,} rows, peer {GOAL_SECONDS:.0f} s (limit),"
        f" ratio {GOAL_SECONDS / seconds:.1f}, goal >= 1.0, {'met' if met else 'missed'}"
    )
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
