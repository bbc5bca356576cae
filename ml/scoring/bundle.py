"""A trained model as three files that hold no code: weights, scaler and description.

| file | holds |
|---|---|
| `model.safetensors` | `w1` [64, 120], `b1`, `w2` [32, 64], `b2`, `w3` [32], `b3` [1], all float32 as trained |
| `scaler.json` | per feature: name, median (imputation), mean, std, lowest and highest of training, share missing, masked |
| `bundle.json` | layers, recalibration, baseline, data version, profile digest, SHA-256 of the other two files |

The bundle's digest is the SHA-256 over the three names and files. JSON numbers are written by `repr`, so that reading them
gives back the same float64.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from safetensors import numpy as tensors

from ml.scoring import exact
from ml.scoring.network import Network

Float = NDArray[np.float64]
FORMAT = 1
MODEL, SCALER, BUNDLE = "model.safetensors", "scaler.json", "bundle.json"
FILES = (MODEL, SCALER, BUNDLE)


class BundleError(ValueError):
    """A model's files are incomplete, altered, or made for other features."""


class _Reader(Protocol):
    def get(self, path: str) -> bytes: ...


class _Writer(Protocol):
    def put(self, path: str, data: bytes) -> None: ...


def bundle_digest(files: Mapping[str, bytes]) -> str:
    """SHA-256, hexadecimal, over name, length and bytes of the three files, in the order of `FILES`."""
    digest = hashlib.sha256()
    for name in FILES:
        digest.update(f"{name}\x1f{len(files[name])}\x1f".encode())
        digest.update(files[name])
    return digest.hexdigest()


def feature_digest(names: Sequence[str]) -> str:
    """SHA-256, hexadecimal, of the feature names in their order."""
    return hashlib.sha256("\n".join(names).encode()).hexdigest()


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _json(body: Mapping[str, Any]) -> bytes:
    return (json.dumps(body, indent=1, sort_keys=True, allow_nan=False) + "\n").encode()


@dataclass(frozen=True)
class Scaler:
    """How a feature vector becomes the network's input; arrays are [f], in the order of `names`.

    z = clip((x − mean) / std, −clip, clip) with the training median in place of a missing x; a masked feature is 0
    whatever its value.
    """

    names: tuple[str, ...]
    median: Float
    mean: Float
    std: Float
    lowest: Float
    highest: Float
    missing_share: Float
    masked: NDArray[np.bool_]
    clip: float

    def __post_init__(self) -> None:
        size = len(self.names)
        if len(set(self.names)) != size:
            raise BundleError("A feature name stands twice in the scaler.")
        for column in (self.median, self.mean, self.std, self.lowest, self.highest, self.missing_share, self.masked):
            if column.shape != (size,) or not np.isfinite(column).all():
                raise BundleError("The scaler has a column of wrong length or a number that is not finite.")
        if not (self.std > 0).all() or not self.clip > 0:
            raise BundleError("Every standard deviation and the clipping range of the scaler must be above zero.")

    def standardise(self, vectors: NDArray[np.floating[Any]]) -> Float:
        """Network input [n, f] of raw features [n, f]; NaN and infinities count as missing."""
        x = np.asarray(vectors, dtype=np.float64)
        if x.ndim != 2 or x.shape[1] != len(self.names):
            raise BundleError(f"Expected rows of {len(self.names)} features, got an array of shape {x.shape}.")
        x = np.where(np.isfinite(x), x, self.median)
        z = np.minimum(np.maximum((x - self.mean) / self.std, -self.clip), self.clip)
        z[:, self.masked] = 0.0
        return np.asarray(z)

    def outside(self, vectors: NDArray[np.floating[Any]]) -> NDArray[np.bool_]:
        """Which values [n, f] lie outside what training saw; a missing or masked one does not."""
        x = np.asarray(vectors, dtype=np.float64)
        return np.isfinite(x) & ((x < self.lowest) | (x > self.highest)) & ~self.masked

    def to_json(self) -> dict[str, Any]:
        """Plain JSON form, one entry a feature."""
        columns = zip(
            self.names,
            self.median.tolist(),
            self.mean.tolist(),
            self.std.tolist(),
            self.lowest.tolist(),
            self.highest.tolist(),
            self.missing_share.tolist(),
            self.masked.tolist(),
            strict=True,
        )
        keys = ("name", "median", "mean", "std", "lowest", "highest", "missing_share", "masked")
        return {"clip": self.clip, "features": [dict(zip(keys, row, strict=True)) for row in columns]}

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Scaler:
        """Read `to_json`'s form."""
        rows = body["features"]

        def column(key: str) -> Float:
            return np.array([row[key] for row in rows], dtype=np.float64)

        return cls(
            names=tuple(row["name"] for row in rows),
            median=column("median"),
            mean=column("mean"),
            std=column("std"),
            lowest=column("lowest"),
            highest=column("highest"),
            missing_share=column("missing_share"),
            masked=np.array([row["masked"] for row in rows], dtype=np.bool_),
            clip=float(body["clip"]),
        )


