"""Training: identical weights from identical input, nothing from nothing, and files that only fit what they were made for."""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from pyarrow import parquet
from torch import nn

from ml.features import NAMES, TABLE_DIGEST
from ml.lake import Lake
from ml.profile import StudyProfile
from ml.scoring import score
from ml.splits import TEST
from ml.training import source
from ml.training.assess import assess
from ml.training.crossval import out_of_fold
from ml.training.data import DataError, TrainingData
from ml.training.scaling import fit_scaler
from ml.training.train import TrainingConfig, auroc_of, relevance, train

QUICK = TrainingConfig(epochs=3, batch_size=64)
ANY = StudyProfile("T", signs_required=(), simulated=True)


def make_data(patients: int = 80, days: int = 20, seed: int = 0) -> TrainingData:
    rng = np.random.default_rng(seed)
    n = patients * days
    features = rng.normal(size=(n, len(NAMES))).astype(np.float32)
    logit = 1.3 * features[:, 70] - 0.9 * features[:, 80] - 2.2
    truth = 1 / (1 + np.exp(-logit.astype(np.float64)))
    label = (rng.random(n) < truth).astype(np.int8)
    features[rng.random(features.shape) < 0.05] = np.nan
    features[:, 3] = np.nan
    features[:, 4] = 7
    return TrainingData(
        names=NAMES,
        patients=tuple(f"T/{i:03d}" for i in range(patients)),
        patient=np.repeat(np.arange(patients), days).astype(np.int32),
        as_of=np.tile(np.arange(days), patients) * 86_400 + 1_700_000_000,
        features=features,
        label=label,
        site=np.array([f"S{i % 3}" for i in np.repeat(np.arange(patients), days)]),
        hours_to_onset=np.where(label == 1, rng.uniform(0, 24, n), np.nan),
        left_out={"immature": 4},
        oracle=truth,
    )


DATA = make_data()


def test_two_runs_give_identical_files_and_another_seed_does_not():
    threads = torch.get_num_threads()
    one, two = (train(QUICK, DATA, data_version="v") for _ in range(2))
    assert one.bundle.files == two.bundle.files
    assert [e.val_auroc for e in one.epochs] == [e.val_auroc for e in two.epochs]
    torch.set_num_threads(2)
    assert train(QUICK, DATA, data_version="v").bundle.digest == one.bundle.digest, "whatever threads were set before"
    assert torch.get_num_threads() == 2
    torch.set_num_threads(threads)
    assert train(replace(QUICK, seed=2), DATA, data_version="v").bundle.digest != one.bundle.digest


def test_the_scorer_agrees_with_torch_in_float64():
    trained = train(QUICK, DATA)
    bundle = trained.bundle
    net = nn.Sequential(
        nn.Linear(len(NAMES), 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 1)
    ).double()  # fmt: skip
    with torch.no_grad():
        for layer, number in ((net[0], 1), (net[2], 2), (net[4], 3)):
            layer.weight.copy_(torch.from_numpy(bundle.weights[f"w{number}"].reshape(layer.weight.shape)))
            layer.bias.copy_(torch.from_numpy(bundle.weights[f"b{number}"]))
        z = torch.from_numpy(bundle.scaler.standardise(DATA.features))
        logit = net(z).squeeze(1)
        expected = torch.sigmoid(bundle.slope * logit + bundle.offset).numpy()
    found = score(bundle, DATA.features, ANY)
    scored = np.isfinite(found.probability)
    assert scored.sum() > 1000
    assert np.abs(found.probability - expected)[scored].max() <= 1e-9
    assert (bundle.probabilities(DATA.features)[scored] == found.probability[scored]).all()


def test_signal_is_learned_and_shuffled_labels_are_not():
    config = TrainingConfig(epochs=12, batch_size=64)
    trained = train(config, DATA)
    test = trained.part == TEST
    ours = auroc_of(DATA.label[test], trained.bundle.probabilities(DATA.features[test]))
    best = auroc_of(DATA.label[test], DATA.oracle[test])
    assert ours > 0.5 + 0.85 * (best - 0.5)
    areas = []
    for seed in range(6):
        shuffled = DATA.with_label(np.random.default_rng(seed).permutation(DATA.label))
        blind = train(replace(QUICK, seed=seed), shuffled)
        test = blind.part == TEST
        areas.append(auroc_of(shuffled.label[test], blind.bundle.probabilities(DATA.features[test])))
    assert abs(np.mean(areas) - 0.5) < 0.06


