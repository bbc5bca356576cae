"""One stage of the pipeline over folders: `python -m ml.stages simulate|process_data|features|train`.

Each stage takes up the folders of the stages before it, does its work in a lake of its own that is thrown away, and
leaves few large files and a manifest. The work itself is done by the programs that every other runner starts by name
(`python -m spark_jobs clean`, … `python -m ml.training`), so a stage and a job cannot drift apart.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from ml.contracts import TOPICS
from ml.lake import Lake, LakeError
from ml.lake.pack import pack, unpack
from ml.simulation import Simulator, write_hazard
from ml.simulation.config import DAY
from ml.stages import messages
from ml.stages.settings import Params, SettingsError, read

BRONZE = ("claims/", "dead/", "epochs/", "raw/")
SILVER = ("processed/", "quarantine/")
STORE = ("features/", "labels/")
BUNDLE = ("bundle.json", "model.safetensors", "scaler.json")
FIGURES = ("train_loss", "val_loss", "train_auroc", "val_auroc")


class StageFailed(Exception):
    """A program that a stage started ended badly; the message quotes it."""


@dataclass(frozen=True)
class Stage:
    """What every stage is given."""

    params: Params
    data: Path
    metrics: Path
    options: tuple[str, ...]
    """Further options of the Spark jobs, such as the master; nothing that a result depends on."""

    @property
    def trial(self) -> str:
        return self.params.simulate.trial

    def folder(self, name: str) -> Path:
        """An empty folder for a stage's output."""
        path = self.data / name
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(parents=True)
        return path

    @contextmanager
    def lake(self, *packed: str) -> Iterator[Lake]:
        """A lake for the time of the stage, holding what these stages left."""
        with tempfile.TemporaryDirectory(prefix="stage-") as name:
            lake = Lake.from_url(name)
            for one in packed:
                unpack(self.data / one, lake)
            yield lake

    def spark(self, job: str, lake: Lake, *more: str) -> None:
        """Run one of the Spark jobs, as any worker does."""
        profiles = str(self.data / "messages" / "profiles.json")
        run("spark_jobs", job, "--lake", lake.url, "--profiles", profiles, *more, *self.options)


def run(module: str, *arguments: str) -> dict[str, Any]:
    """Start `python -m module …` and repeat its progress; its outcome. StageFailed quotes what it last said."""
    command = [sys.executable, "-u", "-m", module, *arguments]
    outcome: dict[str, Any] = {}
    said = ""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, errors="replace") as process:
        for line in process.stdout or ():
            try:
                body = json.loads(line)
            except ValueError:
                continue
            outcome |= body.get("outcome", {})
            said = str(body.get("error", said))
            if "step" in body:
                share = f" ({body['done']} of {body['of']})" if body.get("of") else ""
                sys.stderr.write(f"  {body['step']}{share}\n")
    if process.returncode:
        raise StageFailed(f"{module} {arguments[0]} ended with status {process.returncode}. {said}".strip())
    return outcome


def simulate(stage: Stage) -> dict[str, Any]:
    """Simulated patients' messages as they go over the wire, the study profile, and the true hazard beside them."""
    chosen = stage.params.simulate
    config, folder = chosen.config(), stage.folder("messages")
    known = Simulator(config).messages(chosen.start, chosen.end)
    counts = messages.write(folder, ((one.known_at, one.topic, one.key, one.value) for one in known))
    profile = chosen.profile().to_json()
    (folder / "profile.json").write_text(json.dumps(profile, indent=1, sort_keys=True) + "\n")
    (folder / "profiles.json").write_text(json.dumps({stage.trial: profile}, indent=1, sort_keys=True) + "\n")
    write_hazard(folder / "hazard.parquet", config, chosen.start + DAY, chosen.end)
    return counts


def process_data(stage: Stage) -> dict[str, Any]:
    """Messages are judged and claimed in bronze, window after window, and each time cleaned into silver."""
    chosen, how = stage.params.simulate, stage.params.process
    with stage.lake() as lake:
        queues = {topic: _by_window(stage, topic) for topic in TOPICS}
        for number, _ in enumerate(how.windows(chosen.start, chosen.end)):
            for topic, windows in queues.items():
                part = windows.get(number, [])
                messages.to_bronze(lake, topic, part, batch_size=how.batch_size, default_trial=stage.trial)
            stage.spark("clean", lake, "--default-trial", stage.trial)
        bronze = pack(lake, BRONZE, stage.folder("bronze"))
        silver = pack(lake, SILVER, stage.folder("silver"))
    return {"bronze": bronze, "silver": silver}


