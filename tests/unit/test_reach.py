"""What a lineage says feeds a feature is enough: from these facts alone the kernel gives the same bits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import Phase, given, settings

from apps.predictions.reach import REACH, reach
from ml.facts import Facts
from ml.features import FEATURES, INDEX, compute
from tests.unit.features.histories import PROFILE, cohort, pairs, small


def of_one(facts: Facts, patient: int) -> Facts:
    mine = facts.take(facts.patient == patient)
    return replace(mine, patients=(facts.patients[patient],), patient=np.zeros(len(mine), np.int32))


def different(facts: Facts, t: int) -> list[str]:
    """Features whose bits change when the kernel is given nothing but what feeds them."""
    who, when = np.zeros(1, np.int32), np.array([t], np.int64)
    whole = compute(facts, who, when, PROFILE)[0]
    fed = reach(facts, t, PROFILE)
    assert set(fed) == {feature.name for feature in FEATURES}
    found = []
    alone_of: dict[bytes, np.ndarray] = {}
    for name, rows in fed.items():
        chosen = np.sort(rows)
        if chosen.tobytes() not in alone_of:
            alone_of[chosen.tobytes()] = compute(facts.take(chosen), who, when, PROFILE)[0]
        alone = alone_of[chosen.tobytes()]
        place = INDEX[name]
        if not np.array_equal(whole[place], alone[place], equal_nan=True):
            found.append(f"{name}: {whole[place]!r} is {alone[place]!r} from {len(rows)} facts")
    return found


def test_every_way_of_summarising_has_its_reach() -> None:
    assert set(REACH) == {feature.aggregation for feature in FEATURES}


@settings(
    max_examples=60, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate]
)  # shrinking takes minutes
@given(small())
def test_of_drawn_histories_what_feeds_a_feature_is_enough(drawn: tuple[Facts, np.ndarray, np.ndarray]) -> None:
    facts, patient, as_of = drawn
    assert different(of_one(facts, int(patient[0])), int(as_of[0])) == []


@pytest.mark.parametrize("seed", [1, 2])
def test_of_a_trial_what_feeds_a_feature_is_enough_and_not_everything(seed: int) -> None:
    facts = cohort(seed)
    shares = []
    for who, t in zip(*pairs(seed, facts, 4), strict=True):
        mine = of_one(facts, int(who))
        assert different(mine, int(t)) == []
        fed = reach(mine, int(t), PROFILE)
        known = ((mine.event_time <= t) & (mine.known_time <= t)).sum()
        if known > 1000:
            shares.append(len(fed["heart_rate_mean_1h"]) / known)
    assert shares
    assert max(shares) < 0.02, "an hour is a small part of a history"
