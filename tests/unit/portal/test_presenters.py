"""Presenters without a database: every feature has words, factors add up, drawings stay in their boxes."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from apps.portal.presenters import evaluation, factors, feature_words, marks, model, news2, runs, words
from apps.portal.presenters import model as model_presenter
from apps.portal.presenters.panels import _broken, thin, ticks_of
from apps.portal.presenters.status import late_after
from apps.registry.models import ModelVersion
from ml.features import FEATURES
from ml.profile import StudyProfile

PROFILE = StudyProfile(trial_id="T")


NOW = datetime(2026, 10, 13, 12, tzinfo=UTC)


def viewer(*, blinded: bool = True) -> Any:
    return SimpleNamespace(blinded=blinded, profile=PROFILE, now=None, personal={"T/1"})


@pytest.mark.parametrize("feature", FEATURES, ids=lambda feature: feature.name)
@pytest.mark.parametrize("value", [2.0, -2.0, 0.0, None])
def test_every_feature_is_said_in_words(feature: Any, value: float | None) -> None:
    said = feature_words.say(feature.name, value)
    assert said.title
    assert said.sentence
    for text in (said.title, said.detail, said.sentence):
        assert not any(slip in text for slip in ("_", "nan", "None")), text


def test_a_feature_that_is_not_in_the_table_keeps_its_name() -> None:
    assert feature_words.say("something_new", 1.5).title == "Something new"


def top() -> list[dict[str, Any]]:
    return [
        {"feature": "heart_rate_mean_24h", "contribution": 0.31, "value": 104.0, "unit": "/min"},
        {"feature": "trial_arm", "contribution": 0.08, "value": 2.0, "unit": "1"},
        {"feature": "spo2_mean_24h", "contribution": -0.05, "value": 97.0, "unit": "%"},
        {"feature": "other_features", "count": 117, "contribution": 0.02},
    ]


def test_the_reasons_add_up_to_the_score() -> None:
    why = factors.why(0.41, top(), viewer(blinded=False), "T/1", {}, NOW)
    assert why.exact == pytest.approx(0.0, abs=1e-12)
    assert why.total_words.replace("\u00a0", " ") == "The average patient's 5 % becomes 41 %"
    shown = [float(bar.text.split("\u00a0")[0].replace("−", "-")) for bar in (*why.raises, *why.lowers)]
    assert why.others is not None
    assert math.isclose(sum(shown) + float(why.others.text.split("\u00a0")[0]), 36.0, abs_tol=0.2)
    assert max(bar.width for bar in why.raises) == factors.BAR_WIDTH


def test_a_blinded_reader_never_sees_a_factor_of_the_arm() -> None:
    why = factors.why(0.41, top(), viewer(), "T/1", {}, NOW)
    assert [bar.name for bar in why.raises] == ["Heart rate, mean over 24\u00a0h"]
    assert why.others is not None
    assert why.others.words == "118 other features together"
    main = factors.main(top()[1:], viewer(), "T/1")
    assert main is None


def test_age_and_sex_are_kept_from_who_may_not_see_them() -> None:
    given = [{"feature": "age", "contribution": 0.2, "value": 81.0, "unit": "a"}, *top()]
    assert "Age" in [bar.name for bar in factors.why(0.61, given, viewer(), "T/1", {}, NOW).raises]
    assert "Age" not in [bar.name for bar in factors.why(0.61, given, viewer(), "T/2", {}, NOW).raises]


@pytest.mark.parametrize(
    ("stored", "reason", "remedy"),
    [
        (
            ["The newest heart rate is 9 hours old; this study asks for one within 6 hours.\nMeasure heart rate."],
            "The newest heart rate is 9 hours old; this study asks for one within 6 hours",
            "Measure heart rate.",
        ),
        (
            ["No heart rate is known.\nMeasure heart rate.", "Another.\nCure."],
            "No heart rate is known",
            "Measure heart rate.",
        ),
        ([], "Not enough data for a score", ""),
    ],
)
def test_an_indeterminate_patient_says_why_and_what_would_mend_it(stored: list[str], reason: str, remedy: str) -> None:
    told = factors.indeterminate(stored)
    assert (told.reason, told.remedy) == (reason, remedy)


def test_a_sparkline_always_has_the_whole_scale() -> None:
    drawn = marks.spark([0.0, 1.0, None, 0.5], "high", PROFILE, "Last 5 days")
    heights = [float(y) for _, y in re.findall(r"[ML](\S+) (\S+)", drawn.path)]
    assert heights == [marks.SPARK_FLOOR, marks.SPARK_TOP, 16.0]
    assert len(drawn.gaps) == 1
    assert drawn.end is not None
    assert drawn.path.count("M") == 2
    nothing = marks.spark([None] * 5, "indeterminate", PROFILE, "Last 5 days")
    assert nothing.path == ""
    assert nothing.gaps[0].width == marks.SPARK_WIDTH
    assert nothing.words == "no score in Last 5 days"


@pytest.mark.parametrize(
    ("now", "before", "arrow"),
    [
        (0.5, 0.2, "arrow-up"),
        (0.25, 0.2, "arrow-rise"),
        (0.21, 0.2, "arrow-flat"),
        (0.15, 0.2, "arrow-fall"),
        (0.05, 0.2, "arrow-down"),
    ],
)
def test_the_arrow_follows_the_points(now: float, before: float, arrow: str) -> None:
    change = marks.change(now, before)
    assert change is not None
    assert change.arrow == arrow
    assert marks.change(None, before) is None


def test_news2_is_never_a_total_of_too_little() -> None:
    whole = {
        "heart_rate": 104,
        "blood_pressure_systolic": 95,
        "temperature": 38.4,
        "spo2": 96.0,
        "respiratory_rate": 21,
        "supplemental_oxygen": 0.0,
        "consciousness": "A",
    }
    assert (news2.of_signs(whole).text, news2.of_signs(whole).tone) == ("6", "2")
    part = news2.of_signs({"heart_rate": 104, "consciousness": ""})
    assert part.tone == "part"
    assert part.text.startswith("≥")
    assert news2.of_signs({}).text == "--"


def test_late_is_said_within_a_minute_where_scores_flow_and_not_where_they_are_rare() -> None:
    assert late_after(60, 4.5) == 45.0
    assert late_after(60, None) == 120.0
    assert late_after(60, 180.0) == 720.0


@pytest.mark.parametrize(
    ("gate", "verdict"),
    [
        ({"operator": ">=", "threshold": 0.8, "value": 0.846, "low": 0.83, "high": 0.86, "outcome": "met"}, "met"),
        ({"operator": ">=", "threshold": 0.8, "value": 0.81, "low": 0.78, "high": 0.84, "outcome": "met"}, "uncertain"),
        ({"operator": "<", "threshold": 0.05, "value": 0.07, "passed": False}, "failed"),
        ({"operator": "<", "threshold": 0.05, "value": None, "passed": False}, "not_judged"),
        ({"operator": ">", "threshold": 0.0, "value": 0.01, "passed": True}, "met"),
    ],
)
def test_a_gate_says_its_verdict_and_right_of_the_line_is_good(gate: dict[str, Any], verdict: str) -> None:
    row = model.gate_row({"name": "g", "sentence": "A gate", **gate})
    assert row.verdict == verdict
    if row.plot is not None:
        good = row.verdict in ("met", "uncertain")
        assert (row.plot.dot >= model.LINE_AT) == good


def test_an_evaluation_that_lacks_everything_is_still_a_page() -> None:
    for table in (evaluation.comparisons, evaluation.subgroups):
        assert table({}) is None
    assert evaluation.confusion({}) == ""
    assert evaluation.oracle({}) == ""
    assert evaluation.calibration({}) == (None, None)


def test_an_evaluation_shows_test_patients_and_all_out_of_fold() -> None:
    version = ModelVersion(simulated=False)
    figure = {"value": 0.524, "low": 0.469, "high": 0.58}
    alone = evaluation.figures({"figures": {"auroc": figure}}, version)
    assert alone is not None
    assert [cell.text for cell in alone.rows[0]] == ["AUROC", "0.524", "0.469–0.580"]
    crossed = {
        "figures": {"auroc": {"value": 0.484, "low": 0.462, "high": 0.507}},
        "folds": 5,
        "rows": 43_680,
        "patients": 260,
        "events": 739,
    }
    both = evaluation.figures({"figures": {"auroc": figure}, "cross_validation": crossed}, version)
    assert both is not None
    assert [cell.text for cell in both.rows[0]][3:] == ["0.484", "0.462–0.507"]
    assert len(both.columns) == 5
    assert "all 43,680 patient-days of 260 patients, 739 before an event" in both.foot
    missing = evaluation.figures(
        {"figures": {"auroc": figure}, "cross_validation_not_done": "Too few events."}, version
    )
    assert missing is not None
    assert missing.foot.endswith("Not tested out of fold: Too few events.")


def test_what_a_run_leaves_behind_is_read_by_people() -> None:
    outcome = {
        "left_out": {"censored": 259, "by": {"day": 2}},
        "signatures": ["A signed", "B signed"],
        "gates_passed": False,
        "error": None,
    }
    assert runs.pairs(outcome) == [
        ("left out", "censored 259, by (day 2)"),
        ("signatures", "A signed; B signed"),
        ("gates passed", "no"),
        ("error", words.MISSING),
    ]


def test_thinning_keeps_the_ends_of_time_and_says_so() -> None:
    times, values = list(range(5000)), [float(place % 7) for place in range(5000)]
    x, y, thinned = thin(times, values, 100)
    assert thinned
    assert 90 <= len(x) <= 101
    assert len(x) == len(y)
    assert x == sorted(x)
    assert thin([1, 2], [0.1, None], 100) == ([1, 2], [0.1, None], False)


@pytest.mark.parametrize(("low", "high"), [(0, 1), (36.1, 38.9), (60, 190), (0.2, 1.4), (5, 5.0001), (100, 9000)])
def test_axis_ticks_are_round_and_inside(low: float, high: float) -> None:
    ticks = ticks_of(low, high)
    assert all(low - 1e-6 <= tick <= high + 1e-6 for tick in ticks)
    assert len(ticks) <= 4


def test_the_line_of_risk_is_lifted_where_a_score_no_longer_stands() -> None:
    day = 86_400
    x, y = _broken([0, 3600, 3 * day], [5.0, 6.0, 7.0], [[4 * day, 5 * day]], day)
    assert x == [0, 3600, 3600 + day, 3 * day, 4 * day]
    assert y == [5.0, 6.0, None, 7.0, None]
    assert _broken([0, day], [1.0, 2.0], [], day) == ([0, day], [1.0, 2.0]), "daily scores are one line"


def test_a_flag_is_a_sentence() -> None:
    assert feature_words.say("spo2_missing_24h", 1.0).sentence.replace("\u00a0", " ") == "No SpO₂ measured in 24 h"
    said = feature_words.say("blood_pressure_systolic_missing_24h", 0.0).sentence.replace("\u00a0", " ")
    assert said == "Systolic pressure measured in the last 24 h"


@pytest.mark.parametrize(
    ("passed", "outcomes", "words"),
    [
        (True, ["met", "met"], "all met"),
        (True, ["met", "not judged", "not judged"], "none failed, 2 not judged"),
        (False, ["met", "not met"], "below its gates: silent only"),
    ],
)
def test_a_gate_that_was_not_judged_is_not_called_met(passed: bool, outcomes: list[str], words: str) -> None:
    version = ModelVersion(gates_passed=passed, gates=[{"outcome": outcome} for outcome in outcomes])
    assert model_presenter._gates_word(version) == words