def _by_window(stage: Stage, topic: str) -> dict[int, list[messages.Filed]]:
    start, step = stage.params.simulate.start, stage.params.process.window_hours * 3600
    found = messages.read(stage.data / "messages" / f"{topic}.ndjson")
    return {
        number: list(part) for number, part in groupby(found, lambda one: ((one.known_at or start) - start) // step)
    }


def features(stage: Stage) -> dict[str, Any]:
    """120 features of every patient-day, as known then, and the labels as known at the end of the history."""
    with stage.lake("silver") as lake:
        stage.spark("features", lake, "--trial", stage.trial)
        stage.spark("labels", lake, "--trial", stage.trial, "--as-of", str(stage.params.simulate.end))
        created = f"features/created-{stage.trial}.json"  # when, which no version is made of
        return pack(lake, STORE, stage.folder("features"), without=(created,))


def train(stage: Stage) -> dict[str, Any]:
    """The model, and metrics/train_metrics.json."""
    chosen = stage.params.train
    given = stage.data / "messages"
    with stage.lake("features") as lake, tempfile.TemporaryDirectory(prefix="model-") as name:
        out = Path(name)
        arguments = {
            "lake": lake.url,
            "trial": stage.trial,
            "profile": given / "profile.json",
            "hazard": given / "hazard.parquet",
            "out": out,
            "seed": chosen.seed,
            "epochs": chosen.epochs,
            "learning-rate": chosen.learning_rate,
            "batch-size": chosen.batch_size,
            "dropout-rate": chosen.dropout_rate,
        }
        outcome = run("ml.training", *(str(part) for one, value in arguments.items() for part in (f"--{one}", value)))
        folder = stage.folder("model")
        for file in BUNDLE:
            shutil.copyfile(out / file, folder / file)
        evaluation = json.loads((out / "evaluation.json").read_text())
    body = metrics_of(evaluation)
    stage.metrics.parent.mkdir(parents=True, exist_ok=True)
    stage.metrics.write_text(json.dumps(body, indent=2, sort_keys=True, allow_nan=False) + "\n")
    return {"bundle": outcome["bundle_digest"], "test_auroc": body["test_auroc"]}


def metrics_of(evaluation: dict[str, Any]) -> dict[str, Any]:
    """The figures of an evaluation that follow from its data alone: nothing that a clock measured."""
    best = evaluation["epochs"][evaluation["best_epoch"] - 1]
    figure = evaluation["figures"]
    names = ("auprc", "ece", "calibration_slope", "precision", "recall", "f1")
    oracle = evaluation.get("oracle") or {}
    return {
        **{name: _finite(best[name]) for name in FIGURES},
        "test_auroc": figure["auroc"]["value"],
        "test_auroc_interval": [figure["auroc"]["low"], figure["auroc"]["high"]],
        **{f"test_{name}": figure[name]["value"] for name in names},
        "oracle_auroc": oracle.get("auroc", {}).get("value"),
        "best_epoch": evaluation["best_epoch"],
        "epochs": len(evaluation["epochs"]),
        "gates": {one["name"]: one["outcome"] for one in evaluation["gates"]},
        "gates_passed": evaluation["gates_passed"],
        "rows": {part: body["rows"] for part, body in evaluation["split"].items()},
        "simulated": evaluation["simulated"],
        "data_version": evaluation["data_version"],
        "labels_version": evaluation["labels_version"],
        "bundle_digest": evaluation["bundle_digest"],
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


STAGES: dict[str, Callable[[Stage], dict[str, Any]]] = {
    "simulate": simulate,
    "process_data": process_data,
    "features": features,
    "train": train,
}


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m ml.stages", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("stage", choices=STAGES)
    parser.add_argument("--params", type=Path, default=Path("params.yaml"))
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder of the stages' outputs")
    parser.add_argument("--metrics", type=Path, default=Path("metrics/train_metrics.json"))
    parser.add_argument("--master", help="Spark master")
    parser.add_argument("--java-home", help="the Java to run Spark on, where it is not the machine's")
    chosen = parser.parse_args(argv)
    more = [
        part for name in ("master", "java_home") if (value := getattr(chosen, name)) for part in (_flag(name), value)
    ]
    try:
        outcome = STAGES[chosen.stage](Stage(read(chosen.params), chosen.data, chosen.metrics, tuple(more)))
    except (StageFailed, SettingsError, LakeError, ValueError, OSError) as error:
        sys.stderr.write(f"{chosen.stage}: {error}\n")
        return 1
    sys.stdout.write(f"{chosen.stage}: {json.dumps(outcome, sort_keys=True)}\n")
    return 0


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


if __name__ == "__main__":
    sys.exit(main())
