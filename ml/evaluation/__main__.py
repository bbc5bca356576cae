"""Figures of a predictions file: `python -m ml.evaluation --file F`.

F is CSV or Parquet with the columns patient, label (0 or 1) and probability; rows without a probability are left out
and counted. Ends with status 2 and a sentence where the file cannot be used.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import csv, parquet

from ml.evaluation.bootstrap import DRAWS
from ml.evaluation.evaluate import Rows, evaluate

COLUMNS = ("patient", "label", "probability")
WORDS = {
    "auroc": "AUROC",
    "auprc": "AUPRC",
    "brier": "Brier score",
    "brier_scaled": "Brier score, scaled",
    "calibration_intercept": "calibration intercept",
    "calibration_slope": "calibration slope",
    "ece": "calibration error (ECE)",
    "precision": "precision at 0.5",
    "recall": "recall at 0.5",
    "specificity": "specificity at 0.5",
    "f1": "F1 at 0.5",
}


class FileError(ValueError):
    """A predictions file that cannot be used; the message says why."""


def read(path: Path) -> pa.Table:
    """The table of a CSV or Parquet file. FileError where it cannot be read or lacks a column."""
    try:
        table = parquet.read_table(path) if path.suffix == ".parquet" else csv.read_csv(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise FileError(f"{path} cannot be read: {error}") from error
    absent = [name for name in COLUMNS if name not in table.column_names]
    if absent:
        raise FileError(f"{path} lacks the column {', '.join(absent)}; it needs {', '.join(COLUMNS)}.")
    return table.select(list(COLUMNS))


def figures(table: pa.Table, *, simulated: bool, draws: int = DRAWS, seed: int = 0) -> dict[str, Any]:
    """The evaluation of the rows that have a probability; `left_out` counts the others. FileError for odd values."""
    try:
        probability = table["probability"].cast(pa.float64()).to_numpy()
        label = table["label"].cast(pa.float64()).to_numpy()
    except pa.ArrowInvalid as error:
        raise FileError(f"Labels and probabilities must be numbers: {error}") from error
    kept = np.isfinite(probability)
    if not np.isin(label[kept], (0.0, 1.0)).all():
        raise FileError("Every label must be 0 or 1.")
    if not ((probability[kept] >= 0) & (probability[kept] <= 1)).all():
        raise FileError("Every probability must be between 0 and 1.")
    if not kept.any():
        raise FileError("No row has a probability.")
    _, patient = np.unique(np.array(table["patient"].to_pylist(), dtype=str), return_inverse=True)
    rows = Rows(patient[kept], label[kept].astype(np.int8), probability[kept])
    extra = {"left_out": {"without a probability": int((~kept).sum())}}
    return evaluate(rows, simulated=simulated, draws=draws, seed=seed, extra=extra)


def table_of(body: dict[str, Any]) -> str:
    """The figures as aligned text lines."""
    lines = [
        f"{body['rows']:,} rows of {body['patients']:,} patients, {body['events']:,} events"
        f" ({100 * body['prevalence']:.2f} %); left out: {body['left_out']['without a probability']}"
        + (" · simulated data" if body["simulated"] else ""),
        f"95 % intervals over {body['draws']:,} draws of patients",
    ]
    for name, words in WORDS.items():
        figure = body["figures"][name]
        value = "no value" if figure["value"] is None else f"{figure['value']:8.4f}"
        bounds = "" if figure["low"] is None else f"  [{figure['low']:.4f}, {figure['high']:.4f}]"
        skipped = f"  ({figure['skipped']} draws skipped)" if figure["skipped"] else ""
        lines.append(f"{words:26}{value}{bounds}{skipped}")
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m ml.evaluation", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--file", type=Path, required=True, help="CSV or Parquet: patient, label, probability")
    parser.add_argument("--json", action="store_true", help="print the whole evaluation as JSON")
    parser.add_argument("--simulated", action="store_true", help="label the figures as simulated")
    parser.add_argument("--draws", type=int, default=DRAWS)
    arguments = parser.parse_args(argv)
    try:
        body = figures(read(arguments.file), simulated=arguments.simulated, draws=arguments.draws)
    except FileError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.write((json.dumps(body, indent=1) if arguments.json else table_of(body)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
