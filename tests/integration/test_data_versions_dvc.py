"""The project's DVC pipeline: the same bytes in every clone, pushed and pulled over a folder and over S3."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from clinical_portal.env import BASE_DIR
from clinical_portal.java import java_home

NEEDED = ("ml", "spark_jobs", "dvc.yaml", "params.yaml", ".dvc", ".dvcignore", "data", "metrics")
SMALL = {
    "simulate": {
        "seed": 71,
        "trial": "DVC",
        "origin": "2026-03-01",
        "patients": 40,
        "sites": 3,
        "days": 21,
        "vitals_cadence_seconds": 3600,
    },
    "process": {"batch_size": 500, "window_hours": 2160},
    "train": {"learning_rate": 0.001, "batch_size": 256, "epochs": 2, "dropout_rate": 0.3, "seed": 1},
}
OUTS = ("messages", "bronze", "silver", "features", "model")
LARGEST = 8
"""Files of one output at most: few large ones, not a lake's thousands."""


@dataclass
class Clone:
    """A checkout and its commands."""

    path: Path
    java: Path | None

    def run(self, *command: str, **more: str) -> str:
        surroundings = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "GIT_CONFIG_GLOBAL": os.devnull,
            **({"JAVA_HOME": str(self.java)} if self.java else {}),
            **more,
        }
        done = subprocess.run(command, cwd=self.path, capture_output=True, text=True, env=surroundings, timeout=300)
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done.stdout

    def dvc(self, *arguments: str, **more: str) -> str:
        return self.run(sys.executable, "-m", "dvc", *arguments, **more)

    def commit(self) -> None:
        self.run("git", "add", "-A")
        self.run("git", "-c", "user.name=T", "-c", "user.email=t@example.org", "commit", "-q", "-m", "work")

    def clone(self, name: str) -> Clone:
        self.run("git", "clone", "-q", str(self.path), str(self.path.parent / name))
        return Clone(self.path.parent / name, self.java)

    def outputs(self) -> dict[str, bytes]:
        return {
            file.relative_to(self.path).as_posix(): file.read_bytes()
            for name in OUTS
            for file in sorted((self.path / "data" / name).rglob("*"))
            if file.is_file()
        }


@pytest.fixture
def origin(tmp_path: Path) -> Clone:
    """A repository with the working tree's pipeline, at a small size."""
    made = Clone(tmp_path / "origin", java_home(os.environ.get("JAVA_HOME", ""), tmp_path / "java"))
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *NEEDED],
        cwd=BASE_DIR,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in listed.stdout.splitlines():
        if (BASE_DIR / name).is_file() and name != "dvc.lock":
            (made.path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(BASE_DIR / name, made.path / name)
    (made.path / "params.yaml").write_text(yaml.safe_dump(SMALL))
    made.run("git", "init", "-q")
    made.commit()
    return made


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_two_clones_make_the_same_bytes_and_a_third_and_fourth_pull_them(origin: Clone, s3: dict[str, str]) -> None:
    origin.dvc("repro", "--quiet")
    made = origin.outputs()
    files = {name: [path for path in made if path.startswith(f"data/{name}/")] for name in OUTS}
    assert all(0 < len(paths) <= LARGEST for paths in files.values()), files
    metrics = json.loads((origin.path / "metrics/train_metrics.json").read_text())
    assert {"train_loss", "val_loss", "train_auroc", "val_auroc", "test_auroc", "gates", "data_version"} <= set(metrics)
    assert (metrics["epochs"], metrics["simulated"]) == (2, True)
    origin.commit()

    second = origin.clone("second")
    assert second.outputs() == {}, "git carries no data"
    second.dvc("repro", "--quiet")
    assert second.outputs() == made
    assert (second.path / "dvc.lock").read_bytes() == (origin.path / "dvc.lock").read_bytes()
    assert second.run("git", "status", "--porcelain") == "", "metrics and lock are what was committed"

    origin.dvc("push", "--quiet")
    third = origin.clone("third")
    third.dvc("pull", "--quiet")
    assert third.outputs() == made
    assert "up to date" in third.dvc("status")

    bucket = {"AWS_ACCESS_KEY_ID": s3["access_key"], "AWS_SECRET_ACCESS_KEY": s3["secret_key"]}
    for one in (origin, fourth := origin.clone("fourth")):
        one.dvc("remote", "add", "--local", "--default", "dvc-storage", f"s3://{s3['bucket']}/versions")
        one.dvc("remote", "modify", "--local", "dvc-storage", "endpointurl", s3["endpoint"])
    origin.dvc("push", "--quiet", **bucket)
    fourth.dvc("pull", "--quiet", **bucket)
    assert fourth.outputs() == made
    assert "up to date" in fourth.dvc("status")


def pipeline() -> dict[str, Any]:
    body: dict[str, Any] = yaml.safe_load((BASE_DIR / "dvc.yaml").read_text())["stages"]
    return body


def test_the_stages_and_parameters_that_are_required() -> None:
    stages = pipeline()
    assert list(stages) == ["simulate", "process_data", "features", "train"]
    assert {"process.batch_size", "process.window_hours"} <= set(stages["process_data"]["params"])
    assert {"train.learning_rate", "train.batch_size", "train.epochs"} <= set(stages["train"]["params"])
    assert stages["train"]["metrics"] == [{"metrics/train_metrics.json": {"cache": False}}]
    for stage in stages.values():
        for path in stage["deps"]:
            assert path.startswith("data/") or (BASE_DIR / path).exists(), path


def test_a_stage_starts_the_programs_that_the_jobs_start() -> None:
    """What DVC runs and what a worker runs is the same module with the same first argument."""
    from apps.pipelines import jobs

    source = (BASE_DIR / "ml/stages/__main__.py").read_text()
    for step in (jobs.CLEAN, jobs.FEATURES, jobs.LABELS):
        assert step.module == "spark_jobs"
        assert f'stage.spark("{step.arguments[0]}", lake' in source
    assert f'run("{jobs.TRAIN.module}"' in source
