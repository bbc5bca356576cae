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

LIVE_DELAY = Histogram(
    "live_prediction_delay_seconds",
    "From the record's timestamp of the first event that asked for a score to the stored prediction.",
    buckets=(0.25, 0.5, 1, 2, 5, 10, 30, 60, 90, 120, 300),
)
LIVE_PREDICTIONS = Counter("live_predictions_total", "Predictions of the live loop.")
LIVE_LAG = Gauge("live_loop_lag", "Messages on the broker that the live loop has not read yet.")
