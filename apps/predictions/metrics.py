"""What operators watch of the predictions; names, labels and help are rows of ``core.metric_table``."""

from __future__ import annotations

from apps.core.metrics import counter, gauge, histogram

LATENCY = histogram("prediction_latency")
COUNT = counter("prediction_count")
ERRORS = counter("prediction_errors")
ERROR_RATE = gauge("error_rate")
ERROR_RATE.set(0)  # shown from the first moment: that nothing was asked yet is no fault


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

LIVE_DELAY = histogram("live_prediction_delay_seconds")
LIVE_PREDICTIONS = counter("live_predictions")
LIVE_LAG = gauge("live_loop_lag")
