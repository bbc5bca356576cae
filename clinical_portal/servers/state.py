"""``var/servers.json``: which servers run, where they answer, and who started them."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from clinical_portal.servers.process import Identity


@dataclass
class State:
    """The file's content. ``addresses`` holds only what answers now; ports and secrets outlive a stop."""

    servers: dict[str, dict[str, float]] = field(default_factory=dict)
    processes: dict[str, dict[str, float]] = field(default_factory=dict)
    addresses: dict[str, str] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)
    owner: dict[str, float] | None = None

    def owner_alive(self) -> bool:
        """Whether the supervisor that started these servers still runs, and is not the caller."""
        owner = Identity.read(self.owner)
        return owner is not None and owner.pid != os.getpid() and owner.alive


class StateFile:
    """Reads and replaces the file whole; ``locked`` keeps two supervisors from starting the same server."""

    def __init__(self, var_dir: Path) -> None:
        self.path = var_dir / "servers.json"

    def read(self) -> State:
        try:
            stored: dict[str, Any] = json.loads(self.path.read_text())
        except (OSError, ValueError):
            return State()
        known = State.__dataclass_fields__
        return State(**{name: value for name, value in stored.items() if name in known})

    def write(self, state: State) -> None:
        draft = self.path.with_suffix(f".{os.getpid()}")
        draft.touch(mode=0o600)
        draft.write_text(json.dumps(asdict(state), indent=1))
        draft.replace(self.path)

    @contextmanager
    def locked(self, patience: float = 120.0) -> Iterator[State]:
        """The state, held for this process alone, written back at the end even when the block fails."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.with_suffix(".lock").open("w") as lock:
            deadline = time.monotonic() + patience
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise TimeoutError(
                            f"another supervisor has held {self.path.name} for {patience:.0f} s: wait for it, or stop it"
                        ) from None
                    time.sleep(0.05)
            state = self.read()
            try:
                yield state
            finally:
                self.write(state)
