"""Measures against values that can be worked out by hand, and the gates."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from ml.evaluation import Rows, evaluate, gates, may_serve, measures
from ml.evaluation.__main__ import main
from ml.evaluation.bootstrap import estimates
from ml.evaluation.gates import judge
from ml.evaluation.measures import Ranked
from ml.profile import Gate, StudyProfile

ONE = StudyProfile("T")


def once(n: int) -> np.ndarray:
    return np.ones((1, n))


def cohort(seed: int = 0, patients: int = 60, days: int = 40) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    patient = np.repeat(np.arange(patients), days)
    logit = rng.normal(size=patients)[patient] * 0.5 + rng.normal(size=len(patient)) - 2.4
    probability = 1 / (1 + np.exp(-logit))
    return patient, (rng.random(len(patient)) < probability).astype(np.int8), probability


def figures(label, probability, draws=40, **more):
    rows = Rows(np.arange(len(label)), np.asarray(label), np.asarray(probability, dtype=float), **more)
    return evaluate(rows, simulated=True, draws=draws)


def test_a_perfect_forecast():
    found = figures([0, 0, 0, 1], [0, 0, 0, 1])["figures"]
    assert found["ece"]["value"] == found["brier"]["value"] == 0
    assert found["auroc"]["value"] == found["auprc"]["value"] == found["brier_scaled"]["value"] == 1
    assert found["calibration_slope"]["value"] is None


def test_one_probability_for_all():
    label = np.array([1] * 7 + [0] * 93)
    found = figures(label, np.full(100, 0.07))["figures"]
    assert found["auroc"]["value"] == 0.5
    assert found["auprc"]["value"] == pytest.approx(0.07)
    assert found["brier"]["value"] == pytest.approx(0.07 * 0.93)
    assert found["brier_scaled"]["value"] == pytest.approx(0)
    assert found["ece"]["value"] == pytest.approx(0)
    assert found["calibration_slope"]["value"] is None
    assert found["calibration_intercept"]["value"] == pytest.approx(0, abs=1e-6)


def test_spread_by_two_has_slope_one_half_and_a_shift_by_one_has_intercept_minus_one():
    x = np.repeat([-3.0, -1.0, 0.5, 2.0], 4000)
    rate = 1 / (1 + np.exp(-x))
    # labels at the expected share in each group, so that the true slope is 1 but for rounding
    label = np.concatenate([np.arange(4000) < round(4000 * r) for r in rate[::4000]]).astype(float)
    for scale, shift, intercept, slope in ((1, 0, 0, 1), (2, 0, None, 0.5), (1, 1, -1, 1), (0.5, 0, None, 2)):
        p = 1 / (1 + np.exp(-(scale * x + shift)))
        found = measures.calibration_line(label, p, once(len(p)))
        assert found[1][0] == pytest.approx(slope, abs=2e-3)
        if intercept is not None:
            assert found[0][0] == pytest.approx(intercept, abs=2e-3)


def test_areas_agree_with_another_library_ties_and_weights_included():
    rng = np.random.default_rng(1)
    label, score = rng.integers(0, 2, 300), rng.integers(0, 12, 300) / 11
    weights = rng.integers(0, 4, (5, 300)).astype(float)
    groups = Ranked.of(label, score).groups(weights)
    for draw, area, precision in zip(
        weights, measures.auroc(*groups), measures.average_precision(*groups), strict=True
    ):
        assert area == pytest.approx(roc_auc_score(label, score, sample_weight=draw))
        assert precision == pytest.approx(average_precision_score(label, score, sample_weight=draw))


def test_calibration_error_by_hand_with_ties_together():
    # two groups of ties, each whole in one bin: |0.2 − 0.25| × 0.4 + |0.6 − 0.5| × 0.6
    p = np.array([0.25] * 40 + [0.5] * 60)
    y = np.array([1] * 8 + [0] * 32 + [1] * 36 + [0] * 24)
    assert measures.calibration_error(Ranked.of(y, p), once(100))[0] == pytest.approx(0.05 * 0.4 + 0.1 * 0.6)
    p = np.arange(100) / 100  # no ties: ten bins of ten rows, none with an event, so the error is the mean probability
    assert measures.calibration_error(Ranked.of(np.zeros(100), p), once(100))[0] == pytest.approx(p.mean())


def test_a_draw_counts_a_row_as_often_as_its_patient_was_drawn():
    patient, label, p = cohort(2, 12, 20)
    rng = np.random.default_rng(0)
    chosen = rng.integers(0, 12, 12)
    weights = np.bincount(chosen, minlength=12)[patient][None, :].astype(float)
    rows = np.concatenate([np.flatnonzero(patient == one) for one in chosen])
    ranked, copied = Ranked.of(label, p), Ranked.of(label[rows], p[rows])
    for measure in (lambda r, w: measures.auroc(*r.groups(w)), lambda r, w: measures.average_precision(*r.groups(w)),
                    measures.calibration_error):  # fmt: skip
        assert measure(ranked, weights)[0] == pytest.approx(measure(copied, once(len(rows)))[0])
    ours = measures.calibration_line(label.astype(float), p, weights)
    theirs = measures.calibration_line(label[rows].astype(float), p[rows], once(len(rows)))
    assert [x[0] for x in ours] == pytest.approx([x[0] for x in theirs], abs=1e-6)


def test_rates_at_a_threshold_by_hand():
    found = figures([1, 1, 1, 0, 0, 0, 0, 0], [0.9, 0.5, 0.4, 0.6, 0.1, 0.1, 0.1, 0.2])["confusion_matrix"]
    counts = [found[k] for k in ("true_positive", "false_positive", "false_negative", "true_negative")]
    assert counts == [2, 1, 1, 4]
    assert found["precision"] == found["recall"] == found["f1"] == pytest.approx(2 / 3)
    assert figures([0, 1], [0.1, 0.2])["confusion_matrix"]["precision"] is None


def test_draws_of_one_class_are_skipped_and_counted():
    patient = np.array([0, 0, 1, 2])
    rows = Rows(patient, np.array([0, 1, 0, 0]), np.array([0.1, 0.9, 0.3, 0.2]))
    auroc = evaluate(rows, simulated=True, draws=400)["figures"]["auroc"]
    without_patient_0 = (2 / 3) ** 3
    assert auroc["skipped"] / 400 == pytest.approx(without_patient_0, abs=0.1)
    assert auroc["value"] == 1


def test_intervals_hold_patients_together_and_repeat_with_the_seed():
    patient, label, p = cohort(3)
    one = evaluate(Rows(patient, label, p), simulated=True, draws=200)
    assert one == evaluate(Rows(patient, label, p), simulated=True, draws=200)
    # rows repeated within their patient add no information: the interval must not shrink
    again = evaluate(Rows(np.tile(patient, 3), np.tile(label, 3), np.tile(p, 3)), simulated=True, draws=200)
    for name in ("auroc", "brier"):
        assert again["figures"][name]["low"] == pytest.approx(one["figures"][name]["low"])
    json.dumps(one, allow_nan=False)


def test_intervals_cover():
    """Of 40 cohorts with a known area, about 95 % of the intervals hold it."""
    truth = [measures.auroc(*Ranked.of(*cohort(s)[1:]).groups(once(2400)))[0] for s in range(100, 140)]
    target = float(np.mean(truth))
    held = 0
    for seed in range(40):
        patient, label, p = cohort(200 + seed)
        ranked = Ranked.of(label, p)
        found, _ = estimates(lambda w, r=ranked: {"a": measures.auroc(*r.groups(w))}, patient, draws=200, seed=seed)
        held += found["a"].low <= target <= found["a"].high
    assert held >= 33


def test_comparisons_are_paired_and_the_oracle_has_a_share():
    patient, label, p = cohort(4)
    rng = np.random.default_rng(0)
    worse = p + rng.normal(size=len(p)) * 0.1
    body = evaluate(
        Rows(patient, label, p, others={"worse": worse, "same": 3 * p}, oracle=p), simulated=True, draws=100
    )
    assert body["comparisons"]["worse"]["gain"]["low"] > 0
    assert body["comparisons"]["same"]["gain"] == {"value": 0.0, "low": 0.0, "high": 0.0, "skipped": 0}
    assert body["oracle"]["share"]["value"] == pytest.approx(1)


def test_a_model_that_cannot_say_is_compared_on_the_rows_where_it_can():
    patient, label, p = cohort(5)
    some = np.where(patient < 30, p, np.nan)
    body = evaluate(Rows(patient, label, p, others={"some": some}), simulated=True, draws=20)
    assert body["comparisons"]["some"]["rows"] == int((patient < 30).sum())
    assert body["comparisons"]["some"]["gain"]["value"] == 0


def test_small_cells_are_suppressed_and_a_gap_by_chance_is_not_held_against_a_model():
    patient, label, p = cohort(6, 60, 40)
    sex = np.where(patient % 2 == 0, "female", np.where(patient == 59, "not known", "male"))
    body = evaluate(Rows(patient, label, p, groups={"sex": sex}), simulated=True, draws=200)
    table = {row["group"]: row for row in body["subgroups"]["sex"]}
    assert table["not known"]["suppressed"]
    assert "events" not in table["not known"], "a small cell's count is not told"
    assert not table["female"]["suppressed"]
    gap = body["gaps"]["sex"]
    assert gap["value"] >= 0
    assert gap["low"] < 0.05, "no true gap here"
    verdict = judge(Gate("sex_gap", "auroc_gap_sex", "<", 0.05, "gap"), gap)
    assert verdict.outcome in ("met", "not judged")
    assert not verdict.holds_back


def test_a_true_gap_is_found():
    patient, label, p = cohort(7, 120, 40)
    man = patient % 2 == 0
    p = np.where(man, np.random.default_rng(0).permutation(p), p)
    groups = {"sex": np.where(man, "male", "female")}
    body = evaluate(Rows(patient, label, p, groups=groups), simulated=True, draws=200)
    assert body["gaps"]["sex"]["groups"] == ["female", "male"]
    verdict = judge(Gate("sex_gap", "auroc_gap_sex", "<", 0.05, "gap"), body["gaps"]["sex"])
    assert (verdict.outcome, verdict.holds_back) == ("not met", True)


def test_lead_time_compares_each_distance_with_quiet_rows():
    rng = np.random.default_rng(8)
    hours = np.where(rng.random(4000) < 0.1, rng.uniform(0, 48, 4000), np.nan)
    p = np.where(hours <= 6, 0.8, np.where(hours <= 24, 0.4, 0.2)) + rng.random(4000) * 0.01
    p = np.where(np.isnan(hours), 0.2 + rng.random(4000) * 0.01, p)
    rows = Rows(np.arange(4000), (hours <= 24).astype(int), p, hours_to_onset=hours)
    table = evaluate(rows, simulated=True, bands=(0.1, 0.3, 0.75), draws=20)["lead_time"]
    assert [row["auroc"] for row in table[:2]] == [1, 1]
    assert table[2]["auroc"] == pytest.approx(0.5, abs=0.06)
    assert table[0]["recall_at"] == {"0.1": 1, "0.3": 1, "0.75": 1}
    assert table[1]["recall_at"] == {"0.1": 1, "0.3": 1, "0.75": 0}


BODY = {
    "figures": {"auroc": {"value": 0.83, "low": 0.78, "high": 0.88}, "ece": {"value": 0.06, "low": 0.05, "high": 0.08}},
    "comparisons": {
        "logistic": {"gain": {"value": 0.0, "low": -0.01, "high": 0.01}},
        "day_arm_dose": {"gain": {"value": 0.2, "low": 0.1, "high": 0.3}},
    },
    "gaps": {"age": {"value": 0.08, "low": -0.02, "high": 0.2}, "sex": {"value": None, "reason": "one group only"}},
    "latency_ms_single": {"value": 0.4},
}


def test_gates_name_the_number_and_say_what_holds_a_model_back():
    verdicts = {verdict.name: verdict for verdict in gates(ONE, BODY)}
    outcome = {name: (verdict.outcome, verdict.holds_back) for name, verdict in verdicts.items()}
    assert outcome == {
        "auroc": ("met", False),
        "calibration_error": ("not met", True),
        "gain_on_logistic": ("met", False),
        "gain_on_day_arm_dose": ("met", False),
        "age_gap": ("not judged", False),
        "sex_gap": ("not judged", False),
        "latency": ("met", False),
    }
    assert "0.060" in verdicts["calibration_error"].reason
    assert "one group only" in verdicts["sex_gap"].reason
    assert not may_serve(list(verdicts.values()))
    good = {**BODY, "figures": {**BODY["figures"], "ece": {"value": 0.01}}}
    assert may_serve(gates(ONE, good))


@pytest.mark.parametrize(
    ("gain", "outcome", "held"),
    [
        ({"value": 0.001, "low": -0.02, "high": 0.02}, "met", False),
        ({"value": -0.005, "low": -0.03, "high": 0.02}, "not judged", False),
        ({"value": -0.03, "low": -0.05, "high": -0.01}, "not met", True),
        ({"value": -0.005, "low": None, "high": None}, "not met", True),
        ({"value": None}, "not judged", True),
    ],
)
def test_a_loss_to_a_strong_baseline_counts_where_chance_cannot_explain_it(gain, outcome, held):
    verdict = judge(Gate("gain", "gain_on_logistic", ">=", 0.0, "gain"), gain)
    assert (verdict.outcome, verdict.holds_back) == (outcome, held)


def test_a_model_must_be_above_the_schedule_by_its_number():
    gate = Gate("gain", "gain_on_day_arm_dose", ">", 0.0, "gain")
    assert judge(gate, {"value": -0.001, "low": -0.1, "high": 0.1}).holds_back


def test_a_missing_number_holds_a_model_back():
    verdicts = {verdict.name: verdict for verdict in gates(ONE, {**BODY, "comparisons": {}})}
    assert (verdicts["gain_on_logistic"].outcome, verdicts["gain_on_logistic"].holds_back) == ("not judged", True)
    unknown = gates(replace(ONE, gates=(Gate("x", "nonsense", ">", 0, "x"),)), BODY)[0]
    assert unknown.holds_back


@pytest.mark.parametrize(
    ("label", "probability", "words"),
    [([0, 2], [0.1, 0.2], "0 or 1"), ([0, 1], [0.1, np.nan], "missing"), ([0], [0.1, 0.2], "one length")],
)
def test_odd_rows_are_refused_in_words(label, probability, words):
    with pytest.raises(ValueError, match=words):
        Ranked.of(np.array(label), np.array(probability))


def test_the_command_prints_the_figures_of_a_file(tmp_path, capsys):
    patient, label, p = cohort(9)
    path = tmp_path / "predictions.csv"
    lines = [f"P{a},{b},{c}" for a, b, c in zip(patient, label, p, strict=True)]
    path.write_text("patient,label,probability\n" + "\n".join(lines) + "\nP1,0,\n")
    assert main(["--file", str(path), "--draws", "100"]) == 0
    said = capsys.readouterr().out
    assert "AUROC" in said
    assert "left out: 1" in said
    assert main(["--file", str(path), "--draws", "50", "--json", "--simulated"]) == 0
    assert json.loads(capsys.readouterr().out)["simulated"] is True
    path.write_text("patient,label\na,1\n")
    assert main(["--file", str(path)]) == 2
    assert "lacks the column probability" in capsys.readouterr().err
    assert main(["--file", str(tmp_path / "none.csv")]) == 2
