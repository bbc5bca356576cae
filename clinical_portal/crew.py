"""Runs the processes of ``make run`` in the foreground.

honcho starts them and gathers their output; here is what it leaves out: starting one after another, starting anew what
fell, stopping stage by stage, and leaving nothing behind.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import shlex
import signal
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

import honcho.process
import psutil
from honcho.manager import Manager
from honcho.printer import Message, Printer

from clinical_portal.processes import Process
from clinical_portal.servers import process as processes
from clinical_portal.servers.process import Identity
from clinical_portal.servers.state import StateFile

LOG_BYTES = 20 * 2**20
LOUD = ("error", "critical")  # warnings (a broker that pauses, a message refused) are in the logs and on the pages
ORDINARY = ("epoch_opened",)  # an alarm elsewhere; the embedded broker begins anew with every start
AGAIN_SECONDS = 60.0
EARLY_SECONDS = 10.0  # who falls sooner than this after its start is counted as not coming up
EARLY_FALLS = 3
START_SECONDS = 60.0
HURRY_SECONDS = 3.0

Say = Callable[[str], None]


class FollowingProcess(honcho.process.Process):
    """honcho's process whose child and wrapper both die with the supervisor, even when that is killed."""

    def run(self, events: Any = None, ignore_signals: bool = False) -> None:
        processes.die_with_parent_now(signal.SIGKILL)
        self._child_ctor = _following_popen
        super().run(events, ignore_signals)


def _following_popen(command: str, **options: Any) -> honcho.process.Popen:
    return honcho.process.Popen(command, preexec_fn=processes.die_with_parent(signal.SIGTERM), **options)


class LogPrinter(Printer):
    """Every line goes to ``var/log/<process>.log``; the terminal shows errors, the same one once a minute."""

    def __init__(self, folder: Path, say: Say) -> None:
        super().__init__()
        self.folder = folder
        self.say = say
        self._files: dict[str, logging.Handler] = {}
        self._told: dict[tuple[str, str], float] = {}

    def write(self, message: Message) -> None:
        if message.type != "line":
            return
        line = message.data.decode(errors="replace") if isinstance(message.data, bytes) else str(message.data)
        line = line.rstrip("\n")
        handler = self._file(message.name)
        handler.emit(logging.LogRecord(message.name, logging.INFO, "", 0, line, None, None))
        if loud := _loud(line):
            now = time.monotonic()
            if now - self._told.get((message.name, loud), -AGAIN_SECONDS) >= AGAIN_SECONDS:
                self._told[message.name, loud] = now
                self.say(f"{message.name}: {loud} (var/log/{message.name}.log)")

    def _file(self, name: str) -> logging.Handler:
        if name not in self._files:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._files[name] = RotatingFileHandler(self.folder / f"{name}.log", maxBytes=LOG_BYTES, backupCount=1)
        return self._files[name]

    def close(self) -> None:
        for handler in self._files.values():
            handler.close()


def _loud(line: str) -> str:
    """What the terminal shows of a log line: "" for the ordinary."""
    if not line.startswith("{"):
        return ""
    try:
        entry = json.loads(line)
    except ValueError:
        return ""
    event = str(entry.get("event", ""))
    return event if entry.get("log_level") in LOUD and event not in ORDINARY else ""


@dataclass
class Member:
    """A process of the crew as it stands now."""

    row: Process
    env: Mapping[str, str]
    entry: dict[str, Any] = field(default_factory=dict)
    started: float = 0.0
    falls: int = 0
    asked: float | None = None  # when it was asked to stop
    killed: bool = False

    @property
    def pid(self) -> int | None:
        pid = self.entry.get("pid")
        return int(pid) if pid is not None else None

    @property
    def running(self) -> bool:
        return bool(self.entry) and "returncode" not in self.entry


