"""Evaluation: figures with patient-bootstrap intervals, comparisons on the same rows, and the gates of a study."""

from ml.evaluation.bootstrap import Estimate
from ml.evaluation.compare import Comparison, compare
from ml.evaluation.evaluate import Rows, evaluate
from ml.evaluation.gates import Verdict, gates, may_serve

__all__ = ["Comparison", "Estimate", "Rows", "Verdict", "compare", "evaluate", "gates", "may_serve"]
