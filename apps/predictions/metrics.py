"""What operators watch of the predictions, under the names the requirements give."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

LATENCY = Histogram(
    "prediction_latency",
    "Seconds from the question to the stored answer.",
    ["source"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1, 2.5, 5, 10),
)
COUNT = Counter("prediction_count", "Predictions stored.", ["source", "level"])
ERRORS = Counter("prediction_errors", "Questions that were not answered.", ["code"])
ERROR_RATE = Gauge(
    "error_rate",
    "Share of the last 1,000 questions of this process that met a fault of ours (5xx).",
    multiprocess_mode="livemax",
)


class RecentErrors:
    """The share of faults among the last questions of this process; a ring of 0 and 1."""

    def __init__(self, size: int = 1000) -> None:
        self._ring = [0] * size
        self._at = self._filled = self._sum = 0

    def add(self, fault: bool) -> None:
        self._sum += int(fault) - self._ring[self._at]
        self._ring[self._at] = int(fault)
        self._at = (self._at + 1) % len(self._ring)
        self._filled = min(self._filled + 1, len(self._ring))
        ERROR_RATE.set(self._sum / self._filled)


recent = RecentErrors()
