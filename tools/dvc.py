"""`python -m tools.dvc …`: DVC with our Python first on the path, and a Java for Spark where the machine has none."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from clinical_portal.env import BASE_DIR, env
from clinical_portal.java import java_home

#: The stages' commands say `python`, as they must in any clone; which one is decided here.
WITH_PATH = 'PATH="$0:$PATH" exec "$@"'


def main() -> int:
    """DVC's own exit status."""
    home = java_home(env.text("JAVA_HOME"), env.var_dir)
    if home is not None:
        os.environ["JAVA_HOME"] = str(home)
    command = ["sh", "-c", WITH_PATH, str(Path(sys.executable).parent), sys.executable, "-m", "dvc", *sys.argv[1:]]
    return subprocess.run(command, cwd=BASE_DIR).returncode


if __name__ == "__main__":
    sys.exit(main())
