"""Starting a process so that nothing of it is ever left: own session, death with its parent, identity by start time."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36


@dataclass(frozen=True)
class Identity:
    """A process for certain: a process id is used again one day, its start time with it is not."""

    pid: int
    created: float

    @classmethod
    def of(cls, pid: int) -> Identity | None:
        try:
            return cls(pid, psutil.Process(pid).create_time())
        except psutil.Error:
            return None

    @classmethod
    def read(cls, stored: Mapping[str, float] | None) -> Identity | None:
        return cls(int(stored["pid"]), float(stored["created"])) if stored else None

    def stored(self) -> dict[str, float]:
        return asdict(self)

    def process(self) -> psutil.Process | None:
        """The living process, or None where it is gone, a zombie or another one with the same number."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.created) < 0.05
            living = process.status() != psutil.STATUS_ZOMBIE
            return process if same and living else None
        except psutil.Error:
            return None

    @property
    def alive(self) -> bool:
        return self.process() is not None


def runs(pid: int) -> bool:
    """Whether ``pid`` is a process that is not merely waiting to be reaped."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def adopt_orphans() -> None:
    """Descendants whose parent died come to this process instead of to init, so that the last sweep finds them."""
    _prctl(PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent(signum: signal.Signals = signal.SIGTERM) -> Callable[[], None]:
    """A ``preexec_fn``: the kernel sends ``signum`` to the child when its parent dies, however it dies.

    The parent is the *thread* that starts the child; start from a thread that lives as long as the child should.
    """
    parent = os.getpid()
    prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None  # loaded before the fork

    def arrange() -> None:
        if prctl is not None:
            prctl(PR_SET_PDEATHSIG, int(signum), 0, 0, 0)
            if os.getppid() != parent:
                os._exit(1)

    return arrange


def die_with_parent_now(signum: signal.Signals) -> None:
    """The same for the calling process itself."""
    _prctl(PR_SET_PDEATHSIG, int(signum))


def spawn(
    command: Sequence[str],
    *,
    log: Path,
    env: Mapping[str, str],
    cwd: Path | str | None = None,
    user: int | None = None,
    group: int | None = None,
    follow_parent: signal.Signals | None = None,
) -> subprocess.Popen[bytes]:
    """Start ``command`` in a session of its own, output appended to ``log``; ``user`` and ``group`` need root."""
    log.parent.mkdir(parents=True, exist_ok=True)
    identity: dict[str, object] = {}
    if user is not None:
        identity = {"user": user, "group": group, "extra_groups": []}
    with log.open("ab") as output:
        return subprocess.Popen(  # type: ignore[call-overload,no-any-return]
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=dict(env),
            cwd=cwd,
            start_new_session=True,
            preexec_fn=die_with_parent(follow_parent) if follow_parent is not None else None,  # noqa: PLW1509 - no threads yet
            **identity,
        )


def family(identity: Identity) -> list[psutil.Process]:
    """The process's descendants and whoever still runs in the session it leads, itself left out."""
    found: dict[int, psutil.Process] = {}
    if (process := identity.process()) is not None:
        with contextlib.suppress(psutil.Error):
            found.update({child.pid: child for child in process.children(recursive=True)})
    for pid in psutil.pids():
        try:
            if pid != identity.pid and os.getsid(pid) == identity.pid:
                found[pid] = psutil.Process(pid)
        except (OSError, psutil.Error):
            continue
    return list(found.values())


def end(identity: Identity, *, first: signal.Signals = signal.SIGTERM, patience: float = 10.0) -> None:
    """Ask the process to stop, wait ``patience`` seconds, then kill it; its whole family is gone on return."""
    relatives = family(identity)
    process = identity.process()
    if process is not None:
        with contextlib.suppress(psutil.Error):
            process.send_signal(first)
        if not wait_gone([process], patience):
            with contextlib.suppress(psutil.Error):
                process.kill()
            wait_gone([process], 5.0)
    end_all([*relatives, *family(identity)])


def end_all(processes: Sequence[psutil.Process], patience: float = 3.0) -> None:
    """Terminate, then kill, whatever of ``processes`` still lives."""
    living = [process for process in processes if process.is_running()]
    for process in living:
        with contextlib.suppress(psutil.Error):
            process.terminate()
    if living and not wait_gone(living, patience):
        for process in living:
            with contextlib.suppress(psutil.Error):
                process.kill()
        wait_gone(living, 5.0)


def wait_gone(processes: Sequence[psutil.Process], seconds: float) -> bool:
    """Wait until none of ``processes`` runs (zombies of ours are reaped); False when time ran out."""
    deadline = time.monotonic() + seconds
    while True:
        if all(_gone(process) for process in processes):
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)


def _gone(process: psutil.Process) -> bool:
    with contextlib.suppress(ChildProcessError, OSError):
        os.waitpid(process.pid, os.WNOHANG)
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.Error:
        return True
