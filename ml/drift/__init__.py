"""Drift: recent feature vectors against the training sample that is kept with a model."""

from ml.drift.reference import Reference, sample_rows
from ml.drift.table import FeatureDrift, drift_table, drifted

__all__ = ["FeatureDrift", "Reference", "drift_table", "drifted", "sample_rows"]
