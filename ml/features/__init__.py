"""Features: the table of 120, the kernel that computes them, the plain reference it is checked against."""

from ml.features.baseline import (
    Anchors,
    anchors,
    baseline_period,
    must_rebuild,
    needed_facts,
    needed_for_window,
)
from ml.features.kernel import compute
from ml.features.table import FEATURES, INDEX, LOOKBACK_SECONDS, NAMES, TABLE_DIGEST, Feature
from ml.features.vectors import Difference, canonical, compare, from_bytes, mask, vector_bytes, vector_sha256

__all__ = [
    "FEATURES",
    "INDEX",
    "LOOKBACK_SECONDS",
    "NAMES",
    "TABLE_DIGEST",
    "Anchors",
    "Difference",
    "Feature",
    "anchors",
    "baseline_period",
    "canonical",
    "compare",
    "compute",
    "from_bytes",
    "mask",
    "must_rebuild",
    "needed_facts",
    "needed_for_window",
    "vector_bytes",
    "vector_sha256",
]
