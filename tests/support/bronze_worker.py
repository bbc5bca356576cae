"""A bronze consumer in a process of its own that a test may kill: ``python -m tests.support.bronze_worker …``.

``--kill written:7`` makes it send itself SIGKILL when it comes to that point for the 7th time.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import threading
from collections import Counter

from apps.ingestion.bronze_consumer import BronzeConsumer, Limits
from ml.lake import Lake


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--servers", required=True)
    parser.add_argument("--lake", required=True)
    parser.add_argument("--options", default="{}")
    parser.add_argument("--records", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--kill", default="")
    parser.add_argument("--drain", action="store_true")
    given = parser.parse_args()
    seen: Counter[str] = Counter()
    lock = threading.Lock()
    point, _, times = given.kill.partition(":")

    def probe(here: str) -> None:
        with lock:
            seen[here] += 1
            if here == point and seen[here] == int(times):
                os.kill(os.getpid(), signal.SIGKILL)

    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    BronzeConsumer(
        lake=Lake.from_url(given.lake, **json.loads(given.options)),
        servers=given.servers.split(","),
        group_id="kill-test",
        default_trial="DEMO",
        limits=Limits(records=given.records, seconds=given.seconds),
        probe=probe,
    ).run(stop.is_set, drain=given.drain)


if __name__ == "__main__":
    main()
