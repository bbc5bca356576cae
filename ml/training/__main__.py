"""Train, evaluate and record a model: `python -m ml.training --lake URL --trial T --profile FILE …`.

Standard output is JSON, one object a line: {"step", "done", "of"} while it runs, {"outcome"} or {"error"} last. The
bundle and evaluation.json are written into the lake under models/; the run goes to MLflow.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from mlflow.exceptions import MlflowException

from ml.drift import Reference, sample_rows
from ml.exits import TOO_LITTLE
from ml.features import TABLE_DIGEST
from ml.lake import Lake, LakeError
from ml.profile import StudyProfile
from ml.splits import PARTS, TRAIN
from ml.training import source
from ml.training.assess import assess
from ml.training.crossval import cross_validate
from ml.training.data import DataError, TooFew, TrainingData
from ml.training.tracking import EXPERIMENT, MODEL_NAME, Recorded, Tracker
from ml.training.train import Epoch, Trained, TrainingConfig, train

STEPS = 100
DEFAULTS = TrainingConfig()


def tell(**message: Any) -> None:
    """Write one line."""
    sys.stdout.write(json.dumps(message, separators=(",", ":")) + "\n")
    sys.stdout.flush()


@dataclass(frozen=True)
class Run:
    """What one training run is told."""

    lake: Lake
    profile: StudyProfile
    config: TrainingConfig
    mlflow_uri: str = ""
    model_name: str = MODEL_NAME
    git_commit: str = ""
    hazard: Path | None = None
    data_version: str = ""
    folds: int = 0
    out: Path | None = None
    period: source.Period = field(default_factory=source.Period)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(prog="python -m ml.training", description=(__doc__ or "").split("\n")[0])
    made.add_argument("--lake", required=True, help="folder, file:///… or s3://bucket/prefix")
    made.add_argument("--lake-options", help="JSON file (- = standard input): endpoint, access_key, secret_key, region")
    made.add_argument("--trial", required=True)
    made.add_argument("--profile", type=Path, required=True, help="the study profile, JSON")
    made.add_argument("--mlflow-uri", default="", help="empty: keep no record in MLflow")
    made.add_argument("--model-name", default=MODEL_NAME)
    made.add_argument("--git-commit", default="")
    made.add_argument("--hazard", type=Path, help="the simulator's record of the true risk, Parquet")
    made.add_argument("--data-version", default="", help="refuse to train on any other data version")
    made.add_argument("--start-date", type=_date, help="leave out rows before this day (YYYY-MM-DD, UTC)")
    made.add_argument("--end-date", type=_date, help="leave out rows after this day (YYYY-MM-DD, UTC)")
    made.add_argument("--out", type=Path, help="write bundle and evaluation into this folder, too")
    made.add_argument("--folds", type=int, help="grouped cross-validation beside (default: 5 for a finished trial)")
    made.add_argument("--seed", type=int, default=1)
    made.add_argument("--epochs", type=int, default=DEFAULTS.epochs)
    made.add_argument("--learning-rate", type=float, default=DEFAULTS.learning_rate)
    made.add_argument("--batch-size", type=int, default=DEFAULTS.batch_size)
    made.add_argument("--dropout-rate", type=float, default=DEFAULTS.dropout_rate)
    return made


def _date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a date; write YYYY-MM-DD") from error


def run_of(arguments: argparse.Namespace) -> Run:
    """The run that arguments describe. DataError where a file cannot be read or names another trial."""
    options: dict[str, Any] = _json(arguments.lake_options) if arguments.lake_options else {}
    profile = StudyProfile.from_json(_json(str(arguments.profile)))
    if profile.trial_id != arguments.trial:
        raise DataError(f"The profile is that of trial {profile.trial_id}, not of {arguments.trial}.")
    hazard = arguments.hazard if arguments.hazard and arguments.hazard.is_file() else None
    if arguments.hazard and hazard is None and profile.simulated:
        sys.stderr.write(f"{arguments.hazard} is not there; the best reachable AUROC is left out.\n")
    finished = profile.replay_date is not None
    return Run(
        lake=Lake.from_url(arguments.lake, **options),
        profile=profile,
        config=TrainingConfig(
            seed=arguments.seed,
            epochs=arguments.epochs,
            learning_rate=arguments.learning_rate,
            batch_size=arguments.batch_size,
            dropout_rate=arguments.dropout_rate,
        ),
        mlflow_uri=arguments.mlflow_uri,
        model_name=arguments.model_name,
        git_commit=arguments.git_commit,
        hazard=hazard,
        data_version=arguments.data_version,
        folds=arguments.folds if arguments.folds is not None else 5 if finished else 0,
        out=arguments.out,
        period=source.Period(arguments.start_date, arguments.end_date),
    )


def _json(path: str) -> dict[str, Any]:
    try:
        text = sys.stdin.read() if path == "-" else Path(path).read_text()
        body: dict[str, Any] = json.loads(text)
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read as JSON: {error}") from error
    return body


def execute(run: Run, report: Callable[..., None] = tell) -> dict[str, Any]:
    """Do the whole run; returns the outcome: bundle_path, run_id, digest, figures. Raises what the parts raise."""
    begun = time.perf_counter()
    report(step="reading features and labels", done=0, of=STEPS)
    data, provenance = source.load(run.lake, run.profile, hazard=run.hazard, period=run.period)
    if run.data_version and run.data_version != provenance.data_version:
        raise DataError(f"The lake holds data version {provenance.data_version[:12]}, not {run.data_version[:12]}.")
    tracker = Tracker(run.mlflow_uri, experiment=EXPERIMENT, model_name=run.model_name) if run.mlflow_uri else None
    if tracker is not None:
        tracker.start(run.config, _tags(run, provenance))
    try:
        trained = _train(run, data, provenance, tracker, report)
        evaluation = _evaluate(run, data, trained, report)
        evaluation["labels_version"] = provenance.labels_version
        evaluation["labels_known_by"] = provenance.known_by
        reference = _reference(run, data, trained, provenance)
        evaluation["reference"] = reference.digests
        recorded: Recorded | None = None
        if tracker is not None:
            report(step="recording the run", done=95, of=STEPS)
            recorded = tracker.finish(trained, evaluation, time.perf_counter() - begun)
    except BaseException:
        if tracker is not None:
            tracker.fail()
        raise
    return _publish(run, trained, evaluation, reference, recorded)


def _train(
    run: Run,
    data: TrainingData,
    provenance: source.Provenance,
    tracker: Tracker | None,
    report: Callable[..., None],
) -> Trained:
    def ended(epoch: Epoch) -> None:
        if tracker is not None:
            tracker.epoch(epoch)
        words = f"epoch {epoch.number} of at most {run.config.epochs}, validation AUROC {epoch.val_auroc:.3f}"
        report(step=words, done=5 + 55 * epoch.number // run.config.epochs, of=STEPS)

    return train(
        run.config,
        data,
        masked=source.hidden_features(run.profile),
        table_digest=TABLE_DIGEST,
        data_version=provenance.data_version,
        profile_digest=run.profile.digest,
        about={
            "trial_id": run.profile.trial_id,
            "simulated": run.profile.simulated,
            "labels_version": provenance.labels_version,
            "git_commit": run.git_commit,
        },
        report=ended,
    )


def _evaluate(run: Run, data: TrainingData, trained: Trained, report: Callable[..., None]) -> dict[str, Any]:
    report(step="evaluating on test patients", done=60, of=STEPS)
    body = assess(
        trained,
        run.config,
        data,
        run.profile,
        report=lambda what: report(step=f"evaluating: {what}", done=70, of=STEPS),
    )
    if run.folds:
        try:
            body["cross_validation"] = cross_validate(
                run.config,
                data,
                run.profile,
                masked=source.hidden_features(run.profile),
                folds=run.folds,
                report=lambda fold: report(
                    step=f"cross-validation, fold {fold} of {run.folds}", done=75 + 18 * fold // run.folds, of=STEPS
                ),
            )
        except TooFew as error:  # a fold may have too few events where the whole has enough
            body["cross_validation_not_done"] = str(error)
    return body


def _tags(run: Run, provenance: source.Provenance) -> dict[str, str]:
    return {
        "git_commit_hash": run.git_commit,
        "data_version": provenance.data_version,
        "labels_version": provenance.labels_version,
        **run.period.tags,
        "profile_digest": run.profile.digest,
        "feature_table": TABLE_DIGEST,
        "trial_id": run.profile.trial_id,
        "simulated": str(run.profile.simulated).lower(),
        "mlflow.runName": f"{run.profile.trial_id}-seed{run.config.seed}",
    }


def _reference(run: Run, data: TrainingData, trained: Trained, provenance: source.Provenance) -> Reference:
    """A sample of the training rows, and who was trained on: what monitoring compares with for as long as it serves."""
    fit = data.take(trained.part == TRAIN)
    chosen = sample_rows([fit.patients[row] for row in fit.patient.tolist()], fit.as_of, run.config.seed)
    parts = {
        name: tuple(data.patients[row] for row in set(data.patient[trained.part == number].tolist()))
        for number, name in enumerate(PARTS)
    }
    return Reference(data.names, fit.features[chosen], parts, provenance.known_by)


def _publish(
    run: Run, trained: Trained, evaluation: dict[str, Any], reference: Reference, recorded: Recorded | None
) -> dict[str, Any]:
    bundle = trained.bundle
    name = recorded.run_id if recorded is not None else bundle.digest
    path = f"models/{run.profile.trial_id}-{name[:16]}"
    evaluation["run_id"] = recorded.run_id if recorded is not None else ""
    text = (json.dumps(evaluation, indent=1, sort_keys=True, allow_nan=False) + "\n").encode()
    run.lake.put(f"{path}/evaluation.json", text)
    reference.save(run.lake, path)
    bundle.save_to_lake(run.lake, path)
    if run.out is not None:
        bundle.save(run.out)
        (run.out / "evaluation.json").write_bytes(text)
    return {
        "bundle_path": path,
        "bundle_digest": bundle.digest,
        "run_id": evaluation["run_id"],
        "mlflow_version": recorded.version if recorded is not None else "",
        "data_version": bundle.data_version,
        "test_auroc": evaluation["metrics"].get("test_auroc"),
        "out_of_fold_auroc": (evaluation.get("cross_validation") or {})
        .get("figures", {})
        .get("auroc", {})
        .get("value"),
        "gates_passed": evaluation["gates_passed"],
        "epochs": len(trained.epochs),
    }


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    arguments = parser().parse_args(argv)
    try:
        outcome = execute(run_of(arguments))
    except TooFew as error:
        tell(error=str(error))
        return TOO_LITTLE
    except (DataError, LakeError, MlflowException) as error:
        tell(error=str(error))
        return 1
    tell(outcome=outcome)
    return 0


if __name__ == "__main__":
    sys.exit(main())
