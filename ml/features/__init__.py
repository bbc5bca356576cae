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

__all__ = [
    "FEATURES",
    "INDEX",
    "LOOKBACK_SECONDS",
    "NAMES",
    "TABLE_DIGEST",
    "Anchors",
    "Feature",
    "anchors",
    "baseline_period",
    "compute",
    "must_rebuild",
    "needed_facts",
    "needed_for_window",
]
