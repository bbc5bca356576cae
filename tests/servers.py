"""One set of real servers per test process, in a temporary folder, started when the first test needs them.

Loaded by ``-p tests.servers`` (pyproject), before pytest-django reads the settings: the addresses are fixed here and
handed over in the environment. Each worker of a parallel run has servers of its own (half a second, 80 MiB), so that no
test empties what another fills.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

FOLDER = Path(tempfile.mkdtemp(prefix="clinical-tests-"))
os.environ |= {"DEPLOYMENT": "test", "VAR_DIR": str(FOLDER), "LOG_LEVEL": "WARNING"}
for name in ("LAKE_URL", "DATABASE_URL", "REDIS_URL", "KAFKA_BOOTSTRAP_SERVERS", "MLFLOW_TRACKING_URI"):
    os.environ.pop(name, None)  # a developer's shell may name the running stack: tests never touch it

from clinical_portal.env import env  # noqa: E402 - the environment is read on import
from clinical_portal.java import java_home  # noqa: E402
from clinical_portal.servers.stack import Stack  # noqa: E402


class TestServers:
    """The process's stack; ``need`` starts servers, ``close`` stops them and removes every file."""

    __test__ = False

    def __init__(self) -> None:
        self.folder = FOLDER
        self.folder.chmod(0o755)  # an unprivileged PostgreSQL must pass
        self.stack = Stack(self.folder, durable=False)

    def announce(self) -> None:
        """Choose the ports and put the addresses into this process's environment."""
        os.environ.update(self.stack.reserve())
        if home := java_home(env.text("JAVA_HOME"), self.folder):
            os.environ["JAVA_HOME"] = str(home)

    def need(self, *names: str) -> dict[str, str]:
        """Addresses of the named servers, answering."""
        addresses = self.stack.ensure(*names)
        for name, address in addresses.items():
            if os.environ.get(name) != address:
                raise RuntimeError(
                    f"{name} had to move to {address} after the settings were read: another program took its port, run again"
                )
        return addresses

    def close(self) -> None:
        try:
            self.stack.stop()
        finally:
            moved = self.folder / "postgres" / "moved-to"
            if moved.exists():
                shutil.rmtree(moved.read_text().strip(), ignore_errors=True)
            shutil.rmtree(self.folder, ignore_errors=True)


SERVERS = TestServers()
SERVERS.announce()
