"""What code, libraries and processor computed a number.

A replay whose fingerprint is the prediction's must give identical bytes; with another fingerprint it may say *equal
within 1e-12 on another processor or build*.
"""

from __future__ import annotations

import hashlib
import json
import platform
from functools import cache
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ("contracts", "cleaning", "features", "clinical", "scoring", "facts.py", "profile.py")
"""What of `ml` lies on the way from a message to a score."""


def code_digest(root: Path = ROOT) -> str:
    """SHA-256, hexadecimal, over the source files on the way from a message to a score."""
    digest = hashlib.sha256()
    for name in SOURCES:
        place = root / name
        for path in sorted(place.rglob("*.py")) if place.is_dir() else [place] if place.is_file() else []:
            digest.update(f"{path.relative_to(root).as_posix()}\x1f".encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


@cache
def fingerprint_parts() -> dict[str, str]:
    """The parts, in words: code digest, Python, NumPy, machine and the processor features NumPy found."""
    found = np.show_config(mode="dicts")["SIMD Extensions"]["found"]
    return {
        "code": code_digest(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "numpy": np.__version__,
        "machine": platform.machine(),
        "processor": " ".join(found),
    }


@cache
def fingerprint() -> str:
    """SHA-256, hexadecimal, of `fingerprint_parts`; read once a process."""
    return hashlib.sha256(json.dumps(fingerprint_parts(), sort_keys=True).encode()).hexdigest()
