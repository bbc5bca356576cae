"""What a signature under a model version binds: one canonical text, and its hash."""

from __future__ import annotations

import hashlib

from apps.audit import canonical
from apps.registry.models import ModelVersion

SIGNED_FORMAT = "1"


def signed_text(version: ModelVersion, *, as_silent: bool) -> str:
    """The canonical JSON that is shown and signed: which version, its metrics, gates, digests, data, commit, the
    release plan, and whether it is released for research only. Numbers are strings (see ``audit.canonical``)."""
    return canonical.encode(
        {
            "format": SIGNED_FORMAT,
            "record": "registry.ModelVersion",
            "id": version.pk,
            "trial": version.trial_id,
            "name": version.name,
            "version": version.version,
            "run_id": version.run_id,
            "metrics": version.metrics,
            "gates": version.gates,
            "gates_passed": version.gates_passed,
            "digests": version.digests,
            "data_version": version.data_version,
            "git_commit": version.git_commit,
            "release_plan": version.release_plan,
            "as_silent": as_silent,
        }
    ).decode()


def signed_hash(text: str) -> str:
    """SHA-256 of the text's UTF-8, hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()