class Crew(Manager):
    """The processes of one ``make run``. ``run`` returns the exit code when all have stopped."""

    def __init__(self, var_dir: Path, say: Say) -> None:
        super().__init__(LogPrinter(var_dir / "log", say))
        self._process_ctor = FollowingProcess
        self.say = say
        self.file = StateFile(var_dir)
        self.members: list[Member] = []
        self.stopping = False
        self.hurry = False
        self._relatives: dict[int, psutil.Process] = {}
        self._looked = 0.0

    def add(self, row: Process, env: Mapping[str, str]) -> None:
        """Add a process to start; the order of adding is the order of starting."""
        self.add_process(row.name, "exec " + shlex.join(row.command), env=dict(env))
        self.members.append(Member(row, env))

    def run(self, env_ports: Mapping[str, int], on_ready: Callable[[], None]) -> int:
        """Start all, call ``on_ready`` when those with a port answer, and stay until a signal or a hopeless fall."""
        for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(signum, self._on_signal)
        waiting = {member.row.name: env_ports[member.row.port] for member in self.members if member.row.port}
        for member in self.members:
            if not self.stopping:
                self._launch(member)
                self._drain_events(0.05)
        deadline = time.monotonic() + START_SECONDS
        while not (self.stopping and not any(member.running for member in self.members)):
            self._drain_events(0.1)
            self._look_for_headless()
            if waiting and not self.stopping:
                waiting = {name: port for name, port in waiting.items() if not answers(port)}
                if not waiting:
                    on_ready()
                elif time.monotonic() > deadline:
                    self.say(f"{', '.join(waiting)} did not answer within {START_SECONDS:.0f} s; see var/log")
                    self._give_up()
            if self.stopping:
                self._advance()
            else:
                self._revive()
        self._drain_events(0.1)
        processes.end_all(list(self._relatives.values()))
        self._printer.close()
        with self.file.locked() as state:
            state.processes.clear()
        return self.returncode or 0

    # --- starting ----------------------------------------------------------------------------------------------------
    def _launch(self, member: Member) -> None:
        import multiprocessing

        entry = self._processes[member.row.name]
        for key in ("pid", "returncode"):
            entry.pop(key, None)
        member.entry = entry
        member.started = time.monotonic()
        wrapper = multiprocessing.Process(name=member.row.name, target=entry["obj"].run, args=(self.events, True))
        entry["process"] = wrapper
        wrapper.start()

    def _revive(self) -> None:
        """Start anew what fell; who falls again and again at once ends the whole run, with its last words."""
        for member in self.members:
            if "returncode" not in member.entry:
                continue
            code = member.entry["returncode"]
            early = time.monotonic() - member.started < EARLY_SECONDS
            member.falls = member.falls + 1 if early else 1
            if member.falls >= EARLY_FALLS:
                self.say(f"{member.row.name} ended with code {code} {member.falls} times; its log ends:")
                self.say(self._last_words(member.row.name))
                self._give_up()
                return
            self.say(f"{member.row.name} ended with code {code}: starting it again")
            self._sweep(member)
            self._launch(member)

    def _give_up(self) -> None:
        self.returncode = 1
        self.stopping = True

    # --- stopping ----------------------------------------------------------------------------------------------------
    def _on_signal(self, signum: int, _: Any) -> None:
        if self.returncode is None:
            self.returncode = 0  # asked to stop: that is no failure
        self.hurry = self.stopping and signum == signal.SIGINT
        self.stopping = True

    def _advance(self) -> None:
        """Ask the lowest stage that still runs to stop; kill who overstays (a second Ctrl-C: after three seconds)."""
        running = [member for member in self.members if member.running and member.pid is not None]
        if not running:
            return
        stage = min(member.row.stage for member in running)
        now = time.monotonic()
        for member in running:
            if member.row.stage != stage:
                continue
            if member.asked is None:
                member.asked = now
                self.say(f"stopping {member.row.name}")
                self._remember(member)
                _signal(member.pid, signal.SIGTERM)
            elif now - member.asked > self._patience(member) and not member.killed:
                member.killed = True
                self.say(f"{member.row.name} did not stop within {self._patience(member):.0f} s: killing it")
                self._remember(member)
                _signal(member.pid, signal.SIGKILL)
                self._sweep(member)

    def _patience(self, member: Member) -> float:
        return min(member.row.patience, HURRY_SECONDS) if self.hurry else member.row.patience

    def _look_for_headless(self) -> None:
        """A process whose children outlive it keeps its output open, and honcho waits for that: end the children."""
        if time.monotonic() - self._looked < 1.0:
            return
        self._looked = time.monotonic()
        for member in self.members:
            if member.running and member.pid is not None and not processes.runs(member.pid):
                self._sweep(member)

    def _remember(self, member: Member) -> None:
        """Note a member's descendants while their parent lives: a job's JVM must not outlive the worker."""
        identity = Identity.of(member.pid) if member.pid is not None else None
        if identity is not None:
            self._relatives.update({relative.pid: relative for relative in processes.family(identity)})

    def _sweep(self, member: Member) -> None:
        if member.pid is not None:
            processes.end_all(processes.family(Identity(member.pid, 0.0)))

    # --- events ------------------------------------------------------------------------------------------------------
    def _drain_events(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            try:
                message = self.events.get(timeout=left)
            except queue.Empty:
                return
            if message.type == "line":
                self._printer.write(message)
            elif message.type == "start":
                self._processes[message.name]["pid"] = message.data["pid"]
                self._record(message.name, message.data["pid"])
            elif message.type == "stop":
                self._processes[message.name]["returncode"] = message.data["returncode"]
                self._processes[message.name]["process"].join(5)

    def _record(self, name: str, pid: int) -> None:
        """Into the state file, for a later start that must clear away what this run left when it is killed."""
        identity = Identity.of(pid)
        with self.file.locked() as state:
            if identity is not None:
                state.processes[name] = identity.stored()

    def _last_words(self, name: str, lines: int = 15) -> str:
        text = (self._printer.folder / f"{name}.log").read_text(errors="replace")
        return "\n".join(text.splitlines()[-lines:])


def clear_leftovers(file: StateFile, say: Say) -> None:
    """End the processes a killed supervisor left behind."""
    with file.locked() as state:
        left = {
            name: identity
            for name, row in state.processes.items()
            if (identity := Identity.read(row)) and identity.alive
        }
        for name, identity in left.items():
            say(f"clearing away {name}, left by a run that was killed")
            processes.end(identity, patience=5)
        state.processes.clear()


def answers(port: int) -> bool:
    """Whether something listens on this machine's ``port``."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=0.5):
            return True
    except OSError:
        return False


def _signal(pid: int | None, signum: signal.Signals) -> None:
    if pid is not None:
        try:
            os.kill(pid, signum)
        except ProcessLookupError:
            return
