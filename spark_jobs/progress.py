"""Progress on standard output, one JSON object a line: {"step", "done", "of"}, at last {"outcome"} or {"error"}."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pyspark.sql import SparkSession

POLL_SECONDS = 0.5


def tell(**message: Any) -> None:
    """Write one line."""
    sys.stdout.write(json.dumps(message, separators=(",", ":"), default=str) + "\n")
    sys.stdout.flush()


@contextmanager
def step(spark: SparkSession, sentence: str) -> Iterator[None]:
    """Report the Spark tasks of what is done inside, twice a second."""
    tracker = spark.sparkContext.statusTracker()
    ended = threading.Event()
    tell(step=sentence, done=0, of=0)

    def watch() -> None:
        told = (0, 0)
        while not ended.wait(POLL_SECONDS):
            stages = [tracker.getStageInfo(stage) for stage in tracker.getActiveStageIds()]
            done = sum(stage.numCompletedTasks for stage in stages if stage is not None)
            total = sum(stage.numTasks for stage in stages if stage is not None)
            if total and (done, total) != told:
                told = (done, total)
                tell(step=sentence, done=done, of=total)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()
