"""Scoring: the trained network's probability, level and reasons, in NumPy, with the same bits everywhere."""

from ml.scoring.bundle import Bundle, BundleError, Scaler, bundle_digest, feature_digest
from ml.scoring.fingerprint import fingerprint, fingerprint_parts
from ml.scoring.indeterminate import Reason
from ml.scoring.score import Scores, TopFactors, score, top_factors

__all__ = [
    "Bundle",
    "BundleError",
    "Reason",
    "Scaler",
    "Scores",
    "TopFactors",
    "bundle_digest",
    "feature_digest",
    "fingerprint",
    "fingerprint_parts",
    "score",
    "top_factors",
]
