"""Where comparisons lie."""

from __future__ import annotations


def place_of(trial: str, one: str, two: str) -> str:
    """Where the newest comparison of two versions lies, by what they are called."""
    return f"comparisons/{trial}/{one}--{two}.json".replace(" ", "-")
