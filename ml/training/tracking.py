"""The record of a training run in MLflow, and a registered version: JSON, PNG and safetensors, never a pickle."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from time import time
from typing import Any

import matplotlib as mpl
import numpy as np
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from safetensors import numpy as tensors

from ml.training.train import Epoch, Trained, TrainingConfig

mpl.use("Agg")
from matplotlib import pyplot as plt

EXPERIMENT = "clinical-adverse-events"
MODEL_NAME = "adverse-event-predictor"
MODEL_FOLDER = "model"


@dataclass(frozen=True, slots=True)
class Recorded:
    """Where a run stands in MLflow. `version` is that of the registered model there."""

    run_id: str
    experiment: str
    model_name: str
    version: str


class Tracker:
    """One run of the experiment at `uri` (a server, or a store such as sqlite:///…).

    Epochs are logged as they end, so that a run in progress can be watched.
    """

    def __init__(self, uri: str, *, experiment: str = EXPERIMENT, model_name: str = MODEL_NAME) -> None:
        self.client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        self.experiment, self.model_name = experiment, model_name
        self.run_id = ""

    def start(self, config: TrainingConfig, tags: Mapping[str, str], *, artifact_location: str | None = None) -> str:
        """Open the run with its parameters and tags; returns its id."""
        identity = self._experiment(artifact_location)
        run = self.client.create_run(identity, tags=dict(tags))
        self.run_id = str(run.info.run_id)
        body = config.to_json()
        body["hidden_layers"] = "-".join(str(size) for size in config.hidden_layers)
        self.client.log_batch(self.run_id, params=[Param(key, str(value)) for key, value in body.items()])
        return self.run_id

    def _experiment(self, artifact_location: str | None) -> str:
        found = self.client.get_experiment_by_name(self.experiment)
        if found is None:
            try:
                return str(self.client.create_experiment(self.experiment, artifact_location=artifact_location))
            except MlflowException:  # another run may just have created it
                found = self.client.get_experiment_by_name(self.experiment)
                if found is None:
                    raise
        return str(found.experiment_id)

    def epoch(self, epoch: Epoch) -> None:
        """Log the figures of an epoch and its checkpoint."""
        now = int(time() * 1000)
        names = ("train_loss", "val_loss", "train_auroc", "val_auroc")
        metrics = [Metric(name, float(getattr(epoch, name)), now, epoch.number) for name in names]
        self.client.log_batch(self.run_id, metrics=[metric for metric in metrics if np.isfinite(metric.value)])
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"epoch_{epoch.number:03d}.safetensors"
            path.write_bytes(tensors.save({name: np.ascontiguousarray(w) for name, w in sorted(epoch.weights.items())}))
            self.client.log_artifact(self.run_id, str(path), "checkpoints")

    def finish(self, trained: Trained, evaluation: Mapping[str, Any], seconds: float) -> Recorded:
        """Log model, figures and pictures, register a version, and close the run."""
        now = int(time() * 1000)
        figures = {f"test_{name}": figure["value"] for name, figure in evaluation["figures"].items()}
        figures |= {name: value for name, value in evaluation["metrics"].items() if name not in figures}
        metrics = [Metric(name, float(value), now, 0) for name, value in figures.items() if value is not None]
        metrics.append(Metric("best_epoch", float(trained.best_epoch + 1), now, 0))
        self.client.log_batch(self.run_id, metrics=metrics, tags=[RunTag("training_duration", f"{seconds:.1f}")])
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            trained.bundle.save(folder / MODEL_FOLDER)
            self.client.log_artifacts(self.run_id, str(folder / MODEL_FOLDER), MODEL_FOLDER)
            (folder / "scaler.json").write_bytes(trained.bundle.files["scaler.json"])
            (folder / "feature_names.json").write_text(json.dumps(list(trained.bundle.names), indent=1))
            (folder / "evaluation.json").write_text(json.dumps(evaluation, indent=1, allow_nan=False))
            report = json.dumps(evaluation["classification_report"], indent=1)
            (folder / "classification_report.json").write_text(report)
            draw_confusion(evaluation, folder / "confusion_matrix.png")
            draw_losses(trained, folder / "loss_curves.png")
            for path in sorted(folder.glob("*.*")):
                self.client.log_artifact(self.run_id, str(path))
        version = self._register(trained)
        self.client.set_terminated(self.run_id, "FINISHED")
        return Recorded(self.run_id, self.experiment, self.model_name, version)

    def fail(self) -> None:
        """Close the run as failed."""
        if self.run_id:
            self.client.set_terminated(self.run_id, "FAILED")

    def _register(self, trained: Trained) -> str:
        try:
            self.client.create_registered_model(self.model_name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        source = f"{self.client.get_run(self.run_id).info.artifact_uri}/{MODEL_FOLDER}"
        tags = {"bundle_digest": trained.bundle.digest, "data_version": trained.bundle.data_version}
        made = self.client.create_model_version(self.model_name, source, run_id=self.run_id, tags=tags)
        return str(made.version)


def draw_confusion(evaluation: Mapping[str, Any], path: Path) -> None:
    """The confusion matrix at 0.5 as a PNG."""
    cell = evaluation["confusion_matrix"]
    table = np.array(
        [[cell["true_negative"], cell["false_positive"]], [cell["false_negative"], cell["true_positive"]]], dtype=float
    )
    figure, axes = plt.subplots(figsize=(4.2, 3.6), layout="constrained")
    axes.imshow(table / np.maximum(table.sum(axis=1, keepdims=True), 1), cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(table):
        axes.text(column, row, f"{count:,.0f}", ha="center", va="center")
    axes.set_xticks([0, 1], ["no event", "event"])
    axes.set_yticks([0, 1], ["no event", "event"])
    axes.set_xlabel(f"predicted (probability ≥ {cell['threshold']:g})")
    axes.set_ylabel("observed")
    axes.set_title("Test patients" + (", simulated data" if evaluation["simulated"] else ""))
    figure.savefig(path, dpi=120, metadata={"Software": None})
    plt.close(figure)


def draw_losses(trained: Trained, path: Path) -> None:
    """Training and validation loss over the epochs as a PNG."""
    figure, axes = plt.subplots(figsize=(5, 3.2), layout="constrained")
    numbers = [epoch.number for epoch in trained.epochs]
    axes.plot(numbers, [epoch.train_loss for epoch in trained.epochs], label="training")
    axes.plot(numbers, [epoch.val_loss for epoch in trained.epochs], label="validation")
    axes.axvline(trained.best_epoch + 1, linestyle=":", color="grey", label="chosen")
    axes.set_xlabel("epoch")
    axes.set_ylabel("weighted cross-entropy")
    axes.legend()
    figure.savefig(path, dpi=120, metadata={"Software": None})
    plt.close(figure)
