"""Training rows from the lake: the feature store's days and one set of labels, each checked against its manifest."""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyarrow import parquet

from ml.features import FEATURES, NAMES, TABLE_DIGEST
from ml.lake import ObjectMissing
from ml.profile import StudyProfile
from ml.training.data import DataError, TooFew, TrainingData

EPOCH = date(1970, 1, 1)
KEYS = ("trial_id", "patient_id", "as_of")
ORDER = [("patient_id", "ascending"), ("as_of", "ascending")]


class Reader(Protocol):
    """What is needed of a lake."""

    def get(self, path: str) -> bytes:
        """The bytes of an object."""


@dataclass(frozen=True, slots=True)
class Provenance:
    """What the rows are, to the byte: SHA-256 of the manifests of features (the *data version*) and of labels."""

    data_version: str
    labels_version: str
    known_by: int


@dataclass(frozen=True, slots=True)
class Period:
    """Rows whose as-of time lies on these days (UTC), both included; None = no bound on that side."""

    first: date | None = None
    last: date | None = None

    @property
    def tags(self) -> dict[str, str]:
        """What must be known to choose the same rows again."""
        return {name: day.isoformat() for name, day in (("start_date", self.first), ("end_date", self.last)) if day}

    def holds(self, as_of: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which times (seconds since 1970) lie within. DataError where the bounds are the wrong way round."""
        if self.first is not None and self.last is not None and self.first > self.last:
            raise DataError(f"The period ends ({self.last}) before it begins ({self.first}).")
        day = as_of // 86_400
        within = np.ones(len(day), np.bool_)
        if self.first is not None:
            within &= day >= (self.first - EPOCH).days
        if self.last is not None:
            within &= day <= (self.last - EPOCH).days
        return within


def features_manifest(trial: str) -> str:
    """Where the manifest of a trial's features lies."""
    return f"features/manifest-{trial}.json"


def labels_manifest(trial: str) -> str:
    """Where the manifest of a trial's labels lies."""
    return f"labels/manifest-{trial}.json"


def hidden_features(profile: StudyProfile) -> tuple[str, ...]:
    """The features that a blinded study's model may not see."""
    return tuple(feature.name for feature in FEATURES if feature.blinding == "arm") if profile.blinded else ()


def load(
    lake: Reader, profile: StudyProfile, *, hazard: Path | None = None, period: Period | None = None
) -> tuple[TrainingData, Provenance]:
    """The rows of the profile's trial (of a `period` of it) that count, by patient and time, with what they are made of.

    `hazard` is the simulator's own record of the true risk. DataError says what is missing or does not fit, and which
    job mends it.
    """
    trial = profile.trial_id
    features, version = _manifest(lake, features_manifest(trial), "features")
    labels, labels_version = _manifest(lake, labels_manifest(trial), "labels")
    if features["feature_table"] != TABLE_DIGEST:
        raise DataError("The features were computed with another feature table. Run the features job again.")
    if labels["features"] != features["days"]:
        raise DataError("The labels belong to older features. Run the labels job again.")
    parts = []
    for path in sorted(features["days"]):
        table = _table(lake, path, [*KEYS, "trial_site_id", *NAMES])
        parts.append(table.filter(pc.equal(table["trial_id"], trial)))
    if not parts:
        raise TooFew(f"Trial {trial} has no feature rows: nobody is enrolled, or the features job has not run.")
    rows = pa.concat_tables(parts).sort_by(ORDER)
    known = _table(lake, str(labels["path"]), [*KEYS, "label", "onset", "reason"], str(labels["sha256"])).sort_by(ORDER)
    if not all(rows[name].combine_chunks().equals(known[name].combine_chunks()) for name in KEYS):
        raise DataError("Features and labels are not of the same patients and times. Run the labels job again.")
    if period is not None:
        within = pa.array(period.holds(np.asarray(rows["as_of"], np.int64)))
        rows, known = rows.filter(within), known.filter(within)
    counts = np.asarray(known["label"]) >= 0
    left_out = pc.value_counts(known["reason"].filter(pa.array(~counts))).to_pylist()
    if not counts.any():
        raise TooFew(
            "No row counts yet: every label is too recent, beyond the end of follow-up or outside the period asked for. "
            "Wait for the labels to mature, or ask for a longer period."
        )
    rows, known = rows.filter(pa.array(counts)), known.filter(pa.array(counts))
    names, patient = np.unique(np.array(rows["patient_id"].to_pylist(), dtype=str), return_inverse=True)
    as_of = np.asarray(rows["as_of"], np.int64)
    onset = known["onset"].cast(pa.float64()).fill_null(np.nan).to_numpy()
    patients = tuple(f"{trial}/{name}" for name in names.tolist())
    data = TrainingData(
        names=NAMES,
        patients=patients,
        patient=patient.astype(np.int32),
        as_of=as_of,
        features=_matrix(rows, profile),
        label=np.asarray(known["label"], np.int8),
        site=np.array([site or "not known" for site in rows["trial_site_id"].to_pylist()], dtype=str),
        hours_to_onset=(onset - as_of) / 3600.0,
        left_out={str(one["values"]): int(one["counts"]) for one in left_out},
        oracle=None if hazard is None else true_risk(hazard, [patients[p] for p in patient.tolist()], as_of),
    )
    return data, Provenance(version, labels_version, int(labels["as_of"]))


def _manifest(lake: Reader, path: str, job: str) -> tuple[dict[str, Any], str]:
    try:
        data = lake.get(path)
    except ObjectMissing as error:
        raise DataError(f"{path} is not there. Run the {job} job first.") from error
    body: dict[str, Any] = json.loads(data)
    return body, hashlib.sha256(data).hexdigest()


def _table(lake: Reader, path: str, columns: list[str], sha256: str | None = None) -> pa.Table:
    try:
        data = lake.get(path)
    except ObjectMissing as error:
        raise DataError(f"{path} is named by its manifest and not there. Run the job that writes it again.") from error
    if sha256 is not None and hashlib.sha256(data).hexdigest() != sha256:
        raise DataError(f"{path} is not what its manifest says. Run the job that writes it again.")
    return parquet.read_table(io.BytesIO(data), columns=columns, use_threads=False)


def _matrix(rows: pa.Table, profile: StudyProfile) -> NDArray[np.float32]:
    matrix = np.empty((rows.num_rows, len(NAMES)), np.float32)
    for position, name in enumerate(NAMES):
        matrix[:, position] = rows[name].to_numpy()
    for name in hidden_features(profile):
        matrix[:, NAMES.index(name)] = np.nan
    return matrix


def true_risk(path: Path, patients: list[str], as_of: NDArray[np.int64]) -> NDArray[np.float64]:
    """The simulator's true probability for (patient, time), linear between the hours of its record; NaN outside it.

    The file has the columns `patient` ("trial/patient"), `time` (seconds) and `p_24h`.
    """
    table = parquet.read_table(path, columns=["patient", "time", "p_24h"])
    owner = table["patient"].cast(pa.string()) if not pa.types.is_string(table["patient"].type) else table["patient"]
    names, row = np.unique(np.array(owner.to_pylist(), dtype=str), return_inverse=True)
    time, risk = np.asarray(table["time"], np.int64), np.asarray(table["p_24h"], np.float64)
    order = np.lexsort((time, row))
    row, time, risk = row[order], time[order], risk[order]
    starts = np.searchsorted(row, np.arange(len(names) + 1))
    place = {name: number for number, name in enumerate(names.tolist())}
    found = np.full(len(patients), np.nan)
    asked = np.array([place.get(name, -1) for name in patients])
    for number in np.unique(asked[asked >= 0]).tolist():
        part, chosen = slice(starts[number], starts[number + 1]), asked == number
        found[chosen] = np.interp(as_of[chosen], time[part], risk[part], left=np.nan, right=np.nan)
    return found
