"""Sending simulated patients to Kafka: their history as backfill, then as time passes.

What has been sent is remembered in one file under the var folder (config, seed, origin, position). A restart fills the gap
since then as backfill and goes on; it never begins a second history. The last two minutes before the position are sent
again, because a broker that keeps everything in memory may have died with them; the cleaning removes what comes twice.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import structlog
from django.conf import settings

from apps.core import clock
from apps.core.errors import Conflict
from apps.ingestion.producer import EventProducer
from ml.simulation import SimulationConfig, Simulator, State, read_state, state_path, write_hazard, write_state
from ml.simulation.config import DAY
from ml.simulation.demo import plan_demo, unfolding

log = structlog.get_logger(__name__)

HISTORY, LIVE = "simulator-history", "simulator-live"
OVERLAP_SECONDS = 120
BEHIND_SECONDS = 120
"""Further behind the clock than this, messages go out as backfill: they were not known just now."""
BLOCK_SECONDS = 600
SAVE_SECONDS = 5
SHOWN_AT_ONCE = 6
"""So many planned deteriorations must be under way when the live part starts; else more are planned."""

Progress = Callable[[int, float], None]
"""Called with messages sent and the share of the span done, 0 to 1."""


def path() -> Path:
    """The file that remembers the demo."""
    return state_path(settings.VAR_DIR, settings.DEFAULT_TRIAL_ID)


def remembered() -> State | None:
    """The demo as the file remembers it; None where none was begun."""
    return read_state(path())


def begin(*, patients: int, days: int, seed: int, sites: int = 6, trial_id: str | None = None) -> State:
    """The state of the demo: what the file remembers, or a new one that ends its history now.

    Conflict if the file remembers a demo of another size or seed: a second history is never begun over the first.
    """
    before = remembered()
    if before is not None:
        config = before.config
        if (config.patients, config.seed) != (patients, seed):
            raise Conflict(
                f"A demo of {config.patients} patients with seed {config.seed} has begun already.",
                cure=f"Ask for the same, or delete {settings.VAR_DIR} to begin anew.",
                code="simulation_begun",
            )
        return before
    now = _now()
    config = SimulationConfig(
        origin=(now // DAY - days) * DAY,
        seed=seed,
        patients=patients,
        sites=sites,
        days=days,
        trial_id=trial_id or settings.DEFAULT_TRIAL_ID,
    )
    state = State(plan_demo(config, now), config.origin)
    write_state(path(), state)
    return state


def backfill(
    state: State,
    until: int,
    *,
    rate: float = 0.0,
    progress: Progress | None = None,
    stop: threading.Event | None = None,
) -> tuple[State, int]:
    """Send what became known from the position up to `until` (seconds since 1970), as history, with its recorded_at.

    `rate`: at most so many messages a second (0 = as fast as the broker takes them). The state is saved after each day.
    The new state and the number sent.
    """
    first = max(state.config.origin, state.position - OVERLAP_SECONDS)
    span = max(1, until - first)
    sent, began = 0, time.monotonic()
    simulator = Simulator(state.config)
    with EventProducer(settings.KAFKA_BOOTSTRAP_SERVERS, producer=HISTORY) as producer:
        begin_at = first
        while begin_at < until and not (stop and stop.is_set()):
            end = min(until, (begin_at // DAY + 1) * DAY)
            for message in simulator.messages(begin_at, end):
                # The record bears the time it was known, so that bronze lies under the hour it belongs to.
                producer.send(message.topic, message.key, message.value, timestamp_ms=message.known_at * 1000)
                sent += 1
                if rate and sent % 50 == 0:
                    _pace(sent, began, rate)
                if stop and sent % 1000 == 0 and stop.is_set():
                    return state, sent
            producer.flush()
            state = _moved(state, end)
            begin_at = end
            if progress:
                progress(sent, (end - first) / span)
    return state, sent


def _pace(sent: int, began: float, rate: float) -> None:
    ahead = sent / rate - (time.monotonic() - began)
    if ahead > 0:
        time.sleep(ahead)


def live_config(config: SimulationConfig, now: int, position: int, rate: float) -> SimulationConfig:
    """The config to go live with: a show under way, and the cadence that gives `rate` messages a second (0 = 15 min).

    Messages are made by patients at whole seconds, so a rate above one a second and patient needs more patients.
    """
    if unfolding(config, now) < SHOWN_AT_ONCE:
        config = plan_demo(config, now, earliest=position)
    cadence = max(1, round(config.patients / rate)) if rate else None
    if cadence is not None and cadence >= config.vitals_cadence_seconds:
        cadence = None
    if cadence != config.live_cadence_seconds:
        config = replace(config, live_cadence_seconds=cadence, live_from=None if cadence is None else position)
    return config


def write_truth(state: State) -> Path:
    """Write the true hazard of all patients, hourly, beside the state; the path of the file."""
    target = path().with_name(f"hazard-{state.config.trial_id}.parquet")
    write_hazard(target, state.config, state.config.origin + DAY, state.position)
    return target


def run_live(state: State, stop: threading.Event, *, rate: float = 0.0) -> State:
    """Fill the gap, then send every message in the second in which it becomes known, until `stop` is set."""
    now = _now()
    state = _moved(replace(state, config=live_config(state.config, now, state.position, rate)), state.position)
    state, sent = backfill(state, _now(), stop=stop)
    log.info("simulator_gap_filled", messages=sent)
    while not stop.is_set():
        if (behind := _now() - state.position) > BEHIND_SECONDS:
            log.warning("simulator_behind", seconds=behind)
            state, _ = backfill(state, _now(), stop=stop)
        else:
            state = _follow(state, stop)
    return state


def _now() -> int:
    return int(clock.now().timestamp())


def _moved(state: State, position: int) -> State:
    """The state at a later position, saved."""
    state = replace(state, position=max(state.position, position))
    write_state(path(), state)
    return state


def _follow(state: State, stop: threading.Event) -> State:
    """Send in real time until stopped or fallen behind."""
    simulator = Simulator(state.config)
    with EventProducer(settings.KAFKA_BOOTSTRAP_SERVERS, producer=LIVE) as producer:
        while not stop.is_set():
            end = state.position + BLOCK_SECONDS
            for message in simulator.messages(state.position, end):
                state = _until(message.known_at, state, producer, stop)
                if stop.is_set() or _now() - message.known_at > BEHIND_SECONDS:
                    producer.flush()
                    return _moved(state, min(message.known_at, _now()))
                producer.send(message.topic, message.key, message.value)
            state = _until(end, state, producer, stop)
            if not stop.is_set():
                producer.flush()
                state = _moved(state, end)
    return state


def _until(moment: int, state: State, producer: EventProducer, stop: threading.Event) -> State:
    """Wait for the moment; meanwhile what was sent is made certain and remembered every few seconds.

    All messages known before `moment` have been handed over, so the position is the moment or now, the earlier one.
    """
    while (wait := moment - clock.now().timestamp()) > 0 and not stop.is_set():
        position = min(moment, _now())
        if position - state.position >= SAVE_SECONDS:
            producer.flush()
            state = _moved(state, position)
        stop.wait(min(wait, 1.0))
    return state
