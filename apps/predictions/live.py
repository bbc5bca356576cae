"""The live loop: from Kafka to a prediction on an open page.

poll → validate → clean → project to the portal's tables → windows (and positions, and who is due, in one transaction) →
score those whose cadence has passed → prediction and audit rows in one commit → notice to the pages.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence

import orjson
import structlog
from django.db import DatabaseError, InterfaceError, close_old_connections
from redis.exceptions import RedisError

from apps.audit.actors import Actor
from apps.core import clock
from apps.core.errors import Unavailable
from apps.ingestion import progress
from apps.ingestion.applier import Applier
from apps.ingestion.live_reader import LiveReader, TopicsMadeAnew
from apps.ingestion.rebuild import LIVE_GROUP, bring_up, rebuild
from apps.ingestion.window import Due, WindowStore
from apps.predictions import push, services
from apps.predictions.answering import Question, answer
from apps.predictions.lost import mark_lost
from apps.predictions.metrics import COUNT, LIVE_DELAY, LIVE_LAG, LIVE_PREDICTIONS
from apps.predictions.serving import Serving, current
from ml.facts import Facts
from ml.window import NEVER, Window

log = structlog.get_logger(__name__)

ACTOR = Actor.process("live-loop")
HEARTBEAT = "live:heartbeat"
HEARTBEAT_SECONDS = 5.0
CATCHING_UP = 5_000
"""Messages behind which the loop works through history: it flushes rarely and drops nothing from windows."""
FLUSH_MESSAGES = 200_000
TOGETHER = 200
REFRESH_SECONDS = 10.0
LOOK_SECONDS = 1.0
"""How often the loop looks whether Valkey was emptied under it."""
FUTURE_SECONDS = 60


class LiveLoop:
    """One per deployment: a second one would store every score twice."""

    def __init__(
        self,
        *,
        reader: LiveReader,
        store: WindowStore,
        default_trial: str,
        serving: Callable[[str], Serving | None] = current,
    ) -> None:
        self.reader = reader
        self.store = store
        self.applier = Applier(lake=reader.lake, store=store, default_trial=default_trial)
        self.scored_at: dict[str, float] = {}
        self._serving = serving
        self._catching_up = True
        self._beat_at = self._refreshed_at = 0.0
        self._predicted = 0
        self._again = False
        self._looked_at = time.monotonic()

    def run(self, stop: Callable[[], bool]) -> None:
        """Work until ``stop()``; what was read has taken effect when it returns."""
        try:
            self.begin()
            while not stop():
                try:
                    self.turn()
                except TopicsMadeAnew:
                    log.error("topic_made_anew", message="Windows are rebuilt; what was not claimed in bronze is lost.")
                    self._again = True
                except (DatabaseError, InterfaceError, RedisError) as error:
                    # nothing read since the last flush has taken effect in the windows: it is read again
                    log.error("store_not_answering", error=str(error))
                    close_old_connections()
                    time.sleep(1.0)
                    self._again = True
            self._flush()
            self._beat(force=True)
        finally:
            self.reader.close()

    # --- positions ---------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Go on where the windows stand; of another life of the topics they must first hold all that bronze has."""
        present = {state.topic_id for state in self.reader.look().values()}
        positions = self.store.positions()
        if not self.store.whole():
            log.warning("windows_rebuilding", reason="windows missing or of older code")
            positions = rebuild(self.applier, self._tell)
            mark_lost(by=ACTOR, lake=self.reader.lake)
        elif positions and not present <= {topic_id for _, topic_id, _ in positions}:
            positions = bring_up(self.applier, self._tell, present=present)
            mark_lost(by=ACTOR, lake=self.reader.lake)
        else:
            self.applier.pending = {}
            self.applier.refresh()
            self.applier.due = self.store.due()
            self.applier.rebuilding = self.store.rebuilding()
        self.reader.open(positions)
        self._catching_up = True
        log.info("live_opened", partitions=len(self.reader.next_offsets), due=len(self.applier.due))

    def _tell(self, topic: str, done: int, of: int) -> None:
        log.info("windows_filled", topic=topic, messages=done, of=of)

    # --- one turn ----------------------------------------------------------------------------------------------------

    def turn(self) -> None:
        """Read once, and do what is to be done."""
        if time.monotonic() - self._looked_at > LOOK_SECONDS:
            self._looked_at = time.monotonic()
            self._again = self._again or not self.store.whole()
        if self._again:
            self.begin()
            self._again = False
        lines = self.reader.poll(timeout_ms=200)
        if any(lines.values()):
            # only messages that are certainly of the ids we know may change anything
            while not self.reader.same_topics(force=True):
                time.sleep(0.2)
            self.applier.apply(lines, self.reader.epochs)
        else:
            self.reader.same_topics()
        lag = sum(self.reader.lags().values())
        self._catching_up = lag > CATCHING_UP
        if self.applier.pending and (not self._catching_up or self.applier.messages >= FLUSH_MESSAGES):
            self._flush()
        if not self._catching_up:
            self.applier.rebuild_moved()
            self.score_due()
        if time.monotonic() - self._refreshed_at > REFRESH_SECONDS:
            self._refreshed_at = time.monotonic()
            self.applier.refresh()
        self._beat()

    def _flush(self) -> None:
        self.applier.flush(self.reader.next_offsets, pruning=not self._catching_up)

    # --- scoring -----------------------------------------------------------------------------------------------------

    def score_due(self) -> int:
        """Score those who are due and whose cadence has passed; how many predictions were stored."""
        now = time.monotonic()
        by_trial: dict[str, list[str]] = {}
        for patient in self.applier.due:
            if patient not in self.applier.known or patient in self.applier.rebuilding:
                continue
            profile = self.applier.profile(patient)
            if profile.replay_time is not None:
                continue  # a finished trial is answered in batches, by its own date
            if now - self.scored_at.get(patient, -math.inf) >= profile.cadence_seconds:
                by_trial.setdefault(profile.trial_id, []).append(patient)
        count = 0
        for trial, patients in sorted(by_trial.items()):
            serving = self._serving(trial)
            if serving is None:
                continue
            for start in range(0, len(patients), TOGETHER):
                count += self._score(trial, sorted(patients)[start : start + TOGETHER], serving)
        self._predicted += count
        return count

    def _score(self, trial: str, patients: Sequence[str], serving: Serving) -> int:
        windows = self.store.windows(patients)
        now = math.ceil(clock.now().timestamp())
        due = {patient: self.applier.due[patient] for patient in windows}
        questions = [
            Question(patient, as_of(window, now), window.watermark, due[patient].correlation_id)
            for patient, window in windows.items()
        ]
        facts = Facts.concat(window.facts for window in windows.values())
        try:
            rows = services.store(by=ACTOR, answers=answer(questions, facts, serving), serving=serving, source="live")
        except DatabaseError as error:
            log.error("predictions_wait", error=str(error), patients=len(patients))
            close_old_connections()
            return 0
        for row in rows:
            COUNT.labels(source="live", level=row.level).inc()
        push.scored(trial, [question.patient for question in questions])
        self._done(due)
        log.info("predicted", trial=trial, patients=len(rows), model=serving.label)
        return len(rows)

    def _done(self, due: Mapping[str, Due]) -> None:
        moment, wall = time.monotonic(), clock.now().timestamp()
        for patient, entry in due.items():
            self.scored_at[patient] = moment
            LIVE_DELAY.observe(max(0.0, wall - entry.since_ms / 1000))
            if self.applier.due.get(patient) == entry:
                del self.applier.due[patient]
        LIVE_PREDICTIONS.inc(len(due))
        self.store.scored(due)

    # --- signs of life -----------------------------------------------------------------------------------------------

    def _beat(self, *, force: bool = False) -> None:
        """Say that the loop lives, how far it is, and when a message last came."""
        if not force and time.monotonic() - self._beat_at < HEARTBEAT_SECONDS:
            return
        self._beat_at = time.monotonic()
        lags = self.reader.lags()
        newest = [ms for place in lags if (ms := self.reader.newest_ms(place)) is not None]
        LIVE_LAG.set(sum(lags.values()))
        body = {
            "at": clock.now().timestamp(),
            "lag": sum(lags.values()),
            "last_message_at": max(newest) / 1000 if newest else None,
            "catching_up": self._catching_up,
            "due": len(self.applier.due),
            "predicted": self._predicted,
        }
        self.store.client.set(HEARTBEAT, orjson.dumps(body), ex=3600)
        if self.applier.pending:
            return  # the tables are ahead of the windows; their position is written after the flush
        try:
            progress.save(
                LIVE_GROUP,
                [
                    progress.Progress(
                        *place,
                        epoch=self.reader.epochs[place[0]][place[1]],
                        next_offset=self.reader.next_offsets[place],
                        lag=lag,
                        last_record_ms=self.reader.newest_ms(place),
                    )
                    for place, lag in lags.items()
                ],
            )
        except DatabaseError as error:
            log.warning("progress_not_saved", error=str(error))
            close_old_connections()


def as_of(window: Window, now: int) -> int:
    """The moment a live answer is about: now, or the newest applied event's times where a clock runs a little ahead."""
    newest = window.newest if window.newest != NEVER else now
    return max(now, min(newest, now + FUTURE_SECONDS))


def heartbeat(store: WindowStore) -> dict[str, object]:
    """What the loop last said of itself. Raises Unavailable if it never spoke."""
    body = store.client.get(HEARTBEAT)
    if body is None:
        raise Unavailable("The live loop does not run.", cure="Start it: manage.py run_live.", code="no_live_loop")
    found: dict[str, object] = orjson.loads(body)
    return found
