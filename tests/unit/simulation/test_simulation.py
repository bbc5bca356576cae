"""The simulator: the same bytes however it is asked, honest about what can be known, blind to how arms are called."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace

import numpy as np
import orjson
import pytest

from benchmarks.simulation import measure
from ml.contracts import EVENTS, TOPICS, Accepted, Refused, validate
from ml.simulation import KINDS, Message, Rates, SimulationConfig, Simulator, malformed, true_probability
from ml.simulation.cohort import cohort
from ml.simulation.config import DAY, HOUR
from ml.simulation.demo import demo_profile, plan_demo, unfolding
from ml.simulation.latent import events, oracle
from ml.simulation.state import State, Unreadable, read_state, write_state
from ml.simulation.truth import hazard_table

ORIGIN = 1_780_012_800
RATES = Rates(late=0.05, correction=0.02, retraction=0.01, duplicate=0.02, unit_variant=0.1, malformed=0.01)
SMALL = SimulationConfig(origin=ORIGIN, seed=7, patients=12, days=12, rates=RATES)
END = ORIGIN + 12 * DAY


@pytest.fixture(scope="module")
def small() -> list[Message]:
    return list(Simulator(SMALL).messages(ORIGIN, END))


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(small: list[Message]) -> None:
    assert list(Simulator(SMALL).messages(ORIGIN, END)) == small
    assert list(Simulator(replace(SMALL, seed=8)).messages(ORIGIN, END)) != small


def test_cut_into_odd_spans_and_chunks_of_patients_it_is_the_same(small: list[Message]) -> None:
    simulator = Simulator(SMALL, chunk=5)
    cuts = [ORIGIN, ORIGIN + 1, *(ORIGIN + k * (DAY // 3) + 17 * k for k in range(1, 36)), END]
    pieces = [message for a, b in itertools.pairwise(cuts) for message in simulator.messages(a, b)]
    assert pieces == small


def test_any_day_can_be_made_alone(small: list[Message]) -> None:
    day = ORIGIN + 9 * DAY
    assert list(Simulator(SMALL).messages(day, day + DAY)) == [m for m in small if day <= m.known_at < day + DAY]


def test_a_patient_is_the_same_in_a_larger_trial(small: list[Message]) -> None:
    larger = Simulator(replace(SMALL, patients=40)).messages(ORIGIN, ORIGIN + 3 * DAY)
    ours = {m.key for m in small}
    assert [m for m in larger if m.key in ours] == [m for m in small if m.known_at < ORIGIN + 3 * DAY]


def test_live_continues_the_history_exactly(small: list[Message]) -> None:
    turn = ORIGIN + 8 * DAY + 5 * HOUR + 3
    live = replace(SMALL, live_from=turn, live_cadence_seconds=60)
    assert list(Simulator(live).messages(ORIGIN, turn)) == [m for m in small if m.known_at < turn]
    more = list(Simulator(live).messages(turn + DAY, turn + DAY + HOUR))
    usual = [m for m in small if turn + DAY <= m.known_at < turn + DAY + HOUR]
    good = [m for m in usual if isinstance(validate(m.topic, m.value), Accepted)]
    assert set(good) <= set(more)
    assert len(more) > 8 * len(usual)


def test_messages_are_in_order_and_keep_their_contract_but_for_the_malformed(small: list[Message]) -> None:
    assert [m.known_at for m in small] == sorted(m.known_at for m in small)
    refused = [m for m in small if isinstance(validate(m.topic, m.value), Refused)]
    share = len(refused) / len(small)
    assert RATES.malformed / 2 < share < RATES.malformed * 2
    assert all(m.topic == "patient-vitals" for m in refused)
    good = [m for m in small if m not in refused]
    assert {m.topic for m in good} == set(TOPICS)
    for message in good:
        body = orjson.loads(message.value)
        assert message.key == f"DEMO/{body['patient_id']}"
        assert body[EVENTS[message.topic].time_column] <= body["recorded_at"]


def test_every_wish_for_trouble_is_met(small: list[Message]) -> None:
    vitals = []
    for message in small:
        answer = validate(message.topic, message.value)
        if message.topic == "patient-vitals" and isinstance(answer, Accepted):
            vitals.append(answer.value)
    assert any(v.get("retracted") for v in vitals)
    assert any(v.get("temperature_unit") == "[degF]" for v in vitals)
    assert any("spo2" not in v and "weight" not in v for v in vitals)
    told: dict[tuple[str, str, str], list[dict[str, object]]] = {}
    for value in vitals:
        told.setdefault((value["patient_id"], value["timestamp"], value["source"]), []).append(value)
    versions = [v for v in told.values() if len(v) > 1]
    assert any(a.get("heart_rate") != b.get("heart_rate") for a, b, *_ in versions)
    assert any({**a, "recorded_at": 0} == {**b, "recorded_at": 0} for a, b, *_ in versions)


def test_two_trials_that_differ_by_their_arms_differ_only_in_what_reveals_the_arm(small: list[Message]) -> None:
    swapped = list(Simulator(replace(SMALL, swap_arms=True)).messages(ORIGIN, END))
    assert swapped != small
    assert [m.known_at for m in swapped] == [m.known_at for m in small]
    for one, other in zip(small, swapped, strict=True):
        if one.value == other.value:
            continue
        a, b = orjson.loads(one.value), orjson.loads(other.value)
        different = {name for name in a.keys() | b.keys() if a.get(name) != b.get(name)}
        assert all(EVENTS[one.topic].column(name).blinding == "arm" for name in different), different


def test_each_kind_of_malformed_message_is_refused_with_a_reason() -> None:
    assert len(KINDS) >= 12
    for kind in KINDS:
        for draw in range(20):
            answer = validate("patient-vitals", malformed(kind, random.Random(draw)))
            assert isinstance(answer, Refused), kind
        assert malformed(kind, random.Random(3)) == malformed(kind, random.Random(3))


def test_the_oracle_says_what_happens() -> None:
    """Calibrated: over many patient-days, the events that come are as many as it expected."""
    people = cohort(SimulationConfig(origin=ORIGIN, seed=3, patients=1_000, days=40))
    row = np.repeat(np.arange(1_000), 30)
    time = np.tile(ORIGIN + np.arange(8, 38) * DAY + 31_000, 1_000)
    stays = people.end[row] > time + DAY
    row, time = row[stays], time[stays]
    p = oracle(people, row, time)
    onset = events(people, ORIGIN, ORIGIN + 41 * DAY)
    comes = np.zeros(len(row), np.bool_)
    for person in range(1_000):
        own, at = onset.time[onset.row == person], row == person
        comes[at] = np.searchsorted(own, time[at] + DAY, "right") > np.searchsorted(own, time[at], "right")
    for low, high in ((0.0, 0.03), (0.03, 0.1), (0.1, 0.3), (0.3, 0.6), (0.6, 1.0)):
        band = (p >= low) & (p < high)
        error = 4 * np.sqrt(p[band].mean() * (1 - p[band].mean()) / band.sum()) + 0.01
        assert abs(comes[band].mean() - p[band].mean()) < error, (low, high)


def test_the_bands_of_what_can_be_known_hold_on_a_seed() -> None:
    found = measure(seed=977, patients=200, days=60)
    assert 0.04 <= found["positive"] <= 0.065
    assert 0.87 <= found["oracle"] <= 0.92
    assert found["news2"] <= 0.75
    assert found["logistic_gain"] >= 0.90


@pytest.mark.parametrize(("drift", "changes"), [("feature", True), ("concept", False)])
def test_drift_begins_on_its_day_and_leaves_the_hazard_alone(drift: str, changes: bool) -> None:
    config = SimulationConfig(origin=ORIGIN, seed=5, patients=30, days=12, rates=Rates(malformed=0))
    drifted = replace(config, drift=drift, drift_day=6)
    calm, other = Simulator(config), Simulator(drifted)
    before = (ORIGIN, ORIGIN + 6 * DAY)
    assert list(calm.messages(*before)) == list(other.messages(*before))
    after = (ORIGIN + 6 * DAY + HOUR, ORIGIN + 11 * DAY)
    assert list(calm.messages(*after)) != list(other.messages(*after))
    row, time = np.arange(30), np.full(30, ORIGIN + 9 * DAY)
    assert (oracle(cohort(config), row, time) == oracle(cohort(drifted), row, time)).all()

    def mean_rate(simulator: Simulator) -> float:
        bodies = [orjson.loads(m.value) for m in simulator.messages(*after) if m.topic == "patient-vitals"]
        rates = [body["heart_rate"] for body in bodies if "heart_rate" in body]
        return float(np.mean(rates))

    assert (mean_rate(other) - mean_rate(calm) > 4) == changes


def test_the_show_is_planned_in_calm_patients_and_stands_in_the_config() -> None:
    config = SimulationConfig(origin=ORIGIN, seed=2, patients=200, days=60)
    moment = ORIGIN + 60 * DAY + 7 * HOUR
    planned = plan_demo(config, moment)
    assert unfolding(planned, moment) >= 6
    assert len({p.patient for p in planned.planned}) == len(planned.planned)
    assert SimulationConfig.from_json(planned.to_json()) == planned
    people = cohort(planned)
    worse = [p for p in planned.planned if p.rise_hours < 2 and p.start > moment]
    rows = np.array([p.patient for p in worse])
    starts = np.array([p.start for p in worse])
    assert (oracle(people, rows, starts - 60) < 0.1).all()
    assert (oracle(people, rows, starts + 60) > 0.5).all()
    # What was sent before the plan was made stays as it was.
    late = plan_demo(config, moment, earliest=moment - 600)
    assert all(p.start >= moment - 600 for p in late.planned)
    sent = (moment - DAY, moment - 600)
    assert list(Simulator(late).messages(*sent)) == list(Simulator(config).messages(*sent))
    assert demo_profile("DEMO").simulated


def test_the_truth_is_told_by_name_and_as_a_table() -> None:
    table = hazard_table(SMALL, ORIGIN + DAY, ORIGIN + 2 * DAY)
    assert table.num_rows == 12 * 24
    row = table.slice(30, 1).to_pylist()[0]
    assert true_probability(SMALL, [row["patient"]], np.array([row["time"]]))[0] == row["p_24h"]
    with pytest.raises(KeyError):
        true_probability(SMALL, ["nobody"], np.array([ORIGIN]))


def test_the_state_is_remembered_and_a_damaged_file_is_named(tmp_path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "simulator" / "DEMO.json"
    assert read_state(path) is None
    state = State(plan_demo(SMALL, END), ORIGIN + 5)
    write_state(path, state)
    assert read_state(path) == state
    path.write_text("{")
    with pytest.raises(Unreadable, match=r"DEMO\.json"):
        read_state(path)


@pytest.mark.parametrize(
    "wrong", [{"patients": 0}, {"patients": 10_001}, {"origin": 5}, {"vitals_cadence_seconds": 7}, {"drift": "odd"}]
)
def test_a_config_out_of_bounds_is_refused_in_words(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"[A-Z].*"):
        SimulationConfig(**{"origin": ORIGIN, **wrong})  # type: ignore[arg-type]
