"""The embedded servers: what each needs, how it is started, how one knows that it answers, and how it stops."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from clinical_portal.servers import broker, mlflow_server, postgres, valkey
from clinical_portal.servers.launch import Launch, Site


@dataclass(frozen=True)
class Server:
    """One row. ``launch`` prepares files and says what to run; ``ready`` returns "" or why it does not answer yet."""

    name: str
    launch: Callable[[Site], Launch]
    ready: Callable[[Site], str]
    addresses: Callable[[Site], dict[str, str]]
    prepare: Callable[[Site], None] = lambda site: None
    needs: tuple[str, ...] = ()
    stop_signal: signal.Signals = signal.SIGTERM
    start_seconds: float = 60.0
    stop_seconds: float = 15.0


SERVERS: tuple[Server, ...] = (
    Server(
        "postgres",
        postgres.launch,
        postgres.ready,
        postgres.addresses,
        prepare=postgres.prepare,
        stop_signal=signal.SIGINT,  # fast: ends sessions instead of waiting for them
    ),
    Server("valkey", valkey.launch, valkey.ready, valkey.addresses),
    Server("broker", broker.launch, broker.ready, broker.addresses),
    Server(
        "mlflow",
        mlflow_server.launch,
        mlflow_server.ready,
        mlflow_server.addresses,
        needs=("postgres",),
        start_seconds=120.0,
    ),
)
BY_NAME = {server.name: server for server in SERVERS}


def with_needs(names: tuple[str, ...]) -> tuple[Server, ...]:
    """The named servers and what they stand on, in starting order."""
    wanted = set(names)
    for server in reversed(SERVERS):
        if server.name in wanted:
            wanted.update(server.needs)
    unknown = wanted - BY_NAME.keys()
    if unknown:
        raise ValueError(f"no such server: {', '.join(sorted(unknown))}; there are {', '.join(BY_NAME)}")
    return tuple(server for server in SERVERS if server.name in wanted)


def site_of(name: str, var_dir: Path, ports: dict[str, int], secrets: dict[str, str], durable: bool) -> Site:
    """Where the server ``name`` keeps its files and listens."""
    return Site(var_dir / name, ports[name], ports, secrets, durable)
