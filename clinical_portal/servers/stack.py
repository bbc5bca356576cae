"""A set of embedded servers in one folder: start or adopt what is missing, say the addresses, stop everything."""

from __future__ import annotations

import os
import secrets as random_secrets
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from clinical_portal.env import env
from clinical_portal.servers import ports, process
from clinical_portal.servers.process import Identity
from clinical_portal.servers.state import State, StateFile
from clinical_portal.servers.table import BY_NAME, SERVERS, Server, site_of, with_needs

if TYPE_CHECKING:
    from clinical_portal.servers.launch import Site

Say = Callable[[str], None]
STARTS = 3  # a port may be taken between choosing and binding; each try chooses anew


class ServerFailed(Exception):
    """A server did not come up; the message ends with its last words."""


class Stack:
    """The servers of ``var_dir``.

    ``follow``: they die with this process, however it ends (not for ``up``, whose servers outlive it).
    ``durable``: data survives a power cut; tests trade that for speed.
    """

    def __init__(
        self, var_dir: Path, *, follow: bool = True, durable: bool = True, say: Say = lambda line: None
    ) -> None:
        self.var_dir = var_dir
        self.follow = follow
        self.durable = durable
        self.say = say
        self.file = StateFile(var_dir)
        self.started: list[str] = []
        self._children: dict[str, subprocess.Popen[bytes]] = {}

    def ensure(self, *names: str, own: bool = False) -> dict[str, str]:
        """Addresses of the named servers (and those they need), all answering.

        What this folder's state says is running is taken over if it answers; the rest is started. ``own`` writes this
        process down as the one that stops them.
        """
        with self.file.locked() as state:
            if own:
                here = Identity.of(os.getpid())
                state.owner = here.stored() if here else None
            for server in with_needs(names):
                self._ensure(server, state)
            return dict(state.addresses)

    def reserve(self) -> dict[str, str]:
        """Addresses the servers will have once started; for settings that must be read before a server is needed."""
        with self.file.locked() as state:
            addresses: dict[str, str] = {}
            for server in SERVERS:
                self._port(server, state)
            for server in SERVERS:
                addresses |= server.addresses(self._site(server, state))
            return addresses

    def running(self) -> dict[str, Identity]:
        """The servers that run now, by name."""
        stored = self.file.read().servers
        found = {name: identity for name, row in stored.items() if (identity := Identity.read(row))}
        return {name: identity for name, identity in found.items() if identity.alive}

    def stop(self, *names: str) -> None:
        """Stop the named servers (all, when none is named), in the reverse of the starting order."""
        with self.file.locked() as state:
            for server in reversed(SERVERS):
                identity = Identity.read(state.servers.get(server.name))
                if identity is None or (names and server.name not in names):
                    continue
                if identity.alive:
                    self.say(f"stopping {server.name}")
                    process.end(identity, first=server.stop_signal, patience=server.stop_seconds)
                if (child := self._children.pop(server.name, None)) is not None:
                    child.wait()
                if server.name in self.started:
                    self.started.remove(server.name)
                self._forget(server, state)
            if not state.servers:
                state.owner = None

    def stop_started(self) -> None:
        """Stop what this object started, and nothing it found running."""
        if names := tuple(self._children):
            self.stop(*names)

    def begin(self, *names: str) -> dict[str, str]:
        """Start the named servers without waiting; a later ``ensure`` waits. What they need must answer already.

        All addresses, with those at which the named ones will answer unless another program takes the port first.
        """
        with self.file.locked() as state:
            coming: dict[str, str] = {}
            for server in (BY_NAME[name] for name in names):
                identity = Identity.read(state.servers.get(server.name))
                if identity is None or not identity.alive:
                    self._begin(server, state)
                coming |= server.addresses(self._site(server, state))
            return {**state.addresses, **coming}

    def _ensure(self, server: Server, state: State) -> None:
        identity = Identity.read(state.servers.get(server.name))
        if identity is not None and identity.alive and server.name not in self._children:
            reason = server.ready(self._site(server, state))
            if not reason:
                return
            self.say(f"{server.name} runs but does not answer ({reason}): starting it anew")
            process.end(identity, first=server.stop_signal, patience=server.stop_seconds)
        reason = ""
        for attempt in range(STARTS):
            child = self._children.get(server.name)
            if child is None or child.poll() is not None:
                child = self._begin(server, state, renew=attempt > 0)
            site = self._site(server, state)
            reason = _await(server, site, child)
            if not reason:
                if server.name not in self.started:
                    server.prepare(site)
                    self.started.append(server.name)
                    self.say(f"{server.name} answers on port {site.port}")
                state.addresses |= server.addresses(site)
                return
            if (started := Identity.read(state.servers.get(server.name))) is not None:
                process.end(started, first=server.stop_signal, patience=3)
            child.wait()
            self._forget(server, state)
        raise ServerFailed(f"{server.name} did not start: {reason}\n{self._last_words(server.name)}")

    def _begin(self, server: Server, state: State, *, renew: bool = False) -> subprocess.Popen[bytes]:
        self._forget(server, state)
        self._port(server, state, renew=renew)
        child = self._children[server.name] = self._start(server, self._site(server, state))
        if (identity := Identity.of(child.pid)) is not None:
            # Written before it is ready, so that a kill in between leaves no server unknown.
            state.servers[server.name] = identity.stored()
            self.file.write(state)
        return child

    def _start(self, server: Server, site: Site) -> subprocess.Popen[bytes]:
        launch = server.launch(site)
        return process.spawn(
            launch.command,
            log=self.log_path(server.name),
            env=env.child(**launch.env),
            cwd=launch.cwd,
            user=launch.user,
            group=launch.group,
            follow_parent=server.stop_signal if self.follow else None,
        )

    def _site(self, server: Server, state: State) -> Site:
        state.secrets.setdefault("postgres", random_secrets.token_urlsafe(24))
        return site_of(server.name, self.var_dir, state.ports, state.secrets, self.durable)

    def _port(self, server: Server, state: State, *, renew: bool = False) -> None:
        known = state.ports.get(server.name)
        if known is None or renew or not ports.is_free(known):
            state.ports[server.name] = ports.choose(frozenset(state.ports.values()))

    def _forget(self, server: Server, state: State) -> None:
        state.servers.pop(server.name, None)
        for name in server.addresses(self._site(server, state)) if server.name in state.ports else ():
            state.addresses.pop(name, None)

    def log_path(self, name: str) -> Path:
        return self.var_dir / "log" / f"{name}.log"

    def _last_words(self, name: str, lines: int = 15) -> str:
        try:
            text = self.log_path(name).read_text(errors="replace")
        except OSError:
            return ""
        return "\n".join(text.splitlines()[-lines:])


def _await(server: Server, site: Site, child: subprocess.Popen[bytes]) -> str:
    """ "" once the server answers, else why it did not within its time."""
    deadline = time.monotonic() + server.start_seconds
    while True:
        if child.poll() is not None:
            return f"it ended with code {child.returncode}"
        reason = server.ready(site)
        if not reason:
            return ""
        if time.monotonic() > deadline:
            return f"no answer within {server.start_seconds:.0f} s ({reason})"
        time.sleep(0.03)


def memory_mib(identity: Identity) -> float:
    """Resident memory of a process and its descendants, in MiB."""
    root = identity.process()
    if root is None:
        return 0.0
    total = 0
    for member in (root, *root.children(recursive=True)):
        try:
            total += member.memory_info().rss
        except psutil.Error:
            continue
    return total / 2**20


__all__ = ["BY_NAME", "ServerFailed", "Stack", "memory_mib"]
