"""Two model versions on the same rows, of patients that neither has learned from; `python -m ml.comparison` is its door."""

from ml.comparison.compare import Pair, compare
from ml.comparison.places import place_of

__all__ = ["Pair", "compare", "place_of"]
