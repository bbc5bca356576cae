"""What a model was trained on, kept small beside its bundle, so that drift can be judged without the training data.

| file | holds |
|---|---|
| `reference.safetensors` | `sample` float32 [n ≤ 2,000, f]: rows drawn by hash from the training part, NaN = no value |
| `split.json` | patients ("trial/patient") by part of the split, and up to when their labels were known |

The sample is of raw features after blinding, as predictions store them. The split says which patients a model has never
learned from: without it no figure on past days could be called held out.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from safetensors import numpy as tensors

from ml.lake import ObjectMissing

SAMPLE, SPLIT = "reference.safetensors", "split.json"
MOST_ROWS = 2_000


class _Reader(Protocol):
    def get(self, path: str) -> bytes: ...


class _Writer(Protocol):
    def put(self, path: str, data: bytes) -> None: ...


def sample_rows(names: Sequence[str], as_of: NDArray[np.integer], seed: int, most: int = MOST_ROWS) -> NDArray[np.intp]:
    """Positions of at most `most` rows, those with the smallest hash of (seed, patient, time): the same rows whatever
    their order. `names` are the patients of the rows."""
    digests = [
        hashlib.sha256(f"{seed}\x1f{name}\x1f{time}".encode()).digest()
        for name, time in zip(names, as_of.tolist(), strict=True)
    ]
    chosen = sorted(range(len(digests)), key=digests.__getitem__)[:most]
    return np.array(sorted(chosen), np.intp)


@dataclass(frozen=True)
class Reference:
    """The training sample of one model version, and who stood in which part of its split.

    `known_by`: seconds since 1970; what happened after it the model cannot have learned from.
    """

    names: tuple[str, ...]
    sample: NDArray[np.float32]
    parts: Mapping[str, tuple[str, ...]]
    known_by: int

    def files(self) -> dict[str, bytes]:
        """The two files, by name; the same reference gives the same bytes."""
        split = {"format": 1, "known_by": self.known_by, "parts": {k: sorted(v) for k, v in self.parts.items()}}
        metadata = {"features": "\n".join(self.names)}
        return {
            SAMPLE: tensors.save({"sample": np.ascontiguousarray(self.sample)}, metadata),
            SPLIT: (json.dumps(split, indent=1, sort_keys=True) + "\n").encode(),
        }

    @property
    def digests(self) -> dict[str, str]:
        """SHA-256, hexadecimal, by file."""
        return {name: hashlib.sha256(data).hexdigest() for name, data in self.files().items()}

    def save(self, lake: _Writer, prefix: str) -> dict[str, str]:
        """Write both under `prefix` of the lake; returns `digests`."""
        for name, data in self.files().items():
            lake.put(f"{prefix}/{name}", data)
        return self.digests

    @classmethod
    def load(cls, lake: _Reader, prefix: str, names: Sequence[str], digests: Mapping[str, str]) -> Reference | None:
        """What lies under `prefix`; None where nothing was kept. ValueError where the files are not those of `digests`
        or of other features than `names`."""
        if not digests:
            return None
        try:
            files = {name: lake.get(f"{prefix}/{name}") for name in (SAMPLE, SPLIT)}
        except ObjectMissing:
            return None
        for name, data in files.items():
            if hashlib.sha256(data).hexdigest() != digests.get(name):
                raise ValueError(f"{prefix}/{name} is not what was kept when the model was trained.")
        sample = tensors.load(files[SAMPLE])["sample"]
        if sample.ndim != 2 or sample.shape[1] != len(names):
            raise ValueError(f"The training sample under {prefix} is of other features.")
        body = json.loads(files[SPLIT])
        parts = {part: tuple(patients) for part, patients in body["parts"].items()}
        return cls(tuple(names), sample, parts, int(body["known_by"]))

    def held_out(self, *parts: str) -> frozenset[str]:
        """The patients of these parts."""
        return frozenset(patient for part in parts for patient in self.parts.get(part, ()))
