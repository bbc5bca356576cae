"""A whole training run: lake in, MLflow record and bundle out, read again by a process without torch."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from mlflow import MlflowClient

from ml.drift import Reference
from ml.features import NAMES, TABLE_DIGEST
from ml.lake import Lake
from ml.profile import StudyProfile
from ml.scoring import Bundle, score
from ml.training.__main__ import main
from ml.training.tracking import EXPERIMENT, MODEL_NAME
from tests.unit.test_training import DATA, fill_lake

ROOT = Path(__file__).resolve().parents[2]
PROFILE = StudyProfile("T", simulated=True, signs_required=())


def arguments(tmp_path: Path, uri: str, *more: str) -> list[str]:
    profile = tmp_path / "profile.json"
    profile.write_text(json.dumps(PROFILE.to_json()))
    return [
        sys.executable, "-m", "ml.training", "--lake", str(tmp_path / "lake"), "--trial", "T", "--profile", str(profile),
        "--mlflow-uri", uri, "--epochs", "2", "--git-commit", "abc123", "--batch-size", "64", *more,
    ]  # fmt: skip


def start(command: list[str]) -> tuple[int, list[dict[str, object]], str]:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=150)
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")], done.stderr


def test_a_run_of_two_epochs_is_recorded_registered_and_scored_without_torch(tmp_path, monkeypatch, capsys):
    fill_lake(tmp_path / "lake")
    monkeypatch.chdir(tmp_path)
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    client.create_experiment(EXPERIMENT, artifact_location=(tmp_path / "artifacts").as_uri())
    code, lines, errors = start(arguments(tmp_path, uri, "--out", str(tmp_path / "out")))
    assert code == 0, errors + str(lines[-1:])
    outcome = lines[-1]["outcome"]
    assert any("epoch 2 of at most 2" in str(line.get("step")) for line in lines)
    assert all(0 <= line["done"] <= line["of"] for line in lines[:-1])

    lake = Lake.from_url(str(tmp_path / "lake"))
    bundle = Bundle.load_from_lake(
        lake, outcome["bundle_path"], digest=outcome["bundle_digest"], names=NAMES, table_digest=TABLE_DIGEST
    )
    evaluation = json.loads(lake.get(f"{outcome['bundle_path']}/evaluation.json"))
    assert evaluation["metrics"]["test_auroc"] == outcome["test_auroc"]
    assert evaluation["data_version"] == bundle.data_version == outcome["data_version"]

    reference = Reference.load(lake, outcome["bundle_path"], NAMES, evaluation["reference"])
    assert reference is not None
    assert len(reference.sample) == min(2000, evaluation["split"]["train"]["rows"])
    assert {name: len(patients) for name, patients in reference.parts.items()} == {
        name: part["patients"] for name, part in evaluation["split"].items()
    }

    run = client.get_run(outcome["run_id"])
    assert run.info.status == "FINISHED"
    assert {"learning_rate", "batch_size", "hidden_layers", "dropout_rate", "epochs"} <= set(run.data.params)
    assert run.data.params["hidden_layers"] == "64-32"
    assert {"train_loss", "val_loss", "train_auroc", "val_auroc", "test_auroc"} <= set(run.data.metrics)
    assert len(client.get_metric_history(outcome["run_id"], "val_auroc")) == 2
    for tag, value in (("git_commit_hash", "abc123"), ("data_version", bundle.data_version), ("simulated", "true")):
        assert run.data.tags[tag] == value
    assert float(run.data.tags["training_duration"]) > 0

    names = files_under(client, outcome["run_id"])
    assert {
        "model/model.safetensors", "model/scaler.json", "model/bundle.json", "scaler.json", "feature_names.json",
        "confusion_matrix.png", "loss_curves.png", "classification_report.json", "evaluation.json",
        "checkpoints/epoch_001.safetensors", "checkpoints/epoch_002.safetensors",
    } <= names  # fmt: skip
    assert not [name for name in names if name.endswith((".pkl", ".pth", ".pt", ".joblib"))]
    version = client.get_model_version(MODEL_NAME, outcome["mlflow_version"])
    assert version.run_id == outcome["run_id"]
    assert version.tags["bundle_digest"] == bundle.digest
    fetched = client.download_artifacts(outcome["run_id"], "model", str(tmp_path))
    assert Bundle.load(fetched).digest == bundle.digest

    vectors = DATA.features[:50]
    np.save(tmp_path / "vectors.npy", vectors)
    code = """
import sys
import numpy as np
from ml.profile import StudyProfile
from ml.scoring import Bundle, score
folder = sys.argv[1]
found = score(Bundle.load(folder + "/out"), np.load(folder + "/vectors.npy"), StudyProfile("T", signs_required=()))
assert not {"torch", "mlflow"} & set(sys.modules)
np.save(folder + "/found.npy", found.probability)
"""
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, check=True, timeout=60)
    expected = score(bundle, vectors, PROFILE).probability
    assert np.load(tmp_path / "found.npy").tobytes() == expected.tobytes()
    again = here(arguments(tmp_path, ""), capsys)
    assert again["outcome"]["bundle_digest"] == bundle.digest, "the same data, seed and commit: the same files"


def files_under(client: MlflowClient, run: str, path: str | None = None) -> set[str]:
    found = set()
    for item in client.list_artifacts(run, path):
        found |= files_under(client, run, item.path) if item.is_dir else {item.path}
    return found


def here(command: list[str], capsys: pytest.CaptureFixture[str]) -> dict[str, dict[str, str]]:
    """The last line of a run in this process: an import of torch and mlflow less."""
    main(command[3:])
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def test_a_run_that_cannot_be_says_so_in_one_line(tmp_path, capsys):
    fill_lake(tmp_path / "lake")
    (tmp_path / "lake" / "labels" / "manifest-T.json").unlink()
    said = here(arguments(tmp_path, ""), capsys)
    assert said == {"error": "labels/manifest-T.json is not there. Run the labels job first."}
    command = arguments(tmp_path, "")
    (tmp_path / "profile.json").write_text(json.dumps(replace(PROFILE, trial_id="OTHER").to_json()))
    assert here(command, capsys) == {"error": "The profile is that of trial OTHER, not of T."}
    (tmp_path / "profile.json").write_text("{")
    assert "cannot be read as JSON" in here(command, capsys)["error"]
