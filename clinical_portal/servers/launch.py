"""What a server's module says about one start of it."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Site:
    """A server's place: its folder, its port, the ports and secrets of all; ``durable``: its data survives a power cut."""

    folder: Path
    port: int
    ports: dict[str, int]
    secrets: dict[str, str]
    durable: bool = True


@dataclass(frozen=True)
class Launch:
    """A command, what it adds to the environment, and the account it runs as where that is not ours."""

    command: Sequence[str]
    env: dict[str, str] = field(default_factory=dict)
    cwd: Path | None = None
    user: int | None = None
    group: int | None = None


def packaged(module: str) -> Path:
    """The folder of an installed package that is wanted for its binaries: found, not imported."""
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"{module} is not installed: run `make install`", name=module)
    return Path(spec.origin).parent