@dataclass(frozen=True)
class Bundle:
    """A model ready to score. Probability = sigmoid(slope × logit + offset) of the network's logit.

    `about` is free description for people (trial, versions, seed); nothing is computed from it.
    """

    weights: Mapping[str, NDArray[np.float32]]
    scaler: Scaler
    slope: float
    offset: float
    table_digest: str
    data_version: str
    profile_digest: str
    rows: int
    about: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not (np.isfinite(self.slope) and np.isfinite(self.offset) and self.slope > 0):
            raise BundleError("The recalibration needs a positive slope and a finite offset.")
        if self.weights["w1"].shape[1] != len(self.names):
            raise BundleError("The network's inputs and the scaler's features are not equally many.")

    @property
    def names(self) -> tuple[str, ...]:
        """The features, in the order of a vector."""
        return self.scaler.names

    @cached_property
    def network(self) -> Network:
        """The network in float64."""
        return Network.of(self.weights)

    def probabilities(self, vectors: NDArray[np.floating[Any]]) -> Float:
        """Recalibrated probabilities [n] without contributions and rules: what evaluation needs of many rows."""
        return exact.sigmoid(self.slope * self.network.logit(self.scaler.standardise(vectors)) + self.offset)

    @cached_property
    def baseline_logit(self) -> float:
        """Recalibrated logit of the baseline, the training mean patient (0 after standardisation)."""
        return self.slope * float(self.network.logit(np.zeros((1, len(self.names))))[0]) + self.offset

    @cached_property
    def baseline_probability(self) -> float:
        """Probability of the baseline: what the contributions start from."""
        return float(exact.sigmoid(np.array([self.baseline_logit]))[0])

    @cached_property
    def files(self) -> dict[str, bytes]:
        """The three files, by name; the same bundle gives the same bytes."""
        model = tensors.save({name: np.ascontiguousarray(self.weights[name]) for name in sorted(self.weights)})
        scaler = _json(self.scaler.to_json())
        body = {
            "format": FORMAT,
            "features": list(self.names),
            "features_sha256": feature_digest(self.names),
            "table_digest": self.table_digest,
            "hidden_layers": [len(self.weights["b1"]), len(self.weights["b2"])],
            "calibration": {"slope": self.slope, "offset": self.offset},
            "baseline": {"z": [0.0] * len(self.names), "meaning": "mean of the training rows"},
            "data_version": self.data_version,
            "profile_digest": self.profile_digest,
            "rows": self.rows,
            "about": dict(self.about),
            "sha256": {MODEL: _sha256(model), SCALER: _sha256(scaler)},
        }
        return {MODEL: model, SCALER: scaler, BUNDLE: _json(body)}

    @cached_property
    def digest(self) -> str:
        """SHA-256 over the three files."""
        return bundle_digest(self.files)

    @property
    def digests(self) -> dict[str, str]:
        """SHA-256 of each file, and of all three under "bundle"."""
        return {**{name: _sha256(data) for name, data in self.files.items()}, "bundle": self.digest}

    def save(self, directory: Path) -> None:
        """Write the three files into a folder."""
        directory.mkdir(parents=True, exist_ok=True)
        for name, data in self.files.items():
            (directory / name).write_bytes(data)

    def save_to_lake(self, lake: _Writer, prefix: str) -> None:
        """Write the three files under `prefix` of the lake."""
        for name, data in self.files.items():
            lake.put(f"{prefix}/{name}", data)

    @classmethod
    def load(
        cls,
        source: str | Path | Mapping[str, bytes],
        *,
        digest: str | None = None,
        names: Sequence[str] | None = None,
        table_digest: str | None = None,
    ) -> Bundle:
        """Read a folder, or the three files as bytes.

        `digest` is what the registry holds, `names` and `table_digest` what this installation's feature table says; each
        that is given must agree. BundleError says in a sentence what does not.
        """
        if isinstance(source, Mapping):
            files = {name: source[name] for name in FILES if name in source}
        else:
            files = {name: (Path(source) / name).read_bytes() for name in FILES if (Path(source) / name).is_file()}
        absent = [name for name in FILES if name not in files]
        if absent:
            raise BundleError(f"The model's files are incomplete: {', '.join(absent)} not found.")
        if digest is not None and bundle_digest(files) != digest:
            raise BundleError(
                f"The model's files are not those that were registered: digest {bundle_digest(files)[:12]}…, registered {digest[:12]}…."
            )
        body = json.loads(files[BUNDLE])
        if body.get("format") != FORMAT:
            raise BundleError(f"This model has format {body.get('format')}; this installation reads format {FORMAT}.")
        for name, expected in body["sha256"].items():
            if _sha256(files[name]) != expected:
                raise BundleError(f"{name} was altered after the model was saved.")
        scaler = Scaler.from_json(json.loads(files[SCALER]))
        if list(scaler.names) != body["features"] or feature_digest(scaler.names) != body["features_sha256"]:
            raise BundleError("The scaler's features are not the model's, or stand in another order.")
        if names is not None and tuple(names) != scaler.names:
            raise BundleError(
                "The model was trained on other features, or on the same in another order; train it anew on this feature table."
            )
        if table_digest is not None and table_digest != body["table_digest"]:
            raise BundleError("The feature table has changed since the model was trained; train it anew.")
        loaded = cls(
            weights=tensors.load(files[MODEL]),
            scaler=scaler,
            slope=float(body["calibration"]["slope"]),
            offset=float(body["calibration"]["offset"]),
            table_digest=str(body["table_digest"]),
            data_version=str(body["data_version"]),
            profile_digest=str(body["profile_digest"]),
            rows=int(body["rows"]),
            about=dict(body["about"]),
        )
        loaded.__dict__["files"] = files  # the bytes as read: the digest stays that of the registered files
        return loaded

    @classmethod
    def load_from_lake(
        cls,
        lake: _Reader,
        prefix: str,
        *,
        digest: str | None = None,
        names: Sequence[str] | None = None,
        table_digest: str | None = None,
    ) -> Bundle:
        """Read the three files under `prefix` (such as `models/<version>`); the rest as `load`."""
        files = {name: lake.get(f"{prefix}/{name}") for name in FILES}
        return cls.load(files, digest=digest, names=names, table_digest=table_digest)
