"""Evaluation: figures with patient-bootstrap intervals, and the gates of a study."""

from ml.evaluation.bootstrap import Estimate
from ml.evaluation.evaluate import Rows, evaluate
from ml.evaluation.gates import Verdict, gates, may_serve

__all__ = ["Estimate", "Rows", "Verdict", "evaluate", "gates", "may_serve"]