def test_recalibrated_probabilities_have_the_events_rate():
    trained = train(TrainingConfig(epochs=6, batch_size=64), DATA)
    held = trained.part == 1
    assert trained.bundle.probabilities(DATA.features[held]).mean() == pytest.approx(DATA.label[held].mean(), abs=1e-4)


def test_masked_constant_and_empty_features_cannot_be_seen():
    trained = train(QUICK, DATA, masked=("trial_arm",))
    masked = dict(zip(trained.bundle.names, trained.bundle.scaler.masked.tolist(), strict=True))
    assert masked["trial_arm"]
    assert masked[NAMES[3]]
    assert masked[NAMES[4]]
    assert sum(masked.values()) == 3
    changed = DATA.features.copy()
    changed[:, [3, 4, NAMES.index("trial_arm")]] = 5
    assert (trained.bundle.probabilities(changed) == trained.bundle.probabilities(DATA.features)).all()


def test_the_scaler_knows_training_rows_only_and_survives_long_tails():
    rows = DATA.features[:800].copy()
    scaler = fit_scaler(NAMES, rows, masked=(), clip=6.0)
    spoilt = DATA.features.copy()
    spoilt[800:] = 1e9
    assert fit_scaler(NAMES, spoilt[:800], masked=(), clip=6.0).to_json() == scaler.to_json()
    rows[5, 10] = 1e12
    assert fit_scaler(NAMES, rows, masked=(), clip=6.0).std[10] == pytest.approx(scaler.std[10], rel=0.05)
    rare = np.zeros((800, len(NAMES)), np.float32)
    rare[:4, 0] = 1
    assert not fit_scaler(NAMES, rare, masked=(), clip=6.0).masked[0], "a rare flag stays"


def test_relevance_favours_what_tells_alone():
    x = np.nan_to_num(DATA.features)
    factor = relevance(x, DATA.label.astype(np.float32), 2.0)
    assert set(np.argsort(-factor)[:2].tolist()) == {70, 80}
    assert np.sqrt((factor**2).mean()) == pytest.approx(1, abs=1e-5)
    assert (relevance(np.zeros((9, 4), np.float32), np.ones(9, np.float32), 2.0) == 1).all()


def test_too_few_events_are_said_in_words():
    with pytest.raises(DataError, match="training patients have 0 rows with an event"):
        train(QUICK, DATA.with_label(np.zeros(len(DATA))))
    with pytest.raises(DataError, match="no row"):
        DATA.take(np.zeros(len(DATA), np.bool_))
    with pytest.raises(DataError, match="0 or 1"):
        DATA.with_label(np.full(len(DATA), -1))


def test_the_evaluation_holds_what_gates_and_pages_read():
    trained = train(QUICK, DATA)
    body = assess(trained, QUICK, DATA, ANY, draws=60)
    text = json.dumps(body, allow_nan=False)
    assert json.loads(text)["simulated"] is True
    assert set(body["comparisons"]) >= {"logistic", "lightgbm"}
    assert {gate.measure for gate in ANY.gates} - set(body["metrics"]) <= {
        "auroc_gap_age",
        "auroc_gap_sex",
        "gain_on_day_arm_dose",
    }
    assert (
        body["split"]["train"]["patients"] + body["split"]["validation"]["patients"] + body["split"]["test"]["patients"]
        == 80
    )
    assert body["left_out"] == {"immature": 4}
    assert body["oracle"]["auroc"]["value"] > body["figures"]["auroc"]["value"] - 0.1
    assert len(body["gates"]) == len(ANY.gates)


def test_out_of_fold_probabilities_come_from_models_that_saw_none_of_the_patient():
    found = out_of_fold(QUICK, DATA, folds=3, baselines=True)
    assert {"ours", "logistic", "lightgbm"} <= set(found)
    for name in ("ours", "logistic", "lightgbm"):
        assert np.isfinite(found[name]).all()
        assert auroc_of(DATA.label, found[name]) > 0.6


TRIAL = replace(ANY, trial_id="T", blinded=True)


