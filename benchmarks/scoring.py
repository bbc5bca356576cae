"""How long scoring takes, contributions included: one row, and 1,000 rows in one call.

python -m benchmarks.scoring
"""

from __future__ import annotations

import sys
import time

import numpy as np

from ml.profile import StudyProfile
from ml.scoring import Bundle, Scaler, score

FEATURES, ROWS = 120, 1000
GOALS_MS = {1: 1.0, ROWS: 300.0}
CALLS = {1: 500, ROWS: 15}


def bundle() -> Bundle:
    """A network of the served size with random weights: the time does not depend on what was learned."""
    rng = np.random.default_rng(1)
    zero, one = np.zeros(FEATURES), np.ones(FEATURES)
    scaler = Scaler(
        names=tuple(f"x{i}" for i in range(FEATURES)),
        median=zero,
        mean=zero,
        std=one,
        lowest=-5 * one,
        highest=5 * one,
        missing_share=zero,
        masked=np.zeros(FEATURES, np.bool_),
        clip=6.0,
    )
    shapes = {"w1": (64, FEATURES), "b1": (64,), "w2": (32, 64), "b2": (32,), "w3": (32,), "b3": (1,)}
    weights = {name: rng.normal(0, 0.2, shape).astype(np.float32) for name, shape in shapes.items()}
    return Bundle(weights, scaler, 1.0, -2.0, "", "", "", 0)


def main() -> int:
    """Time both sizes; returns the exit status."""
    profile, model = StudyProfile("BENCH", signs_required=()), bundle()
    vectors = np.random.default_rng(2).normal(size=(ROWS, FEATURES)).astype(np.float32)
    ratios, words = [], []
    for size, goal in GOALS_MS.items():
        taken = []
        for _ in range(CALLS[size]):
            began = time.perf_counter()
            score(model, vectors[:size], profile)
            taken.append(1000 * (time.perf_counter() - began))
        median = float(np.median(taken))
        ratios.append(goal / median)
        words.append(f"{median:.2f} ms for {size:,} (limit {goal:g})")
    met = min(ratios) >= 1
    print(
        f"scoring: ours {', '.join(words)}, peer the limit, ratio {min(ratios):.1f}, goal >= 1.0,"
        f" {'met' if met else 'missed'}"
    )
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
