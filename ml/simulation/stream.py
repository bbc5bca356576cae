"""All messages of a simulation in the order in which they become known, for any span of time.

Every number is a function of what it is for (`streams`), so a span gives the same bytes whether it is asked for alone,
day by day or at once, and what is made live continues the history that was made before.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

import numpy as np

from ml.contracts.events import TOPICS
from ml.simulation.cohort import Cohort, cohort
from ml.simulation.config import DAY, HOUR, SimulationConfig
from ml.simulation.context_messages import context_messages, dose_messages
from ml.simulation.event_messages import event_messages
from ml.simulation.lab_messages import lab_messages
from ml.simulation.malformed import KINDS, malformed
from ml.simulation.streams import Stream, uniform, words
from ml.simulation.vital_messages import vital_messages
from ml.simulation.wire import Draft, Message

CHUNK = 500
"""Patients made at a time: bounds memory, changes nothing."""
PARTS = (vital_messages, lab_messages, event_messages, context_messages, dose_messages)


class Simulator:
    """A configured simulation. Its patients are drawn once; `messages` may be asked for any spans in any order."""

    def __init__(
        self, config: SimulationConfig, *, chunk: int = CHUNK, first: int = 0, last: int | None = None
    ) -> None:
        """Patients `first` to `last` (exclusive; None = all)."""
        self.config = config
        end = config.patients if last is None else min(last, config.patients)
        self.chunks: list[Cohort] = [cohort(config, at, min(at + chunk, end)) for at in range(first, end, chunk)]
        self._key = {
            position: f"{config.trial_id}/{name}"
            for part in self.chunks
            for position, name in zip(part.position.tolist(), part.patient_id, strict=True)
        }

    def messages(self, first: int, last: int) -> Iterator[Message]:
        """Messages known in [first, last) seconds since 1970, in order; made a day (of many patients: less) at a time.

        The order is (known_at, topic, patient, number): one total order that no cut of the span can change.
        """
        step = max(HOUR, min(DAY, DAY * 2_000 // self.config.patients // HOUR * HOUR))
        begin = max(first, self.config.origin)
        while begin < last:
            end = min(last, (begin // step + 1) * step)
            yield from self._span(begin, end)
            begin = end

    def _span(self, first: int, last: int) -> Iterator[Message]:
        drafts: list[Draft] = [draft for people in self.chunks for part in PARTS for draft in part(people, first, last)]
        drafts.sort()
        broken = self._broken(drafts)
        for index, item in enumerate(drafts):
            yield Message(item.known_at, TOPICS[item.topic], self._key[item.position], item.value)
            if index in broken:
                yield Message(item.known_at, TOPICS[0], self._key[item.position], broken[index])

    def _broken(self, drafts: list[Draft]) -> dict[int, bytes]:
        """Malformed messages, by the index of the message each follows."""
        rate = self.config.rates.malformed
        if not rate or not drafts:
            return {}
        seed = self.config.seed
        named = np.array([item[:4] for item in drafts], np.int64)
        hit = np.flatnonzero(uniform(seed, Stream.MALFORMED, *named.T) < rate)
        drawn = words(seed, Stream.MALFORMED, *named[hit].T, 1).tolist()
        return {
            index: malformed(KINDS[draw % len(KINDS)], random.Random(draw))  # noqa: S311 - not a secret
            for index, draw in zip(hit.tolist(), drawn, strict=True)
        }
