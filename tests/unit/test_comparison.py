"""Two models on the same rows: what a comparison says, checked against plain formulas."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from ml.comparison import Pair, compare, in_words
from ml.comparison.__main__ import main
from ml.comparison.compare import VERDICTS, decide
from ml.comparison.versions import learned_from
from ml.evaluation.bootstrap import Estimate
from ml.lake import Lake
from ml.profile import StudyProfile
from ml.training.__main__ import Run, execute
from ml.training.data import DataError
from ml.training.train import TrainingConfig
from tests.unit.test_training import fill_lake

RNG = np.random.default_rng(3)
N = 4_000
TRUTH = RNG.normal(size=N)
LABEL = (RNG.random(N) < 1 / (1 + np.exp(2 - 1.5 * TRUTH))).astype(np.int8)
BANDS = (0.1, 0.3, 0.75)


def told(noise: float, shift: float = 0.0) -> np.ndarray:
    return 1 / (1 + np.exp(2 + shift - TRUTH - noise * np.random.default_rng(5).normal(size=N)))


def pair(one: np.ndarray, two: np.ndarray) -> Pair:
    sex = np.where(np.arange(N) % 2 == 0, "female", "male")
    small = np.where(np.arange(N) < 8, "rare", "usual")
    return Pair(np.arange(N) // 20, LABEL, one, two, {"sex": sex, "site": small})


def test_the_figures_are_the_textbook_ones_and_the_gain_is_paired() -> None:
    one, two = told(1.5), told(0.2)
    body = compare(pair(one, two), bands=BANDS, draws=300)
    auroc = body["figures"]["auroc"]
    for side, p in (("one", one), ("two", two)):
        assert auroc[side]["value"] == pytest.approx(roc_auc_score(LABEL, p), abs=1e-12)
        alerts = [row[side]["value"] for row in body["alerts"]]
        assert alerts == pytest.approx([(p >= band).mean() for band in BANDS])
    gain = auroc["gain"]
    assert gain["value"] == pytest.approx(auroc["two"]["value"] - auroc["one"]["value"])
    apart = (auroc["one"]["high"] - auroc["one"]["low"]) + (auroc["two"]["high"] - auroc["two"]["low"])
    assert gain["high"] - gain["low"] < apart, "the same patients are drawn for both"
    assert body["decision"] == {
        "verdict": "better",
        "promote": True,
        "required": 0.02,
        "sentence": "Model 2 against Model 1: better by the 0.02 that a promotion asks for, and not by chance.",
    }
    table = np.array(body["disagreement"]["table"])
    assert table.sum() == N
    assert 1 - np.trace(table) / N == pytest.approx(body["disagreement"]["other_level"])
    groups = {row["group"]: row for row in body["subgroups"]["sex"]}
    mask = np.arange(N) % 2 == 0
    assert groups["female"]["two"]["value"] == pytest.approx(roc_auc_score(LABEL[mask], two[mask]))
    assert next(row for row in body["subgroups"]["site"] if row["group"] == "rare")["suppressed"]
    json.dumps(body, allow_nan=False)


def test_a_model_against_itself_is_alike_and_the_other_way_round_is_worse() -> None:
    one, two = told(1.5), told(0.2)
    same = compare(pair(one, one), bands=BANDS, draws=100)
    assert {figure: tuple(row["gain"].values()) for figure, row in same["figures"].items()} == dict.fromkeys(
        ("auroc", "auprc", "ece", "brier"), (0.0, 0.0, 0.0, 0)
    ), "the same patients are drawn for both, so nothing differs in any draw"
    assert same["disagreement"]["other_level"] == 0.0
    assert same["decision"]["verdict"] == "alike"
    worse = compare(pair(two, one), bands=BANDS, draws=100)
    assert (worse["decision"]["verdict"], worse["decision"]["promote"]) == ("worse", False)


@pytest.mark.parametrize(
    ("gain", "verdict"),
    [
        ((0.05, 0.01, 0.09), "better"),
        ((0.015, 0.001, 0.02), "slightly better"),
        ((-0.03, -0.05, -0.01), "worse"),
        ((0.0, -0.01, 0.01), "alike"),
        ((0.05, -0.01, 0.09), "undecided"),
    ],
)
def test_each_verdict(gain: tuple[float, float, float], verdict: str) -> None:
    assert decide(Estimate(*gain), events=10, without=10)["verdict"] == verdict
    assert {row[0] for row in VERDICTS} >= {verdict}


def test_what_cannot_be_judged_is_not_called_alike() -> None:
    assert decide(Estimate(None), events=50, without=50)["verdict"] == "not judged"
    with pytest.raises(ValueError, match="No row"):
        compare(Pair(np.zeros(0, int), np.zeros(0, int), np.zeros(0), np.zeros(0)), bands=BANDS)


@pytest.mark.parametrize(("events", "judged"), [(9, False), (10, True), (190, True), (191, False)])
def test_fewer_than_ten_events_or_ten_rows_without_one_decide_nothing(events: int, judged: bool) -> None:
    """A handful of events draws an interval, and even a narrow one; it is not the interval of anything."""
    label = (np.arange(200) < events).astype(int)
    risk = np.where(label == 1, 0.8, 0.2)
    body = compare(Pair(np.arange(200), label, 1 - risk, risk), bands=BANDS, draws=50, names=("v1", "v2"))
    assert (body["decision"]["verdict"] != "not judged") == judged
    if judged:
        assert in_words(body) == (
            "v2 against v1: better by the 0.02 that a promotion asks for, and not by chance. AUROC 1.000 against 0.000, "
            "difference +1.000, 95 % interval +1.000 to +1.000."
        )
    else:
        assert in_words(body) == body["decision"]["sentence"]
        assert f"of 200 patient-days that neither has learned from, {events} have an event" in in_words(body)


def test_the_same_seed_gives_the_same_interval_whatever_the_order_of_rows() -> None:
    one, two = told(1.5), told(0.2)
    turned = np.random.default_rng(5).permutation(N)
    first = compare(Pair(np.arange(N) // 20, LABEL, one, two), bands=BANDS, draws=60)
    again = compare(Pair((np.arange(N) // 20)[turned], LABEL[turned], one[turned], two[turned]), bands=BANDS, draws=60)
    for end in ("low", "high"):
        assert first["figures"]["auroc"]["gain"][end] == pytest.approx(
            again["figures"]["auroc"]["gain"][end], abs=1e-12
        )
    other = compare(Pair(np.arange(N) // 20, LABEL, one, two), bands=BANDS, draws=60, seed=1)
    assert other["figures"]["auroc"]["gain"]["low"] != first["figures"]["auroc"]["gain"]["low"]


def test_draws_without_an_event_are_skipped_and_counted_and_too_many_of_them_give_no_interval() -> None:
    """All events lie with three of 40 patients: some draws hold none of the three, and AUROC cannot be had from those."""
    patient = np.repeat(np.arange(40), 5)
    label = (patient < 3).astype(int)
    risk = np.random.default_rng(1).random(len(label))
    gain = compare(Pair(patient, label, risk, risk[::-1]), bands=BANDS, draws=400)["figures"]["auroc"]["gain"]
    assert gain["skipped"] == pytest.approx(400 * (1 - 3 / 40) ** 40, abs=15)
    assert gain["low"] < gain["value"] < gain["high"]


def test_the_door_scores_patients_that_neither_has_learned_from(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill_lake(tmp_path / "lake")
    lake, profile = Lake.from_url(tmp_path / "lake"), StudyProfile("T", simulated=True, signs_required=())
    paths = []
    for epochs in (1, 3):
        config = TrainingConfig(seed=epochs, epochs=epochs, batch_size=64)
        paths.append(execute(Run(lake, profile, config), report=lambda **_: None)["bundle_path"])
    (tmp_path / "profile.json").write_text(json.dumps(profile.to_json()))
    words = ["--lake", str(tmp_path / "lake"), "--trial", "T", "--profile", str(tmp_path / "profile.json")]
    assert main([*words, "--one", paths[0], "--two", paths[1], "--two-name", "v2"]) == 0
    outcome = json.loads(capsys.readouterr().out.splitlines()[-1])["outcome"]
    body = json.loads(lake.get(outcome["comparison"]))
    assert body["models"]["two"]["name"] == "v2"
    seen = learned_from(lake, paths[0]) | learned_from(lake, paths[1])
    assert len(learned_from(lake, paths[0])) < len(seen), "another seed holds out others"
    assert 0 < body["rows"] == outcome["held_out_rows"]
    assert sum(body["left_out"].values()) > 0
    lake.delete(f"{paths[0]}/split.json")
    with pytest.raises(DataError, match="does not say which patients"):
        learned_from(lake, paths[0])
    assert main([*words, "--one", paths[0], "--two", paths[1]]) == 1
    assert "Train it again" in capsys.readouterr().out