def fill_lake(root: Path, data: TrainingData = DATA) -> Lake:
    """The feature store and labels as the feature and label jobs leave them."""
    lake = Lake.from_url(str(root))

    def put(path: str, table: pa.Table) -> str:
        sink = io.BytesIO()
        parquet.write_table(table, sink)
        lake.put(path, sink.getvalue())
        return hashlib.sha256(sink.getvalue()).hexdigest()

    n = len(data)
    keys = {
        "trial_id": pa.array(["T"] * n),
        "trial_site_id": pa.array(data.site.tolist()),
        "patient_id": pa.array([data.patients[p].partition("/")[2] for p in data.patient]),
        "as_of": pa.array(data.as_of),
    }
    rows = pa.table({**keys, **{name: data.features[:, i] for i, name in enumerate(NAMES)}})
    days = {}
    for day in np.unique(data.as_of // 86_400).tolist():
        path = f"features/date={day}/part.parquet"
        part = rows.filter(pa.array(data.as_of // 86_400 == day))
        stranger = part.slice(0, 1).set_column(0, "trial_id", pa.array(["OTHER"]))
        days[path] = {"rows": part.num_rows, "sha256": put(path, pa.concat_tables([stranger, part]))}
    manifest = {"feature_table": TABLE_DIGEST, "days": days}
    lake.put("features/manifest-T.json", json.dumps(manifest).encode())
    label = data.label.astype(np.int8).copy()
    label[:7] = -1
    onset = data.as_of + np.nan_to_num(data.hours_to_onset * 3600).astype(np.int64)
    labels = pa.table(
        {
            **keys,
            "label": label,
            "onset": pa.array(onset, mask=np.isnan(data.hours_to_onset)),
            "reason": ["immature"] * 7 + [""] * (n - 7),
        }
    )
    digest = put("labels/T/as_of=9/part.parquet", labels)
    body = {"path": "labels/T/as_of=9/part.parquet", "sha256": digest, "features": days, "as_of": 9}
    lake.put("labels/manifest-T.json", json.dumps(body).encode())
    return lake


def test_rows_come_back_from_the_lake_without_those_that_do_not_count(tmp_path):
    lake = fill_lake(tmp_path)
    data, provenance = source.load(lake, TRIAL)
    assert len(data) == len(DATA) - 7
    assert data.left_out == {"immature": 7}
    assert (data.label == DATA.label[7:]).all()
    assert (data.as_of == DATA.as_of[7:]).all()
    hidden = source.hidden_features(TRIAL)
    assert hidden == ("trial_arm", "study_dose_current")
    assert np.isnan(data.column("trial_arm")).all(), "a blinded study's arm does not enter training"
    seen = [i for i, name in enumerate(NAMES) if name not in hidden]
    np.testing.assert_array_equal(data.features[:, seen], DATA.features[7:, seen])
    np.testing.assert_allclose(data.hours_to_onset, DATA.hours_to_onset[7:], atol=1 / 3600)
    assert len(provenance.data_version) == 64
    unblinded, _ = source.load(lake, replace(TRIAL, blinded=False))
    assert np.isfinite(unblinded.column("trial_arm")).any()


def test_what_does_not_fit_is_refused_with_its_cure(tmp_path):
    lake = fill_lake(tmp_path)
    labels = json.loads(lake.get("labels/manifest-T.json"))
    lake.put("labels/manifest-T.json", json.dumps({**labels, "features": {}}).encode())
    with pytest.raises(DataError, match="Run the labels job again"):
        source.load(lake, TRIAL)
    lake.put("labels/manifest-T.json", json.dumps({**labels, "sha256": "0"}).encode())
    with pytest.raises(DataError, match="not what its manifest says"):
        source.load(lake, TRIAL)
    features = json.loads(lake.get("features/manifest-T.json"))
    lake.put("features/manifest-T.json", json.dumps({**features, "feature_table": "x"}).encode())
    with pytest.raises(DataError, match="another feature table"):
        source.load(lake, TRIAL)
    with pytest.raises(DataError, match="Run the features job first"):
        source.load(Lake.from_url(str(tmp_path / "empty")), TRIAL)


def test_the_true_risk_is_read_between_its_hours(tmp_path):
    path = tmp_path / "hazard.parquet"
    table = pa.table({"patient": ["T/a", "T/a", "T/b"], "time": [3600, 0, 0], "p_24h": [0.3, 0.1, 0.9]})
    parquet.write_table(table, path)
    found = source.true_risk(path, ["T/a", "T/b", "T/a", "T/c"], np.array([1800, 0, 9999, 0]))
    np.testing.assert_allclose(found, [0.2, 0.9, np.nan, np.nan])
