"""Two model versions on the same rows, of patients that neither has learned from; `python -m ml.comparison` is its door."""

from ml.comparison.compare import Pair, compare, in_words
from ml.comparison.places import place_of

__all__ = ["Pair", "compare", "in_words", "place_of"]
