"""The table of triggers, judged on drawn numbers; and the numbers of the running platform."""

from __future__ import annotations

import numpy as np
import pytest

from apps.monitoring.operations import _since, lag, quantile
from apps.monitoring.triggers import BY_NAME, TRIGGERS, judge, retraining

QUIET = {
    "auroc": 0.86, "features_drifted": 1.0, "error_share": 0.001, "latency_p99": 0.1, "invalid_share": 0.02, "lag": 12.0,
    "spark_failed": 0.0,
}  # fmt: skip


def firing(**changed: float | None) -> set[str]:
    return {one.trigger.name for one in judge(QUIET | changed, {}) if one.state == "firing"}


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, set()),
        ({"auroc": 0.7499}, {"auroc_critical", "auroc_low"}),
        ({"auroc": 0.75}, {"auroc_low"}),
        ({"auroc": 0.80}, set()),
        ({"features_drifted": 3.0}, set()),
        ({"features_drifted": 4.0}, {"drift"}),
        ({"features_drifted": 5.0}, {"drift"}),
        ({"features_drifted": 6.0}, {"drift", "drift_many"}),
        ({"error_share": 0.05}, set()),
        ({"error_share": 0.051}, {"errors"}),
        ({"latency_p99": 0.201}, {"latency_objective"}),
        ({"latency_p99": 0.301}, {"latency", "latency_objective"}),
        ({"invalid_share": 0.11}, {"invalid"}),
        ({"lag": 10_000.0}, set()),
        ({"lag": 10_001.0}, {"lag"}),
        ({"spark_failed": 1.0}, {"spark_failed"}),
    ],
)
def test_each_trigger_at_its_threshold(changed: dict[str, float], expected: set[str]) -> None:
    assert firing(**changed) == expected


def test_two_checks_running() -> None:
    now = QUIET | {"auroc": 0.79}

    def state(*earlier: float | None) -> str:
        found = judge(now, {}, [QUIET | {"auroc": value} for value in earlier])
        return next(one.state for one in found if one.trigger.name == "auroc_low_twice")

    assert state() == "quiet"
    assert state(0.81) == "quiet"
    assert state(None) == "quiet", "a check without a number proves nothing"
    assert state(0.79) == "firing"


def test_a_number_that_is_not_there_is_never_taken_for_quiet() -> None:
    found = judge({}, {"lag": "no consumer has said how far it is"})
    assert {one.state for one in found} == {"not judged"}
    said = {one.trigger.name: one.sentence for one in found}
    assert said["lag"] == "Not judged: no consumer has said how far it is."
    assert retraining(found) == ("", "")


def test_performance_comes_before_drift_and_says_which_number() -> None:
    reason, why = retraining(judge(QUIET | {"auroc": 0.7, "features_drifted": 9.0}, {}))
    assert reason == "performance"
    assert "0.7 is below 0.75" in why
    assert retraining(judge(QUIET | {"features_drifted": 9.0}, {}))[0] == "drift"
    assert retraining(judge(QUIET | {"auroc": 0.79, "lag": 99_999.0}, {}))[0] == ""


def test_every_row_names_its_requirement_and_reads_as_a_person_writes() -> None:
    assert len(BY_NAME) == len(TRIGGERS)
    assert {row.requirement for row in TRIGGERS} == {"FR-8.4", "FR-9.1"}
    assert BY_NAME["lag"].shown(10_000) == "10,000"
    assert BY_NAME["latency"].shown(0.3) == "300 ms"
    assert BY_NAME["errors"].shown(0.05) == "5 %"


def test_a_quantile_of_buckets_lies_where_the_values_do() -> None:
    values = np.random.default_rng(0).gamma(2.0, 0.03, 5000)
    limits = [0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5]
    buckets = {str(limit): float((values <= limit).sum()) for limit in limits} | {"+Inf": 5000.0}
    for share in (0.5, 0.95, 0.99):
        assert quantile(buckets, share) == pytest.approx(np.quantile(values, share), rel=0.12)
    assert quantile({}, 0.99) is None
    assert quantile({"0.1": 0.0, "+Inf": 0.0}, 0.99) is None
    assert quantile({"0.1": 0.0, "+Inf": 9.0}, 0.99) == 0.1, "slower than the last limit: at least that"


def test_counts_since_the_last_check_survive_a_restart() -> None:
    assert _since({"a": 12.0, "b": 3.0}, {"a": 10.0}) == {"a": 2.0, "b": 3.0}
    assert _since({"a": 2.0}, {"a": 10.0, "b": 1.0}) == {"a": 2.0}, "a smaller count begins anew"


def test_the_lag_is_that_of_the_consumer_furthest_behind() -> None:
    rows = [
        {"group": "bronze", "lag": 5}, {"group": "bronze", "lag": 6}, {"group": "live", "lag": 9}, {"group": "x", "lag": None},
    ]  # fmt: skip
    assert lag(rows) == 11.0
    assert lag([{"group": "x", "lag": None}]) is None
